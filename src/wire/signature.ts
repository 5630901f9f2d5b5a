/**
 * Signing of messages and checking of signatures: hex HMAC over the bytes of header, parent header, metadata and
 * content, as they stand on the wire. Buffers are not signed.
 *
 * Docs: https://jupyter-client.readthedocs.io/en/stable/messaging.html#the-wire-protocol
 */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { SavepointError } from '../errors.js'

/** Names that Python's hashlib has, by which connection files call digests, and Node's names of the same. */
const DIGESTS: Readonly<Record<string, string>> = {
  md5: 'md5',
  sha1: 'sha1',
  sha224: 'sha224',
  sha256: 'sha256',
  sha384: 'sha384',
  sha512: 'sha512',
  sha3_224: 'sha3-224',
  sha3_256: 'sha3-256',
  sha3_384: 'sha3-384',
  sha3_512: 'sha3-512',
  blake2b: 'blake2b512',
  blake2s: 'blake2s256',
}

const SCHEME_PREFIX = 'hmac-'
const EMPTY = Buffer.alloc(0)

/** Signature of the four signed frames, as it stands on the wire; null if messages are not signed. */
export type Signer = ((signed: readonly Buffer[]) => Buffer) | null

/**
 * A signer for a connection file's `signature_scheme` and `key`. The key's bytes are the UTF-8 of the string.
 *
 * An empty key means that nothing is signed, whatever the scheme. Throws WIRE_UNKNOWN_SCHEME for a scheme that is not
 * `hmac-` and a digest that this machine can compute.
 */
export function createSigner(scheme: string, key: string): Signer {
  if (key === '') return null
  const name = scheme.startsWith(SCHEME_PREFIX) ? scheme.slice(SCHEME_PREFIX.length) : ''
  const digest = Object.hasOwn(DIGESTS, name) ? DIGESTS[name] : undefined
  if (digest === undefined || !isAvailable(digest)) {
    const known = Object.keys(DIGESTS).map((each) => SCHEME_PREFIX + each)
    throw new SavepointError(
      'WIRE_UNKNOWN_SCHEME',
      `Messages cannot be signed with "${scheme}"; use one of ${known.join(', ')}.`,
      { scheme },
    )
  }
  const keyBytes = Buffer.from(key, 'utf8')
  return (signed) => {
    const hmac = createHmac(digest, keyBytes)
    for (const frame of signed) hmac.update(frame)
    return Buffer.from(hmac.digest('hex'), 'latin1')
  }
}

/** A build of OpenSSL may lack old digests. */
function isAvailable(digest: string): boolean {
  try {
    createHmac(digest, 'probe')
    return true
  } catch {
    return false
  }
}

/** How many verified signatures are remembered at least, and twice as many at most. */
const GENERATION_LENGTH = 32_768

/**
 * Lets in what is signed with the key and has not come before.
 *
 * Two generations of at most `GENERATION_LENGTH` signatures are kept; when the younger is full the older is forgotten
 * as a whole, which costs less than finding the oldest of a large set for every message.
 *
 * Invariant: only verified signatures are remembered, so junk cannot push out what protects against replays.
 */
export class SignatureGuard {
  readonly #sign: Signer
  #young = new Set<string>()
  #old = new Set<string>()

  constructor(signer: Signer) {
    this.#sign = signer
  }

  /** Throws WIRE_BAD_SIGNATURE or WIRE_REPLAYED. Neither says what the signature was or should have been. */
  check(signature: Buffer, signed: readonly Buffer[]): void {
    // Without a key the frame has to be empty; whoever signs holds a key that we do not have.
    const expected = this.#sign === null ? EMPTY : this.#sign(signed)
    if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) {
      throw new SavepointError('WIRE_BAD_SIGNATURE', 'A message is not signed with the key of the connection file.')
    }
    if (this.#sign !== null) this.#remember(signature.toString('latin1'))
  }

  #remember(signature: string): void {
    if (this.#young.has(signature) || this.#old.has(signature)) {
      throw new SavepointError('WIRE_REPLAYED', 'A message came a second time; a new one needs a new msg_id.')
    }
    if (this.#young.size >= GENERATION_LENGTH) {
      this.#old = this.#young
      this.#young = new Set()
    }
    this.#young.add(signature)
  }
}
