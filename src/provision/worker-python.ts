/** From settings to a Python that can run workers, building what is missing on the way. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Environment, Settings } from '../config.js'
import { places } from '../config.js'
import type { Build } from './environment.js'
import { buildEnvironment, buildStack, environmentPython, readyMarker, stackFolder } from './environment.js'
import { askedInterpreter, foundInterpreter } from './find.js'
import type { Interpreter } from './interpreter.js'
import type { WorkerPython } from './known.js'
import { recallWorkerPython, rememberWorkerPython } from './known.js'
import type { Progress } from './packages.js'
import { environmentKey, lacking } from './plan.js'

/**
 * The Python for the workers of these settings, provisioned if need be.
 *
 * An interpreter that was asked for is used as it is, and never written to; without one there is a private
 * environment in the data folder. The second call of the same settings takes a few file stats. `progress` is told only
 * of what is made: who starts a kernel with a Python that needs nothing reads nothing.
 *
 * Throws PYTHON_NOT_FOUND, PYTHON_TOO_OLD, PYTHON_NO_VENV or PROVISION_FAILED, each with its remedy; `timeout` when
 * another process provisions for too long.
 */
export async function workerPython(
  settings: Settings,
  progress: Progress,
  env: Environment = process.env,
): Promise<WorkerPython> {
  const known = recallWorkerPython(settings, env)
  if (known !== null) return known
  const [answer, files] =
    settings.python === null
      ? await provisioned(settings, env, progress)
      : await asked(settings, settings.python, env, progress)
  rememberWorkerPython(settings, answer, files, env)
  return answer
}

type Found = readonly [answer: WorkerPython, dependsOn: readonly string[]]

async function provisioned(settings: Settings, env: Environment, progress: Progress): Promise<Found> {
  const interpreter = await foundInterpreter(env)
  const build = await planBuild(settings, interpreter, 'environment', env, progress)
  await buildEnvironment(build)
  const python = environmentPython(build.folder)
  return [{ python, stack: null }, [readyMarker(build.folder), python]]
}

async function asked(settings: Settings, name: string, env: Environment, progress: Progress): Promise<Found> {
  const interpreter = await askedInterpreter(name, env)
  const dependsOn = [interpreter.path, ...interpreter.searchPath]
  const lacks = lacking(interpreter)
  if (lacks === 'nothing') return [{ python: interpreter.path, stack: null }, dependsOn]
  const build = await planBuild(settings, interpreter, lacks, env, progress)
  await buildStack(build, lacks === 'everything' ? null : [lacks])
  return [{ python: interpreter.path, stack: stackFolder(build.folder) }, [...dependsOn, readyMarker(build.folder)]]
}

async function planBuild(
  settings: Settings,
  interpreter: Interpreter,
  use: string,
  env: Environment,
  progress: Progress,
): Promise<Build> {
  const key = environmentKey(await readFile(places.requirementsLock, 'utf8'), interpreter, use)
  return { folder: join(settings.dataDir, 'py', key), interpreter, lockPath: places.requirementsLock, env, progress }
}
