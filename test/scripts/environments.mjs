/**
 * The Pythons that tests run in. They live in the user's cache folder, apart from the product's own environment, and
 * are made by the product's own provisioning; without a change of the locked lists they are made once.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { root } from '../../src/main/prepare.mjs'

const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'savepoint-test')
const provision = (file) => import(`../../dist/provision/${file}.js`)

/** An environment with the kernel's packages, real clients and the libraries of the test notebooks; its interpreter. */
export async function testPython() {
  const { askedInterpreter, foundInterpreter } = await provision('find')
  const asked = process.env.SAVEPOINT_PYTHON
  const interpreter = asked ? await askedInterpreter(asked, process.env) : await foundInterpreter(process.env)
  const python = await environment(interpreter, join(root, 'test', 'requirements-test.lock'))
  return { python, version: interpreter.version }
}

/** The same with many more libraries, for the tests that take minutes: those of `requirements-NAME`; its interpreter. */
export async function librariesPython({ python }, name = 'libraries') {
  const { probe } = await provision('find')
  const env = { ...process.env, PATH: `${dirname(python)}:${process.env.PATH}` }
  return environment(await probe(python, process.env), join(root, 'test', `requirements-${name}.lock`), env)
}

/**
 * One environment with the kernel's packages for each other minor version of Python from 3.10 to 3.13 that this
 * machine has, on PATH or installed by pyenv; unless `all` only for the oldest. What is not there, or cannot make
 * environments, is not tested on.
 */
export async function otherPythons({ python, version }, { all }) {
  const { isExecutable, probe } = await provision('find')
  const { candidatePaths } = await provision('interpreter')
  const { unfitness } = await provision('plan')
  const versions = join(process.env.PYENV_ROOT || join(homedir(), '.pyenv'), 'versions')
  const ofPyenv = existsSync(versions)
    ? readdirSync(versions).map((name) => join(versions, name, 'bin', 'python3'))
    : []
  const done = new Set([version[1]])
  const found = []
  // uv of the test environment makes these in a second each.
  const env = { ...process.env, PATH: `${dirname(python)}:${process.env.PATH}` }
  for (const path of [...ofPyenv.filter(isExecutable), ...candidatePaths(process.env, isExecutable)]) {
    const interpreter = await probe(path, process.env)
    if (typeof interpreter === 'string' || unfitness(interpreter) !== null || !interpreter.hasVenv) continue
    const [, minor] = interpreter.version
    if (minor > 13 || done.has(minor)) continue
    done.add(minor)
    found.push(interpreter)
  }
  found.sort((one, other) => one.version[1] - other.version[1])
  const made = []
  for (const interpreter of all ? found : found.slice(0, 1))
    made.push(await environment(interpreter, join(root, 'src', 'python', 'requirements.lock'), env))
  return made
}

async function environment(interpreter, lockPath, env = process.env) {
  const { buildEnvironment, environmentPython } = await provision('environment')
  const { environmentKey } = await provision('plan')
  const folder = join(cache, environmentKey(readFileSync(lockPath, 'utf8'), interpreter, 'tests'))
  const progress = (line) => line.startsWith('  ') || process.stdout.write(`${line}\n`)
  await buildEnvironment({ folder, interpreter, lockPath, env, progress })
  return environmentPython(folder)
}
