/** Where a kernelspec goes, what is in it, and whose it is. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Environment } from '../config.js'
import { config, places, userDataRoot } from '../config.js'
import { SavepointError } from '../errors.js'
import { makeFolder } from '../folders.js'
import { isExecutable } from '../provision/find.js'
import { locate } from '../provision/interpreter.js'
import type { WorkerPython } from '../provision/known.js'
import { usage } from './flags.js'

export const DEFAULT_NAME = 'savepoint'

export interface KernelSpec {
  readonly argv: readonly string[]
  readonly display_name: string
  readonly metadata: Readonly<Record<string, unknown>>
}

export interface SpecChoices {
  readonly displayName?: string | undefined
  readonly python?: string | null | undefined
  /** What the kernel's Python will be, so that it can be started at once. */
  readonly worker: WorkerPython
  readonly guard?: boolean | undefined
}

/** The kernelspec from the template: `argv` names the Python, the running Node and this program by absolute paths. */
export function makeSpec(template: KernelSpec, node: string, program: string, choices: SpecChoices): KernelSpec {
  const { python: workerPython, stack } = choices.worker
  const values: Readonly<Record<string, string>> = {
    '{launcher}': places.launcher,
    '{python}': workerPython,
    '{stack}': stack ?? '-',
    '{node}': node,
    '{program}': program,
  }
  const fill = (part: string): string => values[part] ?? part
  const python = choices.python ? ['--python', choices.python] : []
  const guard = choices.guard ? ['--guard'] : []
  return {
    ...template,
    argv: [...template.argv.map(fill), ...python, ...guard],
    display_name: choices.displayName ?? template.display_name,
  }
}

/** Jupyter's rule for names; it looks folders up in lower case. */
export function checkName(name: string): string {
  if (!/^[a-z0-9._-]+$/.test(name) || name === '.' || name === '..') {
    throw usage(`A kernelspec's name has small letters, digits, ".", "-" and "_" only: ${JSON.stringify(name)}`)
  }
  return name
}

export interface PlaceFlags {
  readonly '--user': boolean
  readonly '--sys-prefix': boolean
  readonly '--prefix': string | undefined
}

/** The folder of kernelspecs that the flags mean. Throws USAGE for two at once; PYTHON_NOT_FOUND for --sys-prefix. */
export function kernelsFolder(flags: PlaceFlags, python: string | null, env: Environment): string {
  if ([flags['--user'], flags['--sys-prefix'], flags['--prefix'] !== undefined].filter(Boolean).length > 1) {
    throw usage('--user, --sys-prefix and --prefix exclude each other.')
  }
  if (flags['--prefix'] !== undefined) return join(resolve(flags['--prefix']), 'share', 'jupyter', 'kernels')
  if (flags['--sys-prefix']) return join(interpreterPrefix(python, env), 'share', 'jupyter', 'kernels')
  return join(env['JUPYTER_DATA_DIR'] || join(userDataRoot(env), 'jupyter'), 'kernels')
}

/** `sys.prefix` of the interpreter that runs Jupyter: the asked one, the active environment's, else python3. */
function interpreterPrefix(python: string | null, env: Environment): string {
  const active = env['VIRTUAL_ENV'] || env['CONDA_PREFIX']
  if (python === null && active) return active
  const path = locate(python ?? 'python3', env, process.cwd(), isExecutable)
  if (path !== null) {
    try {
      const options = { timeout: config.interpreterProbeMs, encoding: 'utf8' } as const
      return execFileSync(path, ['-I', '-c', 'import sys; print(sys.prefix)'], options).trim()
    } catch {
      // Told below, with the remedy.
    }
  }
  throw new SavepointError(
    'PYTHON_NOT_FOUND',
    `--sys-prefix needs the Python of Jupyter, and ${python ?? 'python3'} does not run. Name it with --python.`,
  )
}

export function readTemplate(): KernelSpec {
  return JSON.parse(readFileSync(join(places.kernelspec, 'kernel.json'), 'utf8')) as KernelSpec
}

/** Whose a kernelspec folder is. Only what `install` wrote bears our mark. */
export function ownership(folder: string): 'ours' | 'foreign' | 'absent' {
  if (!existsSync(folder)) return 'absent'
  try {
    const spec = JSON.parse(readFileSync(join(folder, 'kernel.json'), 'utf8')) as Partial<KernelSpec>
    return spec.metadata !== undefined && Object.hasOwn(spec.metadata, 'savepoint') ? 'ours' : 'foreign'
  } catch {
    return 'foreign'
  }
}

/** Writes the whole folder beside its place and swaps it in, so that Jupyter never sees half of one. */
export function writeSpecFolder(kernels: string, name: string, spec: KernelSpec): string {
  const folder = join(kernels, name)
  if (ownership(folder) === 'foreign') {
    throw new SavepointError(
      'already_exists',
      `${folder} is another kernel's. Choose a name with --name, or remove that folder first.`,
      { folder },
    )
  }
  makeFolder(kernels)
  // Jupyter ignores folders whose name it does not like, such as one with a "~".
  const draft = mkdtempSync(join(kernels, `~${name}-`))
  try {
    const made = join(draft, 'new')
    cpSync(places.kernelspec, made, { recursive: true })
    writeFileSync(join(made, 'kernel.json'), `${JSON.stringify(spec, null, 1)}\n`)
    if (existsSync(folder)) renameSync(folder, join(draft, 'old'))
    renameSync(made, folder)
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
  return folder
}
