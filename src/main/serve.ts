/** `savepoint serve`: the gateway, in the foreground, until a signal ends it. */

import { join } from 'node:path'
import { resolveSettings, type Settings } from '../config.js'
import { SavepointError } from '../errors.js'
import { lineLog, type Log } from '../log.js'
import { recallWorkerPython, type WorkerPython } from '../provision/known.js'
import { workerPython } from '../provision/worker-python.js'
import { redactingLog } from '../gateway/auth/redact.js'
import type { ConfiguredSpec } from '../settings.js'
import { prepareDataDir } from '../store/data-dir.js'
import { productVersion } from './commands.js'
import { readRecord, removeRecord, writeRecord } from './gateway-record.js'
import { gatewaySpecs } from './gateway-specs.js'
import { startGateway, type RunningGateway } from './gateway.js'
import { EXIT } from './report.js'
import { parseServeCommand, type ServeCommand } from './serve-settings.js'
import { ownToken } from './token-file.js'

/** What kernels have to end in order; and after how long nothing is waited for any more. */
const GRACE_MS = 3_000
const END_MS = 9_500

const tell = (line: string): void => void process.stderr.write(`${line}\n`)

/** Runs until a signal has ended it; its exit code. Throws SavepointError when it cannot start. */
export async function runServe(args: readonly string[]): Promise<number> {
  const command = parseServeCommand(args)
  const { values, tls } = command
  // Everybody on the machine can read the command line of a process, and a token may stand in it.
  process.title = 'savepoint serve'
  const log = lineLog(command.logLevel, (line) => void process.stderr.write(line))
  if (command.unknown.length > 0) log('warn', 'unknown_settings', { ignored: command.unknown.join(' ') })
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
  const specs = gatewaySpecs({ python, preload: values['pool.preload'], configured, env: process.env })
  surviveFaults(redactingLog(log, token))
  const gateway = await startGateway({ values, token, dataDir, specs, tls, version, log }).catch((error: unknown) => {
    throw runningAlready(error, dataDir, values['server.port']) ?? error
  })
  tellOfAnother(dataDir)
  writeRecord(dataDir, { url: gateway.url, release: version, startedAt: new Date() })
  try {
    const ended = untilEnded(gateway, command, log)
    announce(gateway.url, token, version, command.json)
    await ended
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
  const found = readRecord(dataDir)
  if (!(error instanceof SavepointError) || error.code !== 'PORT_IN_USE' || !found?.alive) return null
  const { url, pid } = found.record
  if (new URL(url).port !== String(port)) return null
  const message = `A gateway runs at ${url} already (process ${pid}). Use that one, or start another with --port 0.`
  return new SavepointError(error.code, message, error.details, { cause: error })
}

/** Two gateways of one data folder share history, checkpoints and token; other commands find the younger one. */
function tellOfAnother(dataDir: string): void {
  const found = readRecord(dataDir)
  if (found?.alive) {
    tell(`Another gateway uses ${dataDir}: ${found.record.url} (pid ${found.record.pid}). Both will work.`)
    return
  }
  if (found)
    tell(
      `The gateway that ran at ${found.record.url} did not end in order; ${join(dataDir, 'gateway.json')} is replaced.`,
    )
}

/** A fault of ours in what one client asked for must not end the kernels of all others. */
function surviveFaults(log: Log): void {
  process.on('unhandledRejection', (reason) => {
    log('error', 'unhandled_rejection', {
      error: reason instanceof Error ? (reason.stack ?? reason.message) : String(reason),
    })
  })
}

/** Listens to signals until everything has ended. SIGHUP reads the TLS files again, or ends a gateway without TLS. */
function untilEnded(gateway: RunningGateway, { tls }: ServeCommand, log: Log): Promise<void> {
  return new Promise((resolve, reject) => {
    let signals = 0
    const end = (): void => {
      signals += 1
      if (signals === 1) {
        tell('Ending all kernels. A second signal ends them by force.')
        // Whatever still runs then ends by itself once we are gone.
        setTimeout(() => process.exit(1), END_MS).unref()
        gateway.stop(GRACE_MS).then(resolve, reject)
      } else if (signals === 2) gateway.stopPython().then(() => process.exit(0), reject)
      else process.exit(1)
    }
    process.on('SIGINT', end)
    process.on('SIGTERM', end)
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
