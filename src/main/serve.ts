/** `savepoint serve`: the gateway, in the foreground, until a signal ends it. */

import { lineLog, type LogLevel } from '../log.js'
import { resolveSettings, type Settings } from '../config.js'
import { recallWorkerPython } from '../provision/known.js'
import { workerPython } from '../provision/worker-python.js'
import { prepareDataDir } from '../store/data-dir.js'
import { productVersion } from './commands.js'
import { parseFlags, usage } from './flags.js'
import { startGateway, type RunningGateway } from './gateway.js'
import { readRecord, removeRecord, writeRecord } from './gateway-record.js'
import { EXIT } from './report.js'
import { ownToken } from './token-file.js'

const FLAGS = {
  '--ip': 'value',
  '--port': 'value',
  '--base-url': 'value',
  '--token': 'value',
  '--config': 'value',
  '--data-dir': 'value',
  '--python': 'value',
  '--preload': 'value',
  '--max-kernels': 'value',
  '--pool-size': 'value',
  '--guard': 'switch',
  '--no-guard': 'switch',
  '--allow-origin': 'value',
  '--certfile': 'value',
  '--keyfile': 'value',
  '--client-ca': 'value',
  '--takeover': 'switch',
  '--log-level': 'value',
  '--json': 'switch',
} as const

/** All kernels together have so long to end in order; at a second signal, so long. */
const GRACE_MS = 5_000
const HURRY_MS = 200

export async function runServe(args: readonly string[]): Promise<number> {
  const { given } = parseFlags(args, FLAGS)
  const level = (given['--log-level'] ?? process.env['SAVEPOINT_LOG_LEVEL'] ?? 'warn') as LogLevel
  const log = lineLog(level, (line) => void process.stderr.write(line))
  const settings = resolveSettings({
    ...(given['--python'] ? { python: given['--python'] } : {}),
    ...(given['--data-dir'] ? { dataDir: given['--data-dir'] } : {}),
  })
  const port = given['--port'] ?? '8890'
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) throw usage(`--port must be a number from 0 to 65535: ${port}`)
  const { dataDir } = settings
  await prepareDataDir(dataDir, log)
  warnOfAnother(dataDir)
  const python = recallWorkerPython(settings) ?? (await provision(settings))
  const token = given['--token'] ?? process.env['SAVEPOINT_TOKEN'] ?? ownToken(dataDir)
  const version = productVersion()
  const gateway = await startGateway({
    ip: given['--ip'] ?? '127.0.0.1',
    port: Number(port),
    baseUrl: `/${given['--base-url'] ?? ''}/`.replace(/\/+/g, '/'),
    token,
    allowOrigins: given['--allow-origin'] === undefined ? [] : given['--allow-origin'].split(','),
    kernelsMax: given['--max-kernels'] === undefined ? null : Number(given['--max-kernels']),
    tls: null,
    dataDir,
    python,
    version,
    log,
  })
  writeRecord(dataDir, { url: gateway.url, release: version, startedAt: new Date() })
  try {
    announce(gateway.url, token, version, given['--json'])
    await untilStopped(gateway)
  } finally {
    removeRecord(dataDir)
  }
  return EXIT.done
}

function announce(url: string, token: string, version: string, json: boolean): void {
  const auth = token === '' ? '' : `JUPYTER_GATEWAY_AUTH_TOKEN=${token} `
  const lines = json
    ? [JSON.stringify({ url, token, pid: process.pid, version })]
    : [`Savepoint gateway at ${url}`, `${auth}jupyter lab --gateway-url=${url}`]
  process.stdout.write(`${lines.join('\n')}\n`)
}

async function provision(settings: Settings): Promise<Awaited<ReturnType<typeof workerPython>>> {
  return await workerPython(settings, (line) => void process.stderr.write(`${line}\n`))
}

/** Two gateways of one data folder share history, checkpoints and token; commands find the one that started last. */
function warnOfAnother(dataDir: string): void {
  const found = readRecord(dataDir)
  if (found?.alive) {
    process.stderr.write(`Another gateway of ${dataDir} runs at ${found.record.url} (pid ${found.record.pid}).\n`)
  }
}

/** Resolves when everything has ended. */
function untilStopped(gateway: RunningGateway): Promise<void> {
  return new Promise((resolve, reject) => {
    let signals = 0
    const onSignal = (): void => {
      signals += 1
      if (signals === 1) {
        process.stderr.write('Ending all kernels. A second signal ends them by force.\n')
        gateway.stop(GRACE_MS).then(resolve, reject)
      } else if (signals === 2) gateway.stop(HURRY_MS).then(resolve, reject)
    }
    process.on('SIGINT', onSignal)
    process.on('SIGTERM', onSignal)
    process.on('SIGHUP', () => gateway.reloadTls())
  })
}
