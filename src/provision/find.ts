/** Asks interpreters what they are, and takes the right one. */
import { accessSync, constants, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Environment } from '../config.js'
import { config, packageRoot } from '../config.js'
import { SavepointError } from '../errors.js'
import type { RunCommand } from './command.js'
import { runCommand } from './command.js'
import type { Interpreter } from './interpreter.js'
import { candidatePaths, locateAll, readProbe } from './interpreter.js'
import { choose, unfitness } from './plan.js'

const PROBE = join(packageRoot, 'src', 'provision', 'probe.py')

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** What an interpreter is and has; a string with the reason when it does not answer. Runs it once, with a deadline. */
export async function probe(
  path: string,
  env: Environment,
  run: RunCommand = runCommand,
): Promise<Interpreter | string> {
  const result = await run([path, PROBE], { deadlineMs: config.interpreterProbeMs, env, cwd: tmpdir() })
  if (result.code !== 0) return result.failure ?? complaint(result.tail) ?? `exit code ${result.code}`
  return readProbe(path, result.stdout) ?? 'it did not say what it is'
}

/** The line that says most: an interpreter that finds no standard library goes on for long after it. */
function complaint(tail: readonly string[]): string | undefined {
  const lines = tail.map((line) => line.trim()).filter((line) => line !== '')
  return lines.find((line) => /^fatal/i.test(line)) ?? lines.at(-1)
}

/**
 * The interpreter that was asked for by name or path. Throws PYTHON_NOT_FOUND or PYTHON_TOO_OLD.
 *
 * A bare name means the first of that name that answers: one before it may be a shim that refuses.
 */
export async function askedInterpreter(asked: string, env: Environment): Promise<Interpreter> {
  const refusals: string[] = []
  for (const path of locateAll(asked, env, process.cwd(), isExecutable)) {
    const interpreter = await probe(path, env)
    if (typeof interpreter === 'string') {
      refusals.push(`${path} does not run as a Python (${interpreter}).`)
      continue
    }
    const refusal = unfitness(interpreter)
    if (refusal !== null) throw refusal
    return interpreter
  }
  if (refusals.length > 0) {
    throw new SavepointError('PYTHON_NOT_FOUND', `${refusals.join(' ')} Give the path of one that does.`, { asked })
  }
  throw new SavepointError(
    'PYTHON_NOT_FOUND',
    `There is no program ${asked}. Give --python or SAVEPOINT_PYTHON the path of a Python.`,
    { path: asked },
  )
}

/** The best interpreter on PATH that can make environments. Stops asking at the first that fits. */
export async function foundInterpreter(env: Environment): Promise<Interpreter> {
  const answered: Interpreter[] = []
  for (const path of candidatePaths(env, isExecutable)) {
    const interpreter = await probe(path, env)
    if (typeof interpreter === 'string') continue
    answered.push(interpreter)
    if (unfitness(interpreter) === null && interpreter.hasVenv) break
  }
  return choose(answered)
}
