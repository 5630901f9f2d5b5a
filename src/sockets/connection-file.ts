/**
 * The connection file on disk.
 *
 * Clients watch for the file and read it whenever they like, so it is replaced as a whole and never half-written, and
 * only its owner may read it, since the key stands in it.
 */

import { randomBytes, randomUUID } from 'node:crypto'
import { open, readFile, realpath, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SavepointError } from '../errors.js'
import { makeFolder } from '../folders.js'
import { PORT_NAMES, mergePorts, newConnectionFields, parseConnection } from '../wire/connection.js'
import type { Connection, Ports } from '../wire/connection.js'
import { parseRegistration, type Registration } from '../wire/registration.js'
import { createSigner } from '../wire/signature.js'
import { codeOf } from './fault.js'

export interface ConnectionFile {
  /** Where it is, or will be once the ports are known. */
  readonly path: string
  readonly connection: Connection
  /** Whom to tell of the ports, if the launcher passed a registration file. */
  readonly registration: Registration | null
  /** Writes the bound ports into the file, which keeps all else that it said. Does nothing if they stand there. */
  writePorts(ports: Ports): Promise<void>
  /** Removes the file if it was made here and is still the same. Never fails. */
  dispose(): Promise<void>
}

const FILE_BYTES_MAX = 1024 * 1024
const KEY_BYTES = 32

/**
 * Reads a connection file, or prepares a new one of `newFields` (a random key, free ports) if there is none: `writePorts`
 * creates it.
 *
 * A registration file stays as it is, since a restart needs it again: the connection file for other clients is then
 * made where `pathOf` says, for the launcher's id of this kernel or a random one. Throws CONNECTION_FILE_INVALID.
 */
export async function openConnectionFile(
  given: string,
  pathOf: (kernelId: string) => string = () => given,
  newFields = newConnectionFields(randomBytes(KEY_BYTES).toString('hex')),
): Promise<ConnectionFile> {
  const text = await readExisting(given)
  const registration = text === null ? null : inFile(given, () => parseRegistration(text))
  const isNew = text === null || registration !== null
  const path = registration === null ? given : pathOf(safeName(registration.kernelId))
  const fields = text ?? JSON.stringify(newFields)
  const connection = registration?.connection ?? inFile(given, () => parseConnection(fields))
  inFile(given, () => createSigner(connection.signatureScheme, connection.key))
  let isWritten = false
  return {
    path,
    connection,
    registration,
    async writePorts(ports) {
      if (registration !== null) makeFolder(dirname(path), 0o700)
      if (!isNew && PORT_NAMES.every((name) => connection.ports[name] === ports[name])) return
      await replaceFile(path, `${JSON.stringify(mergePorts(connection.original, ports), null, 2)}\n`)
      isWritten = true
    },
    async dispose() {
      if (isNew && isWritten && (await holdsKey(path, connection.key))) await rm(path, { force: true }).catch(() => {})
    },
  }
}

/** Says in an error which file it was. */
function inFile<T>(path: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof SavepointError)) throw error
    const message = error.message.replace(/^The connection file\b/, `The connection file ${path}`)
    const named = message.includes(path) ? message : `The connection file ${path}: ${message}`
    throw new SavepointError('CONNECTION_FILE_INVALID', named, { ...error.details, path }, { cause: error })
  }
}

/** An id that can be part of a file's name. */
function safeName(kernelId: string | null): string {
  return kernelId !== null && /^[\w-][\w.-]{0,199}$/.test(kernelId) ? kernelId : randomUUID()
}

/** The text, or null if there is no file. A pipe or a device would block the reading, and is refused. */
async function readExisting(path: string): Promise<string | null> {
  try {
    const found = await stat(path)
    if (!found.isFile()) throw invalid(path, 'is no regular file')
    if (found.size > FILE_BYTES_MAX) throw invalid(path, 'is too large to be one')
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof SavepointError) throw error
    const code = codeOf(error)
    if (code === 'ENOENT') return null
    throw invalid(path, code === 'EACCES' ? 'may not be read by this user' : `cannot be read (${code})`, error)
  }
}

/** The new file appears under its name only when it is whole. A symbolic link stays one, and its target is replaced. */
async function replaceFile(path: string, text: string): Promise<void> {
  const target = await realpath(path).catch(() => path)
  const temporary = join(dirname(target), `.${randomUUID()}.tmp`)
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(text)
    } finally {
      await file.close()
    }
    await rename(temporary, target)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    const code = codeOf(error)
    const why = code === 'ENOENT' ? 'is in a folder that does not exist' : `cannot be written (${code})`
    throw invalid(path, why, error)
  }
}

async function holdsKey(path: string, key: string): Promise<boolean> {
  try {
    return parseConnection(await readFile(path, 'utf8')).key === key
  } catch {
    return false
  }
}

function invalid(path: string, what: string, cause?: unknown): SavepointError {
  return new SavepointError('CONNECTION_FILE_INVALID', `The connection file ${path} ${what}.`, { path }, { cause })
}
