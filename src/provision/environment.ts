/**
 * Builds the two kinds of folder that a worker may need: a whole private environment, and the packages that the
 * user's own interpreter lacks.
 *
 * A virtual environment cannot be moved, so it is built where it stays. The file `.ready` is written last; a folder
 * without it is left over from a build that did not end, and is begun anew.
 */
import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Environment } from '../config.js'
import { config } from '../config.js'
import { SavepointError } from '../errors.js'
import { makeFolder } from '../folders.js'
import { isolated, runCommand } from './command.js'
import { isExecutable } from './find.js'
import { withFolderLock } from './folder-lock.js'
import type { Interpreter } from './interpreter.js'
import { locate } from './interpreter.js'
import type { Progress } from './packages.js'
import { installPackages } from './packages.js'
import { noVenv, pickRequirements } from './plan.js'
import { showVersion } from './version.js'

export interface Build {
  /** The folder; its parent is made too, for the user alone. */
  readonly folder: string
  readonly interpreter: Interpreter
  /** Path of the locked list. */
  readonly lockPath: string
  readonly env: Environment
  readonly progress: Progress
}

export const readyMarker = (folder: string): string => join(folder, '.ready')
export const environmentPython = (folder: string): string => join(folder, 'bin', 'python')
export const stackFolder = (folder: string): string => join(folder, 'site')

/** A virtual environment with the whole list. Does nothing when it is there. Safe to call twice, at once as well. */
export async function buildEnvironment(build: Build): Promise<void> {
  await once(build, async () => {
    const { folder, interpreter, lockPath, env, progress } = build
    progress(`Making a private Python environment from ${named(interpreter)} in ${folder}`)
    await createVenv(interpreter, folder, env)
    const python = environmentPython(folder)
    const lock = await readFile(lockPath, 'utf8')
    await installPackages({ python, pip: python, target: null, lockPath, lock }, env, progress)
    await checkImports([python, '-I'], {}, env)
  })
}

/** A folder `site` with the whole list, or with these distributions of it, for an interpreter that stays untouched. */
export async function buildStack(build: Build, names: readonly string[] | null): Promise<void> {
  await once(build, async () => {
    const { folder, interpreter, env, progress } = build
    progress(`Adding what ${named(interpreter)} lacks in ${folder} (nothing is written to that Python)`)
    makeFolder(folder)
    const whole = await readFile(build.lockPath, 'utf8')
    const lock = names === null ? whole : pickRequirements(whole, names)
    const lockPath = join(folder, 'requirements.lock')
    await writeFile(lockPath, lock)
    const helper = join(folder, 'helper')
    const target = stackFolder(folder)
    try {
      const pip = await pipFor(interpreter, helper, env)
      await installPackages({ python: interpreter.path, pip, target, lockPath, lock }, env, progress)
    } finally {
      await rm(helper, { recursive: true, force: true })
    }
    await checkImports([interpreter.path], { PYTHONPATH: target }, env, names ?? undefined)
  })
}

const named = ({ path, version }: Interpreter): string => `${path} (Python ${showVersion(version)})`

async function once({ folder, progress }: Build, work: () => Promise<void>): Promise<void> {
  if (existsSync(readyMarker(folder))) return
  await makeParent(join(folder, '..'))
  const onWait = (): void => progress('Another process is preparing the same Python environment; waiting for it')
  await withFolderLock(`${folder}.lock`, { deadlineMs: config.provisionWaitMs, onWait }, async () => {
    if (existsSync(readyMarker(folder))) return
    await rm(folder, { recursive: true, force: true })
    try {
      await work()
    } catch (error) {
      // What was begun is of no use to the next try, and may be large.
      await rm(folder, { recursive: true, force: true })
      throw error
    }
    await writeFile(readyMarker(folder), `${new Date().toISOString()}\n`)
  })
}

async function makeParent(folder: string): Promise<void> {
  try {
    makeFolder(folder, 0o700)
  } catch (error) {
    throw new SavepointError(
      'PROVISION_FAILED',
      `The folder ${folder} cannot be made (${(error as Error).message}). Name another data folder with SAVEPOINT_DATA_DIR, or a Python that has IPython and ipykernel with --python.`,
      { step: 'folder' },
      { cause: error },
    )
  }
}

async function createVenv(interpreter: Interpreter, folder: string, env: Environment): Promise<void> {
  const uv = locate('uv', env, '/', isExecutable)
  if (!interpreter.hasVenv && uv === null) throw noVenv(interpreter)
  const argv = interpreter.hasVenv
    ? [interpreter.path, '-I', '-m', 'venv', folder]
    : [uv ?? '', 'venv', '--seed', '--python', interpreter.path, folder]
  const result = await runCommand(argv, { deadlineMs: config.environmentCreateMs, env: isolated(env) })
  if (result.code === 0) return
  // Debian splits ensurepip out of Python in a way that only shows when it is used.
  if (result.tail.some((line) => line.includes('ensurepip'))) throw noVenv(interpreter)
  const reason = result.failure ?? result.tail.findLast((line) => line.trim() !== '') ?? `exit code ${result.code}`
  throw new SavepointError(
    'PROVISION_FAILED',
    `Making a virtual environment in ${folder} failed: ${reason}. Check that there is room on the disk and that ${interpreter.path} is complete, then run the same command again.`,
    { step: 'create', said: result.tail.join('\n') },
  )
}

/**
 * A Python of the same version that has pip. A passing environment comes first: its pip is as new as the interpreter,
 * while the interpreter's own may be of any age.
 */
async function pipFor(interpreter: Interpreter, helper: string, env: Environment): Promise<string> {
  if (!interpreter.hasVenv && interpreter.hasPip) return interpreter.path
  await createVenv(interpreter, helper, env)
  return environmentPython(helper)
}

/** An installation that does not import is found here, with a reason, and not by the first kernel. */
async function checkImports(
  python: readonly string[],
  extra: Environment,
  env: Environment,
  modules: readonly string[] = ['IPython', 'ipykernel.ipkernel', 'cloudpickle'],
): Promise<void> {
  const argv = [...python, '-c', `import ${modules.join(', ')}`]
  const result = await runCommand(argv, {
    deadlineMs: config.environmentCreateMs,
    env: { ...isolated(env), ...extra },
    // `-c` looks in the working folder first, where the user's files have names that they like.
    cwd: '/',
  })
  if (result.code === 0) return
  const reason = result.failure ?? result.tail.at(-1) ?? `exit code ${result.code}`
  throw new SavepointError(
    'PROVISION_FAILED',
    `The installed Python packages do not import: ${reason}. Run the same command again; if that does not help, give another Python with --python.`,
    { step: 'check', said: result.tail.join('\n') },
  )
}
