/** Which programs may be a Python, and what one of them says it is. */
import { isAbsolute, join, resolve } from 'node:path'
import type { Environment } from '../config.js'
import type { Version } from './version.js'

/** An interpreter that answered. */
export interface Interpreter {
  /** As it was found, symbolic links and all: a virtual environment's `python` is one, and resolving it would leave it. */
  readonly path: string
  readonly version: Version
  readonly implementation: string
  readonly prefix: string
  /** Where it imports from: what is installed later changes the date of one of these folders. */
  readonly searchPath: readonly string[]
  /** It can make virtual environments that have pip. */
  readonly hasVenv: boolean
  readonly hasPip: boolean
  /** Versions of what can be imported, null for what cannot. */
  readonly packages: {
    readonly ipykernel: string | null
    readonly ipython: string | null
    readonly cloudpickle: string | null
  }
}

/** What to look for when nobody said which Python: the newest first that the worker is tested on. */
export const PYTHON_NAMES = ['python3.13', 'python3.12', 'python3.11', 'python3.10', 'python3'] as const

/** Absolute paths to try, best first. All of PATH counts: the first `python3.12` may be a shim that refuses. */
export function candidatePaths(env: Environment, isExecutable: (path: string) => boolean): string[] {
  const folders = searchFolders(env)
  const found = PYTHON_NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).filter(isExecutable)
  return [...new Set(found)]
}

/** The asked-for interpreter as an absolute path: a bare name is looked up on PATH, as a shell does. Null: not there. */
export function locate(
  asked: string,
  env: Environment,
  cwd: string,
  isExecutable: (path: string) => boolean,
): string | null {
  return locateAll(asked, env, cwd, isExecutable)[0] ?? null
}

/** Every program that the name could mean, in the order of PATH; a path means one at most. */
export function locateAll(
  asked: string,
  env: Environment,
  cwd: string,
  isExecutable: (path: string) => boolean,
): string[] {
  const paths = asked.includes('/') ? [resolve(cwd, asked)] : searchFolders(env).map((folder) => join(folder, asked))
  return paths.filter(isExecutable)
}

// Relative entries of PATH are skipped: what they name depends on where we were started.
function searchFolders(env: Environment): string[] {
  return (env['PATH'] ?? '').split(':').filter(isAbsolute)
}

/** Reads what probe.py printed; null when its last line is no answer. */
export function readProbe(path: string, lines: readonly string[]): Interpreter | null {
  try {
    const answer = JSON.parse(lines.at(-1) ?? '') as Record<string, unknown>
    const packages = answer['packages'] as Record<string, string | null>
    const version = answer['version']
    if (!Array.isArray(version) || !version.every(Number.isInteger)) return null
    return {
      path,
      version: version as number[],
      implementation: String(answer['implementation']),
      prefix: String(answer['prefix']),
      searchPath: answer['search_path'] as string[],
      hasVenv: answer['venv'] === true,
      hasPip: answer['pip'] === true,
      packages: {
        ipykernel: packages['ipykernel'] ?? null,
        ipython: packages['ipython'] ?? null,
        cloudpickle: packages['cloudpickle'] ?? null,
      },
    }
  } catch {
    return null
  }
}
