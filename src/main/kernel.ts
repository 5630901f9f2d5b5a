/**
 * `savepoint kernel -f FILE`: one kernel for one connection file.
 *
 * Python takes longest to start, so it is started first; sockets are loaded and bound while it does. What it says
 * before the kernel is put together waits.
 */

import { createHash, randomBytes } from 'node:crypto'
import { basename, join } from 'node:path'
import { systemClock } from '../clock.js'
import { config, jupyterRuntimeDir, places, resolveSettings, type Settings } from '../config.js'
import type { KernelEvent } from '../kernel/effects.js'
import { lineLog, type Log, type LogLevel } from '../log.js'
import { recallWorkerPython, type WorkerPython } from '../provision/known.js'
import { readSettings, type FileSettings, type SettingValues } from '../settings.js'
import { openConnectionFile } from '../sockets/connection-file.js'
import { listenerTo } from '../worker/events.js'
import { OomWatch } from '../worker/limits/oom.js'
import { OwnZygote } from '../worker/own-zygote.js'
import { makeRuntimeDir, noteDataDir, runtimeRoot, sweep, type RuntimeDir } from '../worker/runtime-dir.js'
import { Workers } from '../worker/workers.js'
import { parseFlags, usage } from './flags.js'
import type { KernelInfo } from './kernel-info.js'
import { zygoteEnvironment } from './zygote-environment.js'

const FLAGS = {
  '-f': 'value',
  '--python': 'value',
  '--data-dir': 'value',
  '--log-level': 'value',
  '--guard': 'switch',
  '--recover': 'switch',
  '--lazy-worker': 'switch',
  '--restore': 'value',
} as const

const LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error'] satisfies LogLevel[]

export interface KernelCommand {
  readonly connectionFile: string
  readonly settings: Settings
  readonly values: SettingValues
  /** Variables that look like settings and are none. */
  readonly unknownSettings: readonly string[]
  readonly recover: boolean
  readonly guard: boolean
  /** The namespace is saved at the end, and restored in the next process of this kernel. */
  readonly restoreLast: boolean
  /** Python is started with the first request that needs it. */
  readonly lazyWorker: boolean
  readonly logLevel: LogLevel
  /** For IPython: traitlets arguments such as `--HistoryManager.enabled=False`. */
  readonly kernelArguments: readonly string[]
}

/** Runs until the kernel has ended; its exit code. Throws SavepointError when it cannot start. */
export async function runKernel(args: readonly string[]): Promise<number> {
  const companion = zygoteStartedAlongside()
  try {
    const file = process.env['SAVEPOINT_CONFIG']
    // The library that reads it takes longer to load than all of us.
    const settings = file ? (await import('../settings/file.js')).readSettingsFile(file) : null
    return await run(parseKernelCommand(args, settings), companion)
  } finally {
    // Once it was taken, the workers end it; before, a kernel that cannot start must not leave it loading.
    companion?.endUnlessTaken()
  }
}

async function run(command: KernelCommand, companion: Companion | null): Promise<number> {
  const log = lineLog(command.logLevel, (line) => void process.stderr.write(line), command.values['log.format'])
  if (command.unknownSettings.length > 0) {
    log('warn', 'unknown_settings', { ignored: command.unknownSettings.join(' ') })
  }
  const file = await openConnectionFile(command.connectionFile, (kernelId) =>
    join(jupyterRuntimeDir(process.env), `kernel-${kernelId}.json`),
  )
  const python = recallWorkerPython(command.settings) ?? (await provision(command.settings))
  const root = runtimeRoot()
  const dir = makeRuntimeDir(root)
  // Events wait here until there is a kernel to take them.
  const early: KernelEvent[] = []
  const inbox = { deliver: (event: KernelEvent): void => void early.push(event) }
  const info = command.lazyWorker ? await infoOf(command, python, log) : null
  const keepInfo = (content: Buffer): void => info?.keep(content)
  const workers = startWorkers({ ...command, connectionFile: file.path }, python, {
    root,
    dir,
    log,
    inbox,
    keepInfo,
    companion,
  })
  try {
    const started = command.lazyWorker ? new Promise<void>(() => {}) : workers.start()
    // Whoever serves the kernel hears of a failure, but may have failed himself by then.
    started.catch(() => {})
    noteDataDir(dir, command.settings.dataDir)
    const { serveKernel } = await import('./serve-kernel.js')
    const kernelInfo = info?.recalled ?? null
    return await serveKernel({ command, file, log, workers, started, inbox, early, kernelInfo })
  } finally {
    workers.abandon()
    dir.remove()
    sweep(root, systemClock.date())
  }
}

