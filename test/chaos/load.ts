/**
 * Many kernels, many WebSocket clients, mixed work; a tenth of the clients stop reading half the time.
 *
 *   node build/test/chaos/load.js SECONDS SEED [--kernels N] [--clients M] [--long]
 *
 * Errors have to be none, what a client that stopped reading gets in the end has to be all, and the gateway's memory has
 * to stay what it is. The last line is `N passed, N failed`.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Random } from '../fakes/random.js'
import { LoadClient } from './load-client.js'

const PROGRAM = fileURLToPath(new URL('../../../dist/main.js', import.meta.url))
/** Cells a second, all clients together: what two cores bear without a growing queue. */
const CELLS_PER_S = 20
const MEMORY_LEFT_KIB_MIN = 3_000_000
const STALLED_SHARE = 0.1
/** For how long the kernels are watched that have nothing to do. */
const IDLE_S = 20
/** These only guard against what never ends. */
const STOP_WITHIN_MS = 120_000
const GONE_WITHIN_MS = 30_000
const GROWTH_MAX = 1.25
const GROWTH_BYTES_FREE = 48 * 1024 * 1024

/** Code, and how it has to end. */
const WORK: readonly (readonly [string, string, object?])[] = [
  ['n = globals().get("n", 0) + 1', 'ok'],
  ['sum(range(10_000))', 'ok'],
  ['for i in range(200): print("line", i)', 'ok'],
  ['import time\nfor i in range(10): print(i, flush=True); time.sleep(0.02)', 'ok'],
  ['from IPython.display import display\ndisplay({"text/plain": "x" * 50_000}, raw=True)', 'ok'],
  ['print("x" * 300_000)', 'ok'],
  ['state = list(range(1000))\nraise ValueError("rolled back")', 'error', { transaction: 'rollback_on_failure' }],
  ['1 / 0', 'error'],
  ['import os\nos.write(1, b"from C\\n" * 50)', 'ok'],
]

const args = process.argv.slice(2)
const seconds = Number(args[0])
const seed = Number(args[1])
const option = (name: string, otherwise: number): number => {
  const at = args.indexOf(name)
  return at < 0 ? otherwise : Number(args[at + 1])
}
const long = args.includes('--long')
const wantedKernels = option('--kernels', long ? 500 : 20)
const wantedClients = option('--clients', long ? 500 : 20)
let passed = 0
let failed = 0

function check(holds: boolean, what: string): void {
  if (holds) passed += 1
  else failed += 1
  if (!holds && failed < 30) process.stdout.write(`FAIL load (--seed ${seed}): ${what}\n`)
}

const say = (line: string): void => void process.stdout.write(`  ${line}\n`)

function pssBytes(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}

/** Processor time that a process has used, in seconds. */
function cpuSeconds(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return 0
  }
}

function availableKib(): number {
  return Number(/MemAvailable:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0)
}

