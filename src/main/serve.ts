/** `savepoint serve`: the gateway, in the foreground, until a signal ends it. */

import { systemClock } from '../clock.js'
import { resolveSettings, type Settings } from '../config.js'
import { SavepointError } from '../errors.js'
import { lineLog, type Log } from '../log.js'
import { recallWorkerPython, type WorkerPython } from '../provision/known.js'
import { workerPython } from '../provision/worker-python.js'
import { redactingLog } from '../gateway/auth/redact.js'
import type { ConfiguredSpec } from '../settings.js'
import { resourceLimitsOf, type ResourceLimits, type SpecLimits } from '../settings/limits.js'
import { prepareDataDir } from '../store/data-dir.js'
import { takeInstance, type Instance } from '../store/instances/instance.js'
import { productVersion } from './commands.js'
import { confinement } from './confined-kernels.js'
import { gatewayAt, readRecord, removeRecord, writeRecord } from './gateway-record.js'
import { gatewaySpecs } from './gateway-specs.js'
import { startGateway, type RunningGateway } from './gateway.js'
import { EXIT } from './report.js'
import { parseServeCommand, type ServeCommand } from './serve-settings.js'
import { takeOver } from './takeover.js'
import { ownToken } from './token-file.js'

/** What kernels have to end in order; and after how long nothing is waited for any more. */
const GRACE_MS = 3_000
const END_MS = 9_500
/** After how long it is handed over although clients still hold on. */
const HAND_OVER_MS = 2_000

const tell = (line: string): void => void process.stderr.write(`${line}\n`)

/** Runs until a signal has ended it; its exit code. Throws SavepointError when it cannot start. */
export async function runServe(args: readonly string[]): Promise<number> {
  const command = parseServeCommand(args)
  const { values, tls } = command
  // Everybody on the machine can read the command line of a process, and a token may stand in it.
  process.title = 'savepoint serve'
  const log = lineLog(command.logLevel, (line) => void process.stderr.write(line), values['log.format'])
  if (command.unknown.length > 0) log('warn', 'unknown_settings', { ignored: command.unknown.join(' ') })
  for (const [setting, instead] of Object.entries(command.retired)) log('warn', 'retired_setting', { setting, instead })
  const settings = resolveSettings({
    ...(values.python ? { python: values.python } : {}),
    ...(values.data_dir ? { dataDir: values.data_dir } : {}),
  })
  const { dataDir } = settings
  await prepareDataDir(dataDir, log)
  const python = await pythonFor(settings)
  const configured = await withPythons(command, settings, python)
  const version = productVersion()
  const token = values.token ?? ownToken(dataDir)
  const limits = (own?: SpecLimits): ResourceLimits => resourceLimitsOf(values, own)
  const confine = confinement(values, command.kernelspecs, dataDir)
  const inherited = values['kernels.inherited_environment']
  const preload = values['pool.preload']
  const specs = gatewaySpecs({ python, preload, configured, env: process.env, limits, confine, inherited })
  surviveFaults(redactingLog(log, token))
  // Only once everything else is known to be in order.
  if (command.takeover) await takeOver(dataDir, values['server.port'], tell)
  const ends = listenToEnds()
  const instance = await takeInstance({ dataDir, clock: systemClock, log })
  const started = { values, token, dataDir, specs, tls, version, log, instance }
  const gateway = await startGateway(started).catch((error: unknown) => {
    if (instance.isNew) instance.remove()
    else instance.leave()
    throw runningAlready(error, dataDir, values['server.port']) ?? error
  })
  tellOfAnother(dataDir, instance)
  const startedAt = new Date()
  writeRecord(dataDir, { url: gateway.url, release: version, startedAt })
  try {
    const ended = untilEnded(gateway, command, ends, log)
    announce(gateway.url, token, version, command.json)
    if ((await ended) === 'all') instance.remove()
  } finally {
    removeRecord(dataDir)
  }
  return EXIT.done
}

/** The only place where the token is shown. */
function announce(url: string, token: string, version: string, json: boolean): void {
  const auth = token === '' ? '' : `JUPYTER_GATEWAY_AUTH_TOKEN=${token} `
  const lines = json
    ? [JSON.stringify({ url, token, pid: process.pid, version })]
    : [`Savepoint gateway at ${url}`, `${auth}jupyter lab --gateway-url=${url}`]
  process.stdout.write(`${lines.join('\n')}\n`)
}

async function pythonFor(settings: Settings): Promise<WorkerPython> {
  return recallWorkerPython(settings) ?? (await workerPython(settings, tell))
}