export function parseKernelCommand(args: readonly string[], file: FileSettings | null = null): KernelCommand {
  const { given, rest } = parseFlags(args, FLAGS, { keepRest: true })
  if (given['-f'] === undefined) throw usage('kernel needs its connection file: -f FILE.')
  if ((given['--restore'] ?? 'last') !== 'last') throw usage('The only thing that --restore can restore is: last.')
  const { values, unknown } = readSettings(process.env, {}, file)
  const level = given['--log-level'] ?? values.log_level
  if (!LEVELS.includes(level)) throw usage(`There is no log level ${level}; there are ${LEVELS.join(', ')}.`)
  const python = given['--python'] ?? values.python
  const dataDir = given['--data-dir'] ?? values.data_dir
  return {
    connectionFile: given['-f'],
    settings: resolveSettings({ ...(python ? { python } : {}), ...(dataDir ? { dataDir } : {}) }),
    values,
    unknownSettings: unknown,
    recover: given['--recover'] || given['--guard'],
    guard: given['--guard'],
    lazyWorker: given['--lazy-worker'],
    restoreLast: given['--restore'] !== undefined,
    logLevel: level as LogLevel,
    kernelArguments: rest,
  }
}

async function provision(settings: Settings): Promise<WorkerPython> {
  const { workerPython } = await import('../provision/worker-python.js')
  return await workerPython(settings, (line) => void process.stderr.write(`${line}\n`))
}

async function infoOf(command: KernelCommand, python: WorkerPython, log: Log): Promise<KernelInfo> {
  const { kernelInfo } = await import('./kernel-info.js')
  return kernelInfo(command.settings.dataDir, [python, command.kernelArguments], log)
}

interface Surroundings {
  readonly root: string
  readonly dir: RuntimeDir
  readonly log: Log
  readonly inbox: { deliver: (event: KernelEvent) => void }
  readonly keepInfo: (kernelInfo: Buffer) => void
  readonly companion: Companion | null
}

function startWorkers(command: KernelCommand, python: WorkerPython, around: Surroundings): Workers {
  const { root, dir, log, inbox, keepInfo, companion } = around
  const environment = zygoteEnvironment(process.env)
  const early = companion?.takeFor(python) ?? null
  const oom = new OomWatch(systemClock)
  const backing = new OwnZygote({
    kernel: `k${process.pid}`,
    dir,
    python: python.python,
    starter: places.starter,
    stack: python.stack,
    // IPython only shows it, to `%connect_info`.
    kernelArguments: ['-f', command.connectionFile, ...command.kernelArguments],
    environment,
    rendezvous: rendezvousOf(root, command, python),
    lingerS: config.zygoteLingerS,
    token: early?.token ?? randomBytes(16).toString('hex'),
    early,
    clock: systemClock,
    log,
    limits: config.workers,
  })
  return new Workers(
    {
      cwd: null,
      workerEnvironment: { JPY_PARENT_PID: process.env['JPY_PARENT_PID'] ?? null },
      explain: (_pid, death) => oom.explain(death),
      clock: systemClock,
      log,
      limits: config.workers,
    },
    backing,
    listenerTo((event) => {
      // Nobody takes up the processes of a kernel that ends with its own.
      if (event.on !== 'placed') inbox.deliver(event)
      if (event.on === 'zygote_ready') keepInfo(event.kernelInfo)
    }),
  )
}

/** The zygote that `start-kernel.sh` started along with us. */
interface Companion {
  /**
   * It is the caller's from then on, if it runs in the Python that we would choose, else null: the choice may have
   * changed since the kernelspec was written.
   */
  takeFor(python: WorkerPython): { pid: number; token: string } | null
  endUnlessTaken(): void
}

/** Null if there is none. User code finds nothing of it in its environment. */
function zygoteStartedAlongside(): Companion | null {
  const [pid, token, itsStack, ...itsPython] = (process.env['SAVEPOINT_ZYGOTE'] ?? '').split(' ')
  delete process.env['SAVEPOINT_ZYGOTE']
  if (!pid || !token) return null
  let isOurs = true
  const endUnlessTaken = (): void => {
    if (!isOurs) return
    isOurs = false
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
  return {
    endUnlessTaken,
    takeFor: ({ python, stack }) => {
      if (itsPython.join(' ') === python && itsStack === (stack ?? '-')) {
        isOurs = false
        return { pid: Number(pid), token }
      }
      endUnlessTaken()
      return null
    },
  }
}

/**
 * Where a zygote waits for the next process of this kernel; null if the path would be too long for a socket. Only a
 * kernel that would start its zygote in just the same way finds it there. `start-kernel.sh` knows the name's beginning.
 */
function rendezvousOf(root: string, command: KernelCommand, python: WorkerPython): string | null {
  const { JPY_PARENT_PID: _, ...env } = process.env
  const facts = [python, command.connectionFile, command.kernelArguments, process.cwd(), Object.entries(env).sort()]
  const fingerprint = createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16)
  const path = join(root, `r-${basename(command.connectionFile)}-${fingerprint}`)
  return Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX ? path : null
}

const SOCKET_PATH_BYTES_MAX = 107
