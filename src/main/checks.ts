/** The single checks of the doctor, in the order in which one builds on the other. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SettingFlags, Settings } from '../config.js'
import { config, places, resolveSettings } from '../config.js'
import { runCommand } from '../provision/command.js'
import type { WorkerPython } from '../provision/known.js'
import { isAtLeast, parseVersion, showVersion } from '../provision/version.js'
import { workerPython } from '../provision/worker-python.js'
import { productVersion } from './commands.js'
import { readRecord } from './gateway-record.js'
import { checkDataFolder } from './health/data-folder.js'
import { fine, problem, type Finding } from './health/finding.js'
import { checkMachine } from './health/machine.js'
import { checkRelease } from './health/running.js'
import { checkSurvivors } from './health/survivors.js'
import { DEFAULT_NAME, kernelsFolder, makeSpec, ownership, readTemplate, writeSpecFolder } from './kernelspec.js'
import { tryCell } from './trial.js'

const NEEDED = 'No kernel can be started without it.'

/** Yields each check as it is done. None throws. */
export async function* allChecks(flags: SettingFlags, kernelsMax: number | null): AsyncGenerator<Finding> {
  const settings = resolveSettings(flags)
  yield* checkMachine(kernelsMax)
  yield* await checkDataFolder(settings.dataDir)
  const found = readRecord(settings.dataDir)
  yield* checkSurvivors(settings.dataDir, found?.alive === true)
  if (found?.alive === true) yield* checkRelease(found.record.release, productVersion())
  yield checkNode()
  yield await checkModule('zeromq')
  yield await checkModule('libsql')
  yield await checkLoopback()
  yield await checkUnixSocket()
  const notes: string[] = []
  const python = await workerPython(settings, (line) => notes.push(line)).catch((error: Error) => error)
  yield checkPython(settings, python)
  if (python instanceof Error) return
  yield await checkPackages(python)
  yield checkKernelspec()
  yield await checkCell(settings, python)
}

function checkNode(): Finding {
  const detail = `${process.version}, ${process.execPath}`
  if (isAtLeast(parseVersion(process.version), config.nodeVersionMin)) return fine('Node', detail)
  return problem('Node', detail, NEEDED, `Install Node ${showVersion(config.nodeVersionMin)} or newer.`)
}

async function checkModule(name: string): Promise<Finding> {
  try {
    await import(name)
    return fine(`module ${name}`, 'loads')
  } catch (error) {
    const reason = String((error as Error).message).split('\n')[0] ?? ''
    return problem(`module ${name}`, reason, NEEDED, 'Run npm ci in the folder of this program, on this machine.')
  }
}

/** Kernels of the connection files that Jupyter writes listen on the loopback address. */
async function checkLoopback(): Promise<Finding> {
  const reason = await listenOnce({ host: '127.0.0.1', port: 0 })
  if (reason === null) return fine('loopback', 'ports of 127.0.0.1 can be used')
  return problem(
    'loopback',
    reason,
    'Kernels of connection files listen there.',
    'Bring up the loopback interface, or lift what forbids listening on it.',
  )
}

/** The Python processes of a kernel dial a unix socket in the folder for temporary files. */
async function checkUnixSocket(): Promise<Finding> {
  const folder = mkdtempSync(join(tmpdir(), 'savepoint-doctor-'))
  try {
    const reason = await listenOnce({ path: join(folder, 'link') })
    if (reason === null) return fine('unix sockets', `can be made in ${tmpdir()}`)
    return problem(
      'unix sockets',
      reason,
      'Python speaks to the kernel over one.',
      'Set TMPDIR to a local folder with a short path.',
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function listenOnce(at: { host: string; port: number } | { path: string }): Promise<string | null> {
  return new Promise((done) => {
    const server = createServer()
    server.once('error', (error) => done(error.message))
    server.listen(at, () => server.close(() => done(null)))
  })
}

function checkPython(settings: Settings, python: WorkerPython | Error): Finding {
  const name = settings.python === null ? 'private Python' : 'your Python'
  if (!(python instanceof Error)) return fine(name, python.python)
  return problem(name, 'cannot be used', NEEDED, python.message)
}

/** Each package's version, and which of the two places it is from. */
async function checkPackages({ python, stack }: WorkerPython): Promise<Finding> {
  const report = [
    'import sys',
    ...(stack === null ? [] : [`sys.path.insert(0, ${JSON.stringify(stack)})`]),
    'import json, IPython, ipykernel, cloudpickle',
    'print(json.dumps([[m.__name__, m.__version__, m.__file__] for m in (IPython, ipykernel, cloudpickle)]))',
  ].join('\n')
  const result = await runCommand([python, '-c', report], { deadlineMs: config.interpreterProbeMs, cwd: '/' })
  if (result.code === 0) return fine('Python packages', showPackages(result.stdout.at(-1) ?? '[]', stack))
  const remedy = `Remove ${stack ?? 'the private environment'} and run this again; it is made anew.`
  return problem('Python packages', result.failure ?? result.tail.at(-1) ?? 'do not import', NEEDED, remedy)
}

function showPackages(report: string, stack: string | null): string {
  const found = JSON.parse(report) as readonly (readonly [string, string, string])[]
  const ours = found.filter(([, , file]) => stack !== null && file.startsWith(`${stack}/`))
  const show = (packages: typeof found): string => packages.map(([name, version]) => `${name} ${version}`).join(', ')
  const own = found.filter((one) => !ours.includes(one))
  if (ours.length === 0) return `${show(own)}, all its own`
  const added = `${show(ours)} from ${stack}`
  return own.length === 0 ? added : `${show(own)} its own; ${added}`
}

/** Not a fault when it is missing from here: it may be installed for an environment. */
function checkKernelspec(): Finding {
  const folder = installedFolder()
  if (ownership(folder) === 'ours') return fine('kernelspec', folder)
  return problem(
    'kernelspec',
    `not installed for this user (${folder})`,
    'Jupyter finds the kernel by it; a gateway does not need it.',
    `Run: node ${places.program} install`,
  )
}

function installedFolder(): string {
  const flags = { '--user': true, '--sys-prefix': false, '--prefix': undefined }
  return join(kernelsFolder(flags, null, process.env), DEFAULT_NAME)
}

/** With the settings of this call, not with those of the installed kernelspec: that is what was asked about. */
async function checkCell(settings: Settings, python: WorkerPython): Promise<Finding> {
  const scratch = mkdtempSync(join(tmpdir(), 'savepoint-doctor-'))
  try {
    const spec = makeSpec(readTemplate(), process.execPath, places.program, {
      python: settings.python,
      worker: python,
    })
    const trial = await tryCell(writeSpecFolder(scratch, DEFAULT_NAME, spec), python)
    if (trial.ok) {
      return fine(
        'one cell',
        `kernel ready after ${trial.start_ms?.toFixed(0)} ms, cell done after ${trial.cell_ms?.toFixed(1)} ms`,
      )
    }
    return problem('one cell', 'failed', 'So do the cells of users.', trial.problem ?? 'The client gave no reason.')
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
