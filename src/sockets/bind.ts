/**
 * Binds one socket where the connection file says.
 *
 * A port may still be held for a moment by the kernel that had the same connection file before (a restart keeps file
 * and ports), so a taken one is tried again for a while. With ipc the sockets are files: ZeroMQ would silently take the
 * place of a socket that is in use, so it is asked first whether anybody answers there.
 */

import { chmod, lstat, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SavepointError } from '../errors.js'
import { endpointOf } from '../wire/connection.js'
import type { Connection, PortName } from '../wire/connection.js'
import { codeOf } from './fault.js'

/** The part of a ZeroMQ socket that binding uses. */
export interface Bindable {
  bind(endpoint: string): Promise<void>
  readonly lastEndpoint: string | null
}

export interface BindOptions {
  /** How long a taken port is tried again. */
  readonly patienceMs: number
}

const TRY_AGAIN_MS = 50

/**
 * Binds and returns the port, which is the connection's own unless that is 0.
 *
 * Throws PORT_IN_USE, or CONNECTION_FILE_INVALID for an address that this machine does not have.
 */
export async function bindPort(
  socket: Bindable,
  connection: Connection,
  name: PortName,
  options: BindOptions,
): Promise<number> {
  const port = connection.transport === 'ipc' ? await freeSocketFile(connection, name, options) : connection.ports[name]
  const endpoint = endpointOf(connection, port)
  await persist(options, async () => {
    try {
      await socket.bind(endpoint)
    } catch (error) {
      throw refusal(error, name, port, connection)
    }
  })
  if (connection.transport === 'tcp') return port === 0 ? Number(socket.lastEndpoint?.split(':').at(-1)) : port
  // Whoever can connect can send; the signature is the lock, and this the door.
  await chmod(pathOf(connection, port), 0o600)
  return port
}

/** Tries again while the port is in use. */
async function persist(options: BindOptions, attempt: () => Promise<void>): Promise<void> {
  const deadline = performance.now() + options.patienceMs
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      const inUse = error instanceof SavepointError && error.code === 'PORT_IN_USE'
      if (!inUse || performance.now() + TRY_AGAIN_MS > deadline) throw error
      await sleep(TRY_AGAIN_MS)
    }
  }
}

function refusal(error: unknown, name: PortName, port: number, connection: Connection): SavepointError {
  const code = codeOf(error)
  if (code === 'EADDRINUSE') return inUse(name, port, { cause: error })
  const why =
    code === 'EACCES'
      ? 'this user may not listen there'
      : code === 'ENOENT' || code === 'ENOTDIR'
        ? 'its folder does not exist'
        : 'this machine does not have that address'
  return new SavepointError(
    'CONNECTION_FILE_INVALID',
    `The ${name} channel cannot listen at ${endpointOf(connection, port)}: ${why} (${code}).`,
    { channel: name, port, ip: connection.ip },
    { cause: error },
  )
}

function inUse(name: PortName, port: number, options: ErrorOptions = {}): SavepointError {
  return new SavepointError(
    'PORT_IN_USE',
    `Port ${port} of the ${name} channel is in use by another program; end that one or choose another port.`,
    { channel: name, port },
    options,
  )
}

/** The number in a socket file's name: the given one, which nobody may be listening at, or for 0 an unused one. */
async function freeSocketFile(connection: Connection, name: PortName, options: BindOptions): Promise<number> {
  const given = connection.ports[name]
  await requireFolder(connection)
  if (given !== 0) {
    await persist(options, async () => {
      if ((await occupant(pathOf(connection, given))) === 'listener') throw inUse(name, given)
    })
    return given
  }
  const reserved = new Set(Object.values(connection.ports))
  for (let port = 1; port <= 65_535; port += 1) {
    if (!reserved.has(port) && (await occupant(pathOf(connection, port))) === 'nobody') return port
  }
  throw inUse(name, 0)
}

async function requireFolder(connection: Connection): Promise<void> {
  const folder = dirname(connection.ip)
  const isFolder = await lstat(`${folder}/.`).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (isFolder) return
  throw new SavepointError('CONNECTION_FILE_INVALID', `The folder for the sockets does not exist: ${folder}.`, {
    folder,
  })
}

function pathOf(connection: Connection, port: number): string {
  return `${connection.ip}-${port}`
}

/** Who is at a path: nobody (a socket left behind by a kernel that was killed is removed), or a listener. */
async function occupant(path: string): Promise<'nobody' | 'listener'> {
  const found = await lstat(path).catch(() => null)
  if (found === null) return 'nobody'
  if (!found.isSocket()) {
    throw new SavepointError('CONNECTION_FILE_INVALID', `A file that is no socket is in the way: ${path}.`, { path })
  }
  if (await answers(path)) return 'listener'
  await unlink(path)
  return 'nobody'
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    // Only a refusal proves that nobody listens; a full queue or missing rights mean that somebody does.
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'))
  })
}