/** Kernelspecs of the file, each with its Python made ready. */
async function withPythons(
  { kernelspecs }: ServeCommand,
  settings: Settings,
  fallback: WorkerPython,
): Promise<Record<string, ConfiguredSpec & { worker: WorkerPython }>> {
  const found: Record<string, ConfiguredSpec & { worker: WorkerPython }> = {}
  for (const [name, spec] of Object.entries(kernelspecs)) {
    const worker = spec.python === null ? fallback : await pythonFor({ ...settings, python: spec.python })
    found[name] = { ...spec, worker }
  }
  return found
}

/** Who has the port, mostly; null: somebody else. */
function runningAlready(error: unknown, dataDir: string, port: number): SavepointError | null {
  if (!(error instanceof SavepointError) || error.code !== 'PORT_IN_USE') return null
  const found = gatewayAt(dataDir, port)
  if (found === null) return null
  const { url, pid } = found
  const message = `A gateway runs at ${url} already (process ${pid}). Use that one, or start another with --port 0.`
  return new SavepointError(error.code, message, error.details, { cause: error })
}

/** Two gateways of one data folder share history, checkpoints and token; other commands find the younger one. */
function tellOfAnother(dataDir: string, { kernels }: Instance): void {
  const found = readRecord(dataDir)
  if (found?.alive) {
    tell(`Another gateway uses ${dataDir}: ${found.record.url} (pid ${found.record.pid}). Both will work.`)
    return
  }
  if (found) tell(`The gateway that ran at ${found.record.url} did not end in order.`)
  if (kernels.length > 0) tell(`Kernels of before: ${kernels.length}.`)
}

/** A fault of ours in what one client asked for must not end the kernels of all others. */
function surviveFaults(log: Log): void {
  process.on('unhandledRejection', (reason) => {
    log('error', 'unhandled_rejection', {
      error: reason instanceof Error ? (reason.stack ?? reason.message) : String(reason),
    })
  })
}

/** Signals to end, from the moment on from which there is something to end. */
interface EndSignals {
  /** Calls `end` for each of them, those included that have come already. */
  each(end: () => void): void
}

/** What was begun must be ended in order, also by a signal that comes before all of it is there. */
function listenToEnds(): EndSignals {
  let waiting = 0
  let end: (() => void) | null = null
  const note = (): void => {
    if (end) end()
    else waiting += 1
  }
  // Never taken off again: a signal on its way to a listener that goes would be lost.
  process.on('SIGINT', note)
  process.on('SIGTERM', note)
  return {
    each(act) {
      end = act
      for (; waiting > 0; waiting -= 1) act()
    },
  }
}

/**
 * Listens to signals until everything has ended, or the kernels were left to the next gateway (SIGUSR2). SIGHUP reads
 * the TLS files again, or ends a gateway without TLS.
 */
function untilEnded(
  gateway: RunningGateway,
  { tls, values }: ServeCommand,
  ends: EndSignals,
  log: Log,
): Promise<'all' | 'itself'> {
  return new Promise((resolve, reject) => {
    let signals = 0
    let handing = false
    const endNow = (): never => {
      gateway.kill()
      process.exit(1)
    }
    const end = (): void => {
      if (handing) return
      signals += 1
      if (signals === 1) {
        tell('Ending all kernels. A second signal ends them by force.')
        setTimeout(endNow, END_MS).unref()
        gateway.stop(GRACE_MS).then(() => resolve('all'), reject)
      } else if (signals === 2) {
        gateway.stopNow().then(() => {
          resolve('all')
          // The end that the first one asked for may take longer.
          setImmediate(() => process.exit(EXIT.done))
        }, reject)
      } else endNow()
    }
    ends.each(end)
    process.on('SIGUSR2', () => {
      if (signals > 0 || handing) return
      handing = true
      tell(`Handing over. Kernels wait ${values['recovery.orphan_s']} s for the next gateway.`)
      const leave = (): void => {
        resolve('itself')
        // Nothing of a kernel may happen here from now on: the next gateway has it.
        setImmediate(() => process.exit(EXIT.done))
      }
      setTimeout(leave, HAND_OVER_MS).unref()
      gateway.handOver().then(leave, reject)
    })
    process.on('SIGHUP', () => {
      if (tls === null) return end()
      try {
        gateway.reloadTls()
        log('info', 'tls_reloaded')
      } catch (error) {
        log('error', 'tls_not_reloaded', { reason: error instanceof Error ? error.message : String(error) })
      }
    })
  })
}
