/** `savepoint install`: prepares the Python, then makes the kernel known to Jupyter. */
import type { Settings } from '../config.js'
import { config, places, resolveSettings } from '../config.js'
import { SavepointError } from '../errors.js'
import { runCommand } from '../provision/command.js'
import { isExecutable } from '../provision/find.js'
import { locate } from '../provision/interpreter.js'
import { workerPython } from '../provision/worker-python.js'
import { parseFlags } from './flags.js'
import { DEFAULT_NAME, checkName, kernelsFolder, makeSpec, readTemplate, writeSpecFolder } from './kernelspec.js'
import { EXIT } from './report.js'

const FLAGS = {
  '--user': 'switch',
  '--sys-prefix': 'switch',
  '--prefix': 'value',
  '--name': 'value',
  '--display-name': 'value',
  '--python': 'value',
  '--guard': 'switch',
} as const

export interface Installed {
  readonly folder: string
  readonly undo: string
  readonly settings: Settings
}

export async function runInstall(args: readonly string[]): Promise<number> {
  const { folder, undo } = await install(args, (line) => void process.stderr.write(`${line}\n`))
  process.stdout.write(`Installed the kernelspec in ${folder}\nTo undo this: ${undo}\n`)
  return EXIT.done
}

/** Installs for these arguments. Everything that can be wrong with them is found before anything is done. */
export async function install(args: readonly string[], progress: (line: string) => void): Promise<Installed> {
  const { given } = parseFlags(args, FLAGS)
  const name = checkName((given['--name'] ?? DEFAULT_NAME).toLowerCase())
  const asked = resolveSettings(given['--python'] === undefined ? {} : { python: given['--python'] })
  // A kernel is started in the notebook's folder, with another PATH: its Python is written down as an absolute path.
  const settings = { ...asked, python: asked.python === null ? null : absolute(asked.python) }
  const kernels = kernelsFolder(given, settings.python, process.env)
  const worker = await workerPython(settings, progress)
  progress(`Cells will run in ${worker.python}`)
  // Where the program lies in a folder that its users may not write to, each start would compile it anew.
  await runCommand([worker.python, '-m', 'compileall', '-q', places.python], {
    deadlineMs: config.interpreterProbeMs,
    // `-m` looks in the working folder first, where the user's files have names that they like.
    cwd: '/',
  })
  const spec = makeSpec(readTemplate(), process.execPath, places.program, {
    displayName: given['--display-name'],
    python: settings.python,
    worker,
    guard: given['--guard'],
  })
  const folder = writeSpecFolder(kernels, name, spec)
  return { folder, undo: undoCommand(args, name), settings }
}

function absolute(python: string): string {
  const path = locate(python, process.env, process.cwd(), isExecutable)
  if (path !== null) return path
  throw new SavepointError('PYTHON_NOT_FOUND', `There is no program ${python}. Give --python the path of a Python.`, {
    path: python,
  })
}

function undoCommand(args: readonly string[], name: string): string {
  const { given } = parseFlags(args, FLAGS)
  const place = given['--sys-prefix']
    ? ' --sys-prefix'
    : given['--prefix']
      ? ` --prefix ${quoted(given['--prefix'])}`
      : ''
  const python = given['--sys-prefix'] && given['--python'] ? ` --python ${quoted(given['--python'])}` : ''
  return `node ${quoted(places.program)} uninstall${place}${python}${name === DEFAULT_NAME ? '' : ` --name ${name}`}`
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`
}
