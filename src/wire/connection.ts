/**
 * A connection file: where a kernel's channels are, and with which key messages are signed.
 *
 * Docs: https://jupyter-client.readthedocs.io/en/stable/kernels.html#connection-files
 */

import { SavepointError } from '../errors.js'
import { belongTogether, decodeKey, type CurveKeys } from './curve.js'

export const PORT_NAMES = ['shell', 'iopub', 'stdin', 'control', 'hb'] as const
export type PortName = (typeof PORT_NAMES)[number]
export type Ports = Readonly<Record<PortName, number>>

export interface Connection {
  readonly transport: 'tcp' | 'ipc'
  /** Address to bind, or for ipc the beginning of the sockets' paths. */
  readonly ip: string
  /** 0: any free one. */
  readonly ports: Ports
  readonly key: string
  readonly signatureScheme: string
  readonly kernelName: string | null
  /** Name of the notebook that started the kernel. */
  readonly jupyterSession: string | null
  /** With them every channel is encrypted; null: none is. */
  readonly curve: CurveKeys | null
  /** Everything that the file said, for writing it back. */
  readonly original: Readonly<Record<string, unknown>>
}

const PORT_MAX = 65_535
/** A unix socket's path has 108 bytes, one of which ends it. */
const SOCKET_PATH_BYTES_MAX = 107

/** Throws CONNECTION_FILE_INVALID, which names the field that is wrong but never shows the key. */
export function parseConnection(text: string): Connection {
  const original = parseObject(text)
  const transport = original['transport'] ?? 'tcp'
  if (transport !== 'tcp' && transport !== 'ipc') throw invalid('names a transport that is neither "tcp" nor "ipc"')
  const connection: Connection = {
    transport,
    ip: checkedAddress(transport, original['ip']),
    ports: checkedPorts(original),
    key: checkedKey(original['key']),
    signatureScheme: optionalText(original, 'signature_scheme') || 'hmac-sha256',
    kernelName: optionalText(original, 'kernel_name'),
    jupyterSession: optionalText(original, 'jupyter_session'),
    curve: checkedCurve(original),
    original,
  }
  if (transport === 'ipc') checkPathLengths(connection)
  return connection
}

/** What a connection file holds when nobody has written one: loopback, any free ports. */
export function newConnectionFields(key: string): Readonly<Record<string, unknown>> {
  return {
    shell_port: 0,
    iopub_port: 0,
    stdin_port: 0,
    control_port: 0,
    hb_port: 0,
    ip: '127.0.0.1',
    key,
    transport: 'tcp',
    signature_scheme: 'hmac-sha256',
    kernel_name: '',
  }
}

/** The endpoint of a channel, in ZeroMQ's form. Port 0 of tcp lets the system choose. */
export function endpointOf(connection: Connection, port: number): string {
  if (connection.transport === 'ipc') return `ipc://${connection.ip}-${port}`
  const host = connection.ip.includes(':') ? `[${connection.ip}]` : connection.ip
  return `tcp://${host}:${port}`
}

/** The file's fields with the ports that were bound; what we do not know is kept. */
export function mergePorts(
  original: Readonly<Record<string, unknown>>,
  bound: Ports,
): Readonly<Record<string, unknown>> {
  return { ...original, ...Object.fromEntries(PORT_NAMES.map((name) => [`${name}_port`, bound[name]])) }
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's message quotes the text, in which the key stands.
    throw invalid('is no JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('is no JSON object')
  return { ...value }
}

/**
 * Addresses are bound, not resolved: ZeroMQ takes numbers, interface names and `*`, so the one name that people write
 * is translated here.
 */
function checkedAddress(transport: 'tcp' | 'ipc', value: unknown): string {
  if (typeof value !== 'string' || value === '') throw invalid('has no ip')
  if (transport === 'ipc') {
    if (value.includes('\0')) throw invalid('has an ip that is no path')
    return value
  }
  const ip = value.startsWith('[') && value.endsWith(']') ? value.slice(1, -1) : value
  if (!/^[\w.:*%-]+$/.test(ip)) throw invalid('has an ip that is no address')
  return ip === 'localhost' ? '127.0.0.1' : ip
}

function checkedPorts(original: Readonly<Record<string, unknown>>): Ports {
  const taken = new Map<number, string>()
  const check = (name: PortName): number => {
    const field = `${name}_port`
    const value = original[field]
    if (value === undefined) throw invalid(`has no ${field}`)
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > PORT_MAX) {
      throw invalid(`has a ${field} that is no whole number from 0 to ${PORT_MAX}`)
    }
    const other = taken.get(value)
    if (value !== 0 && other !== undefined) throw invalid(`gives ${other} and ${field} the same number, ${value}`)
    taken.set(value, field)
    return value
  }
  return {
    shell: check('shell'),
    iopub: check('iopub'),
    stdin: check('stdin'),
    control: check('control'),
    hb: check('hb'),
  }
}

/** A missing key is no choice of unsigned messages, which an empty one is. */
function checkedKey(value: unknown): string {
  if (typeof value !== 'string') throw invalid('has no key; an empty text stands for messages without signatures')
  return value
}

function optionalText(original: Readonly<Record<string, unknown>>, name: string): string | null {
  const value = original[name]
  if (value === undefined || value === null) return null
  if (typeof value !== 'string') throw invalid(`has a ${name} that is no text`)
  return value
}

/** An encryption that was asked for is never left out: a pair that cannot be used is refused. */
function checkedCurve(original: Readonly<Record<string, unknown>>): CurveKeys | null {
  const [publicKey, secretKey] = CURVE_FIELDS.map((name) => optionalText(original, name) || null)
  if (!publicKey && !secretKey) return null
  for (const [name, key] of [
    ['curve_publickey', publicKey],
    ['curve_secretkey', secretKey],
  ]) {
    if (!key) throw invalid(`asks for encryption but has no ${name}; both keys of the pair are needed`)
  }
  const [publicBytes, secretBytes] = [publicKey, secretKey].map((key) => decodeKey(key ?? ''))
  if (!publicBytes) throw invalid('has a curve_publickey that is no key of 40 characters in Z85')
  if (!secretBytes) throw invalid('has a curve_secretkey that is no key of 40 characters in Z85')
  if (!belongTogether(publicBytes, secretBytes))
    throw invalid('has a curve_publickey and a curve_secretkey of two pairs')
  return { publicKey: publicKey ?? '', secretKey: secretKey ?? '' }
}

const CURVE_FIELDS = ['curve_publickey', 'curve_secretkey'] as const

function checkPathLengths(connection: Connection): void {
  for (const name of PORT_NAMES) {
    const bytes = Buffer.byteLength(`${connection.ip}-${connection.ports[name] || PORT_MAX}`)
    if (bytes > SOCKET_PATH_BYTES_MAX) {
      throw invalid(`has an ip that is too long for a socket's path (${bytes} bytes of ${SOCKET_PATH_BYTES_MAX})`)
    }
  }
}

function invalid(what: string): SavepointError {
  return new SavepointError('CONNECTION_FILE_INVALID', `The connection file ${what}.`)
}
