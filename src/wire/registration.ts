/**
 * The handshake at the start: a launcher that leaves the ports to the kernel passes a registration file instead of a
 * connection file, and is told at the socket named there what was bound.
 *
 * There are two dialects. The specification's file names the socket by `registration_ip`; the message is one signed
 * frame of JSON with ports as text, to a ROUTER. Positron's has `ip`; the message is a whole Jupyter message with ports
 * as numbers, to a REP socket. Both answer with something signed.
 *
 * Docs: https://jupyter-client.readthedocs.io/en/stable/kernels.html#registration-files
 */

import { SavepointError } from '../errors.js'
import { DELIMITER, seal } from './codec.js'
import {
  endpointOf,
  newConnectionFields,
  parseConnection,
  PORT_NAMES,
  type Connection,
  type Ports,
} from './connection.js'
import { EMPTY_OBJECT, json, type Stamp } from './message.js'
import type { Signer } from './signature.js'

export interface Registration {
  readonly dialect: 'jupyter' | 'positron'
  /** Where the launcher listens. */
  readonly endpoint: string
  /** What the launcher calls this kernel, if it said so. */
  readonly kernelId: string | null
  /** What a connection file would have said, with all ports left to the kernel. */
  readonly connection: Connection
}

/** Null for a text that is no registration file; it will be a connection file, or nothing. Throws CONNECTION_FILE_INVALID. */
export function parseRegistration(text: string): Registration | null {
  const fields = objectIn(text)
  if (fields === null || fields['registration_port'] === undefined || fields['shell_port'] !== undefined) return null
  const dialect = fields['registration_ip'] === undefined ? 'positron' : 'jupyter'
  const { registration_ip, registration_port, kernel_id, ...rest } = fields
  const kernelId = typeof kernel_id === 'string' && kernel_id !== '' ? kernel_id : null
  const ip = dialect === 'jupyter' ? registration_ip : fields['ip']
  const port = typeof registration_port === 'string' ? Number(registration_port) : registration_port
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new SavepointError(
      'CONNECTION_FILE_INVALID',
      'The connection file has a registration_port that is no number from 1 to 65535.',
    )
  }
  const whole = { ...newConnectionFields(''), ...rest, key: fields['key'], ip }
  const launcher = parseConnection(JSON.stringify(whole))
  return {
    dialect,
    endpoint: endpointOf(launcher, port),
    kernelId,
    connection: parseConnection(JSON.stringify({ ...whole, ip: listeningAddress(launcher) })),
  }
}

/** A launcher on this machine needs no more than loopback; one elsewhere has to reach us. */
function listeningAddress({ transport, ip }: Connection): string {
  return transport === 'ipc' || ip.startsWith('127.') || ip === '::1' ? ip : ip.includes(':') ? '::' : '0.0.0.0'
}

/** Frames that tell the launcher what was bound. */
export function registrationFrames(registration: Registration, ports: Ports, stamp: Stamp, signer: Signer): Buffer[] {
  const isText = registration.dialect === 'jupyter'
  const named = Object.fromEntries(
    PORT_NAMES.map((name) => [`${name}_port`, isText ? String(ports[name]) : ports[name]]),
  )
  if (isText) {
    const content = json({ ...(registration.kernelId === null ? {} : { kernel_id: registration.kernelId }), ...named })
    return [DELIMITER, signer === null ? Buffer.alloc(0) : signer([content]), content]
  }
  const message = {
    type: 'handshake_request',
    parentBytes: EMPTY_OBJECT,
    metadataBytes: EMPTY_OBJECT,
    contentBytes: json(named),
    buffers: [],
  }
  return seal(message, stamp, signer)
}

/** What a launcher's answer means: 'junk' for one that is not signed with the key. */
export function readAcknowledgement(frames: readonly Buffer[], signer: Signer): 'accepted' | 'refused' | 'junk' {
  const at = frames.findIndex((frame) => frame.equals(DELIMITER))
  const [signature, ...signed] = frames.slice(at + 1)
  if (at < 0 || signature === undefined || signed.length === 0) return 'junk'
  // One frame, or the four of a Jupyter message; the last of them is the content.
  const whole = signed.slice(0, signed.length >= 4 ? 4 : 1)
  if (signer !== null && !signer(whole).equals(signature)) return 'junk'
  const content = objectIn(whole.at(-1)?.toString('utf8') ?? '')
  return content !== null && content['status'] === 'error' ? 'refused' : 'accepted'
}

function objectIn(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null
  } catch {
    return null
  }
}