/** All processes that carry this text in their environment. */
function processesOf(mark: string): number[] {
  return readdirSync('/proc').flatMap((name) => {
    try {
      const pid = Number(name)
      return pid > 0 && readFileSync(`/proc/${pid}/environ`).includes(mark) ? [pid] : []
    } catch {
      return []
    }
  })
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

const home = mkdtempSync(join(tmpdir(), 'chaos-load-'))
const folder = (name: string): string => {
  mkdirSync(join(home, name), { mode: 0o700 })
  return join(home, name)
}
const log = openSync(join(home, 'log'), 'a')
const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SAVEPOINT_')))
const gateway = spawn(process.execPath, [PROGRAM, 'serve', '--port', '0', '--json', '--pool-size', '4'], {
  stdio: ['ignore', 'pipe', log],
  cwd: home,
  env: {
    ...clean,
    SAVEPOINT_PYTHON: process.env['SAVEPOINT_TEST_PYTHON'] ?? 'python3',
    SAVEPOINT_DATA_DIR: folder('d'),
    XDG_RUNTIME_DIR: folder('r'),
    IPYTHONDIR: folder('i'),
    JUPYTER_RUNTIME_DIR: folder('j'),
  },
})
const pid = gateway.pid ?? 0
const [line] = (await once(createInterface({ input: gateway.stdout as Readable }), 'line')) as [string]
const { url, token } = JSON.parse(line) as { url: string; token: string }
const ask = async (method: string, path: string, body?: object): Promise<unknown> => {
  const answer = await fetch(url + path, {
    method,
    headers: { authorization: `token ${token}` },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
  return text === '' ? null : JSON.parse(text)
}

const random = new Random(seed)
const clients: LoadClient[] = []
const stalled: LoadClient[] = []
try {
  const startedAt = performance.now()
  const kernels: string[] = []
  while (kernels.length < wantedKernels && availableKib() > MEMORY_LEFT_KIB_MIN) {
    const some = Math.min(4, wantedKernels - kernels.length)
    const models = await Promise.all(Array.from({ length: some }, () => ask('POST', '/api/kernels', {})))
    kernels.push(...models.map((model) => (model as { id: string }).id))
    if (kernels.length % 100 === 0) process.stdout.write(`load: ${kernels.length} kernels\n`)
  }
  say(`${kernels.length} of ${wantedKernels} kernels in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
  const stalledCount = Math.round(wantedClients * STALLED_SHARE)
  const active = wantedClients - stalledCount
  for (let n = 0; n < active; n += 1) {
    clients.push(new LoadClient(url, token, kernels[n % kernels.length] ?? '', n % 2 === 0, n < stalledCount))
  }
  await Promise.all(clients.map((client) => client.opened()))
  // Whoever stops reading has a kernel in common with somebody who does not, and must not be held back.
  for (let n = 0; n < stalledCount; n += 1) {
    stalled.push(new LoadClient(url, token, kernels[n % kernels.length] ?? '', n % 2 === 1, true))
  }
  await Promise.all(stalled.map((client) => client.opened()))
  await sleep(500)

  const until = performance.now() + seconds * 1000
  const times: number[] = []
  /** As `times`, without what was begun while kernels ran their first cells. */
  const later: number[] = []
  const settledAt = performance.now() + 2 * (active / CELLS_PER_S) * 1000
  let cells = 0
  const faults = new Map<string, number>()
  const live = async (client: LoadClient, first: boolean): Promise<void> => {
    // Not all at once: the first cells come as often as those after them.
    await sleep(random.next() * (active / CELLS_PER_S) * 1000)
    while (performance.now() < until) {
      const [code, wanted, savepoint] = first ? random.pick(WORK.slice(4, 6)) : random.pick(WORK)
      const began = performance.now()
      const status = await client.run(code ?? '', savepoint ? { savepoint } : {})
      times.push(performance.now() - began)
      if (began > settledAt) later.push(performance.now() - began)
      cells += 1
      if (status !== wanted)
        faults.set(`${status} instead of ${wanted}`, (faults.get(`${status} instead of ${wanted}`) ?? 0) + 1)
      await sleep(((active / CELLS_PER_S) * 1000 - (performance.now() - began)) * (0.5 + random.next()))
    }
  }
  const memory: number[] = []
  const sampling = setInterval(() => memory.push(pssBytes(pid)), 1000)
  const stalling = (async () => {
    for (const client of stalled) client.stall()
    await sleep(seconds * 1000)
  })()
  const progress = setInterval(
    () => {
      process.stdout.write(`load: ${cells} cells, gateway ${((memory.at(-1) ?? 0) / 2 ** 20).toFixed(0)} MiB\n`)
    },
    Math.max(10_000, seconds * 100),
  )
  await Promise.all([stalling, ...clients.map((client, n) => live(client, n < stalledCount))])
  clearInterval(sampling)
  clearInterval(progress)

  const all = processesOf(home)
  const everything = all.reduce((sum, each) => sum + pssBytes(each), 0)
  say(
    `memory: gateway ${(pssBytes(pid) / 2 ** 20).toFixed(0)} MiB, all ${(everything / 2 ** 20).toFixed(0)} MiB in ${all.length} processes, ${(everything / 2 ** 20 / kernels.length).toFixed(1)} MiB a kernel`,
  )
  const told = (some: number[]): string => {
    some.sort((one, other) => one - other)
    const [half, most] = [percentile(some, 0.5), percentile(some, 0.99)]
    return `p50 ${half.toFixed(1)} ms, p99 ${most.toFixed(1)} ms, longest ${(some.at(-1) ?? 0).toFixed(0)} ms`
  }
  say(
    `${cells} cells in ${seconds} s by ${active} clients, ${stalledCount} more that do not read; from request to idle and reply: ${told(times)}`,
  )
  say(`without the first cells of kernels: ${later.length} cells, ${told(later)}`)
  check(faults.size === 0, `cells ended wrongly: ${JSON.stringify([...faults])}`)
  const closes = [...clients, ...stalled].flatMap((client) => client.closes)
  say(
    `connections that were closed meanwhile: ${closes.length} ${closes.length > 0 ? JSON.stringify([...new Set(closes)]) : ''}`,
  )
  check(
    clients.every((client) => client.closes.length === 0),
    'connections of clients that read were closed',
  )
  const third = Math.floor(memory.length / 3)
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, each) => sum + each, 0) / Math.max(1, values.length)
  const [early, late] = [mean(memory.slice(0, third)), mean(memory.slice(-third))]
  say(
    `memory of the gateway: ${(early / 2 ** 20).toFixed(0)} MiB in the first third, ${(late / 2 ** 20).toFixed(0)} MiB in the last`,
  )
  check(late < early * GROWTH_MAX + GROWTH_BYTES_FREE, `the gateway grew from ${early} to ${late} bytes`)

  // Now they read on, and have to get all that those got who always read.
  for (const client of stalled) client.readOn()
  const deadline = performance.now() + 60_000
  const missing = (): number =>
    stalled.reduce((sum, client, n) => {
      const had = new Set(client.published)
      return sum + (clients[n]?.published ?? []).filter((id) => !had.has(id)).length
    }, 0)
  while (missing() > 0 && performance.now() < deadline) await sleep(250)
  const sent = clients.slice(0, stalledCount).reduce((sum, client) => sum + client.published.length, 0)
  say(`messages for those that did not read: ${sent}, missing in the end: ${missing()}`)
  check(missing() === 0, `${missing()} of ${sent} messages never came to those that had stopped reading`)
  // Whoever answers no ping for long is cut off, and gets what it has not confirmed once more when it is back.
  const doubledOf = (some: readonly LoadClient[]): number =>
    some.reduce((sum, client) => sum + client.published.length - new Set(client.published).size, 0)
  const cut = stalled.filter((client) => client.closes.length > 0)
  const doubled = doubledOf(stalled.filter((client) => client.closes.length === 0))
  say(`cut off for not reading: ${cut.length} of ${stalledCount}; messages that came twice to them: ${doubledOf(cut)}`)
  check(doubled === 0, `${doubled} messages came twice to those that had stopped reading and were not cut off`)

  if (long) {
    const others = processesOf(home).filter((each) => each !== pid)
    const spent = (): number => others.reduce((sum, each) => sum + cpuSeconds(each), 0)
    const before = [cpuSeconds(pid), spent()] as const
    await sleep(IDLE_S * 1_000)
    const share = (seconds: number): string => `${((seconds / IDLE_S) * 100).toFixed(1)} %`
    say(
      `processor when nothing happens: gateway ${share(cpuSeconds(pid) - before[0])}, the other ${others.length} processes ${share(spent() - before[1])}`,
    )
  }
} catch (error) {
  check(false, `the trial itself ended with ${(error as Error).stack ?? String(error)}`)
} finally {
  for (const client of [...clients, ...stalled]) client.close()
  const gone = once(gateway, 'close')
  gateway.kill('SIGTERM')
  const patience = setTimeout(() => gateway.kill('SIGKILL'), STOP_WITHIN_MS)
  const [code] = (await gone) as [number | null]
  clearTimeout(patience)
  check(code === 0, `the gateway ended with ${String(code)}`)
  const others = (): number[] => processesOf(home).filter((each) => each !== process.pid)
  for (const late = performance.now() + GONE_WITHIN_MS; others().length > 0 && performance.now() < late;)
    await sleep(100)
  const left = others()
  check(left.length === 0, `${left.length} processes are left`)
  for (const each of left) process.kill(each, 'SIGKILL')
  if (failed > 0) process.stdout.write(`${readFileSync(join(home, 'log'), 'utf8').slice(-3000)}\n`)
  rmSync(home, { recursive: true, force: true })
}
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exitCode = failed > 0 ? 1 : 0
