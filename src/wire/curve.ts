/**
 * The key pair of an encrypted connection: two keys of 32 bytes, written in Z85 as ZeroMQ takes them.
 *
 * Clients are told apart by nobody: whoever has the public key may connect, and the signature is what lets in. So a
 * pair whose halves do not belong together would look to every client like a kernel that never answers; it is refused.
 *
 * Docs: https://rfc.zeromq.org/spec/26/ (CurveZMQ), https://rfc.zeromq.org/spec/32/ (Z85)
 */

import { createPrivateKey, createPublicKey } from 'node:crypto'

export interface CurveKeys {
  readonly publicKey: string
  readonly secretKey: string
}

const KEY_BYTES = 32
const Z85 = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#'

/** The bytes of a key, or null for a text that is none: 40 characters, each five of them four bytes. */
export function decodeKey(text: string): Buffer | null {
  if (text.length !== (KEY_BYTES / 4) * 5) return null
  const bytes = Buffer.alloc(KEY_BYTES)
  for (let group = 0; group < KEY_BYTES / 4; group += 1) {
    let value = 0
    for (const char of text.slice(group * 5, group * 5 + 5)) {
      const digit = Z85.indexOf(char)
      if (digit < 0) return null
      value = value * 85 + digit
    }
    if (value > 0xffff_ffff) return null
    bytes.writeUInt32BE(value, group * 4)
  }
  return bytes
}

/** Whether the public key is the one of the secret key, both given as their bytes. */
export function belongTogether(publicBytes: Buffer, secretBytes: Buffer): boolean {
  const secret = createPrivateKey({
    key: Buffer.concat([PKCS8_OF_X25519, secretBytes]),
    format: 'der',
    type: 'pkcs8',
  })
  const derived = createPublicKey(secret).export({ format: 'der', type: 'spki' })
  return derived.subarray(-KEY_BYTES).equals(publicBytes)
}

/** What stands before the 32 bytes of a private key of Curve25519 (RFC 8410). */
const PKCS8_OF_X25519 = Buffer.from('302e020100300506032b656e04220420', 'hex')
