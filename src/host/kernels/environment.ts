/**
 * What a client may put into the environment of the kernel that it starts, and where that kernel works.
 *
 * `KERNEL_*` may always be given, as with Jupyter's kernel gateways. Further names are let in by a list of names and of
 * beginnings (`APP_*`, `*`). What decides which code is loaded has to be named in full there.
 */

import { statSync } from 'node:fs'
import { dirname, join, resolve, sep } from 'node:path'
import { SavepointError } from '../../errors.js'

const ALWAYS: readonly string[] = ['KERNEL_*']
const ONLY_BY_NAME: readonly string[] = ['PATH', 'PYTHON*', 'LD_*', 'SAVEPOINT_*', 'JPY_*']
const VALUE_CHARS_MAX = 4_096
const NAMES_MAX = 256
/** Half of a surrogate pair has no bytes in UTF-8. */
const NO_TEXT = /[\0\p{Surrogate}]/u

export interface KernelEnvironment {
  readonly environment: Readonly<Record<string, string>>
  /** Names that were given and are not let in. */
  readonly ignored: readonly string[]
}

/** Those of `given` that are let in. `given` is what a client sent. Throws `bad_request` for what is no environment. */
export function environmentOf(given: Readonly<Record<string, unknown>>, allowed: readonly string[]): KernelEnvironment {
  const entries = Object.entries(given)
  if (entries.length > NAMES_MAX) throw bad(`An environment has ${NAMES_MAX} variables at most.`, {})
  const environment: Record<string, string> = {}
  const ignored: string[] = []
  for (const [name, value] of entries) {
    if (!isLetIn(name, allowed)) {
      ignored.push(name)
      continue
    }
    if (typeof value !== 'string') throw bad(`The environment variable ${name} must be a string.`, { name })
    if (value.length > VALUE_CHARS_MAX || NO_TEXT.test(value)) {
      const rule = `must have ${VALUE_CHARS_MAX} characters at most, no NUL, and no half of a character`
      throw bad(`The environment variable ${name} ${rule}.`, { name })
    }
    environment[name] = value
  }
  return { environment, ignored }
}

function isLetIn(name: string, allowed: readonly string[]): boolean {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,255}$/.test(name)) return false
  if (allowed.includes(name)) return true
  return !ONLY_BY_NAME.some(fits(name)) && [...ALWAYS, ...allowed].some(fits(name))
}

function fits(name: string): (pattern: string) => boolean {
  return (pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern)
}

export interface Whereabouts {
  /** A file or folder below the root, as Jupyter's paths are: with slashes, and perhaps not there. */
  readonly path: string | null
  /** Asked for in so many words. */
  readonly cwd: string | null
  readonly environment: Readonly<Record<string, string>>
}

/**
 * Where a kernel starts to work: the folder that was asked for, else KERNEL_WORKING_DIR, else that of the path.
 *
 * A client on another machine names folders that are only there. So KERNEL_WORKING_DIR counts only if it exists, and of
 * a path what exists of it, up to the root. Throws `bad_request` for a `cwd` that is no folder, and for one that a kernel
 * in a sandbox would not find there. `isSeen`: is it in the sandbox?
 */
export function workingFolder(
  { path, cwd, environment }: Whereabouts,
  root: string,
  isSeen: (folder: string) => boolean = () => true,
): string {
  if (cwd !== null) {
    const folder = resolve(root, cwd)
    if (isFolder(folder)) return seen(folder, 'cwd')
    throw bad(`There is no folder ${cwd} to start the kernel in. Make it, or leave cwd out.`, { cwd })
  }
  const wished = environment['KERNEL_WORKING_DIR']
  if (wished && isFolder(resolve(root, wished))) return seen(resolve(root, wished), 'KERNEL_WORKING_DIR')
  return path === null ? root : folderOf(path, root)

  function seen(folder: string, name: string): string {
    if (isSeen(folder)) return folder
    const rest = `Leave ${name} out, or name a folder below ${root}.`
    throw bad(`This kernel runs in a sandbox, in which there is no folder ${folder}. ${rest}`, { [name]: folder })
  }
}

function folderOf(path: string, root: string): string {
  const top = resolve(root)
  const isBelow = (folder: string): boolean => folder.startsWith(top.endsWith(sep) ? top : top + sep)
  if (path.includes('\0')) return top
  let folder = join(top, path)
  while (isBelow(folder) && !isFolder(folder)) folder = dirname(folder)
  return isBelow(folder) ? folder.replace(/\/$/, '') : top
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

function bad(message: string, details: Readonly<Record<string, unknown>>): SavepointError {
  return new SavepointError('bad_request', message, details)
}
