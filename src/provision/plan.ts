/** What to do with an interpreter, decided from what it said. Nothing here runs or reads anything. */
import { createHash } from 'node:crypto'
import { config } from '../config.js'
import { SavepointError } from '../errors.js'
import type { Interpreter } from './interpreter.js'
import type { Version } from './version.js'
import { isAtLeast, parseVersion, showVersion } from './version.js'

const WANTED = `Python ${showVersion(config.pythonVersionMin)} or newer`
const ASK_FOR_ANOTHER = 'name another one with --python PATH or SAVEPOINT_PYTHON'

/** Why an interpreter cannot run a worker; null when it can. */
export function unfitness(interpreter: Interpreter): SavepointError | null {
  const { path, version, implementation } = interpreter
  if (!isAtLeast(version, config.pythonVersionMin)) {
    return new SavepointError(
      'PYTHON_TOO_OLD',
      `${path} is Python ${showVersion(version)}, and a kernel needs ${WANTED}. Install one, or ${ASK_FOR_ANOTHER}.`,
      { path, version: showVersion(version) },
    )
  }
  if (implementation !== 'cpython') {
    return new SavepointError(
      'PYTHON_NOT_FOUND',
      `${path} is ${implementation}, and a kernel needs CPython: ${ASK_FOR_ANOTHER}.`,
      {
        path,
      },
    )
  }
  return null
}

/** The interpreter for the private environment: the first that fits. Throws the reason that helps most when none does. */
export function choose(answered: readonly Interpreter[]): Interpreter {
  const able = answered.filter((interpreter) => unfitness(interpreter) === null)
  const best = able.find((interpreter) => interpreter.hasVenv)
  if (best !== undefined) return best
  if (able[0] !== undefined) throw noVenv(able[0])
  const refused = answered.map(unfitness).find((error) => error !== null)
  if (refused) throw refused
  throw new SavepointError('PYTHON_NOT_FOUND', `No Python was found on PATH. Install ${WANTED}, or ${ASK_FOR_ANOTHER}.`)
}

export function noVenv(interpreter: Interpreter): SavepointError {
  const name = `python${interpreter.version.slice(0, 2).join('.')}`
  return new SavepointError(
    'PYTHON_NO_VENV',
    `${interpreter.path} cannot make virtual environments: its modules venv and ensurepip are missing. ` +
      `On Debian and Ubuntu: apt install ${name}-venv (or python3-venv). Otherwise ${ASK_FOR_ANOTHER}.`,
    { path: interpreter.path },
  )
}

/** What a worker in the user's own interpreter has to get from a private folder. */
export type Lacking = 'nothing' | 'cloudpickle' | 'everything'

/**
 * IPython and ipykernel are used together or not at all: one of ours with one of theirs would be a pair that nobody
 * has tried.
 */
export function lacking({ packages }: Interpreter): Lacking {
  const fits = (version: string | null, least: Version): boolean => isAtLeast(parseVersion(version), least)
  if (!fits(packages.ipython, config.ipythonVersionMin)) return 'everything'
  if (!fits(packages.ipykernel, config.ipykernelVersionMin)) return 'everything'
  return packages.cloudpickle === null ? 'cloudpickle' : 'nothing'
}

/** Names the folder of one environment: another list, interpreter, version or use is another folder. */
export function environmentKey(lock: string, interpreter: Pick<Interpreter, 'path' | 'version'>, use: string): string {
  return createHash('sha256')
    .update([lock, interpreter.path, showVersion(interpreter.version), use].join('\0'))
    .digest('hex')
    .slice(0, 16)
}

/** The entries of a locked list for these distributions alone, hashes included. */
export function pickRequirements(lock: string, names: readonly string[]): string {
  const entries = lock.split(/\n(?=[A-Za-z0-9])/)
  return entries.filter((entry) => names.includes(/^[A-Za-z0-9._-]+/.exec(entry)?.[0] ?? '')).join('\n') + '\n'
}

/** How many distributions a locked list has at most, for the display of progress. */
export function countRequirements(lock: string): number {
  return new Set(lock.match(/^[A-Za-z0-9._-]+(?===)/gm) ?? []).size
}
