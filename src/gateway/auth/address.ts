/** Who a request comes from, seen through the proxies that are trusted. Pure. */

import type { IncomingHttpHeaders } from 'node:http'
import { BlockList, isIP, isIPv4 } from 'node:net'
import { SavepointError } from '../../errors.js'

export interface Origination {
  readonly address: string
  /** The client's own connection is TLS, to us or to a trusted proxy. */
  readonly secure: boolean
}

/** Addresses and networks (`10.0.0.0/8`, `::1`) of proxies. Throws USAGE. */
export function trustedProxies(entries: readonly string[]): BlockList {
  const list = new BlockList()
  for (const entry of entries) {
    const [address = '', bits] = entry.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    const whole = family === 'ipv4' ? 32 : 128
    const prefix = bits === undefined ? whole : /^\d{1,3}$/.test(bits) ? Number(bits) : NaN
    if (isIP(address) === 0 || !(prefix <= whole))
      throw new SavepointError('USAGE', `${JSON.stringify(entry)} is no address or network of a proxy.`)
    list.addSubnet(address, prefix, family)
  }
  return list
}

/**
 * X-Forwarded-For and -Proto count only if a trusted proxy sent them, read from the right: what stands further left is
 * whatever the client wrote.
 */
export function originationOf(
  headers: IncomingHttpHeaders,
  peer: string,
  encrypted: boolean,
  trusted: BlockList,
): Origination {
  let address = plainAddress(peer)
  if (!isTrusted(address, trusted)) return { address, secure: encrypted }
  const hops = listed(headers['x-forwarded-for']).map(plainAddress)
  while (hops.length > 0 && isTrusted(address, trusted)) {
    const next = hops.pop() ?? ''
    if (isIP(next) === 0) break
    address = next
  }
  const proto = listed(headers['x-forwarded-proto']).at(-1)?.toLowerCase()
  return { address, secure: proto === undefined ? encrypted : proto === 'https' }
}

/** What failures are counted by: one machine may have all addresses of an IPv6 /64. */
export function countedAs(address: string): string {
  if (isIP(address) !== 6) return address
  const [head = '', tail] = address.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups =
    tail === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right]
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, '').toLowerCase())
    .join(':')}::/64`
}

export function isLoopback(address: string): boolean {
  const plain = plainAddress(address)
  return plain === 'localhost' || plain === '::1' || (isIPv4(plain) && plain.startsWith('127.'))
}

function isTrusted(address: string, trusted: BlockList): boolean {
  const family = isIP(address)
  return family !== 0 && trusted.check(address, family === 6 ? 'ipv6' : 'ipv4')
}

// An IPv4 client of a socket for both families, and the brackets or port that some proxies add.
function plainAddress(written: string): string {
  const bare = written
    .trim()
    .replace(/^\[([^\]]*)\](:\d+)?$/, '$1')
    .replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1')
    .replace(/%.*$/, '')
  return bare.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '')
}

function listed(header: string | string[] | undefined): string[] {
  return (Array.isArray(header) ? header.join(',') : (header ?? ''))
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}
