/** A pool with real Python processes in a folder of its own, and kernels on it that speak to their workers directly. */

import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/clock.js'
import { config, places } from '../../src/config.js'
import type { WorkerCommand, WorkerEvent } from '../../src/link/protocol.js'
import type { Log } from '../../src/log.js'
import { poolLimits } from '../../src/pool/limits.js'
import type { PoolNeeds, PoolOptions } from '../../src/pool/options.js'
import type { Lease } from '../../src/pool/lease.js'
import { PoolShell, type Pool } from '../../src/pool/pool.js'
import { openZygoteRecords } from '../../src/pool/zygote-records.js'
import type { PooledProcess } from '../../src/pool/process.js'
import type { PythonEvent } from '../../src/worker/events.js'
import type { Workers } from '../../src/worker/workers.js'
import { noNotes, type Notes } from './notes.js'

/** Nothing here is waited for longer; what is right comes much sooner. */
const PATIENCE_MS = 30_000

export interface TestPool {
  readonly pool: PoolShell
  readonly folder: string
  readonly logged: readonly { readonly event: string; readonly fields: object }[]
  kernel(needs?: Partial<PoolNeeds>, copiesAt?: string, notes?: Notes): PoolKernel
  acquire(needs?: Partial<PoolNeeds>): Promise<Lease>
  /** Those that are ready. */
  processes(): readonly PooledProcess[]
  /** Ends everything. */
  close(): Promise<void>
}

type Overrides = Partial<Omit<PoolOptions, 'limits'>> & {
  readonly limits?: Partial<PoolOptions['limits']>
  readonly preload?: readonly string[]
  /** Folder that modules are imported from, too. */
  readonly searchPath?: string
  /** Its folder, which stays; what it holds outlives it. */
  readonly at?: string
}

/** A pool that has begun to start. Not awaited: ready workers come later, see `waitForPoolReady`. */
export async function startTestPool({
  limits,
  preload = [],
  searchPath,
  at,
  ...overrides
}: Overrides = {}): Promise<TestPool> {
  const python = process.env['SAVEPOINT_TEST_PYTHON']
  if (!python) throw new Error('SAVEPOINT_TEST_PYTHON names no interpreter: run the tests with `npm test`.')
  const root = at ?? mkdtempSync(join(tmpdir(), 'savepoint-pool-'))
  const folder = join(root, 'p')
  mkdirSync(folder, { recursive: true })
  const logged: { event: string; fields: object }[] = []
  const log: Log = (_level, event, fields = {}) => void logged.push({ event, fields })
  const pool = new PoolShell({
    spec: (name) =>
      name === 'nothing'
        ? null
        : {
            python: name === 'broken' ? join(folder, 'no-python') : python,
            stack: null,
            preload,
            environment: {
              ...process.env,
              PYTHONPATH: searchPath === undefined ? places.python : `${places.python}:${searchPath}`,
              IPYTHONDIR: join(folder, 'ipython'),
            },
          },
    defaultSpec: 'python3',
    defaultTenant: 'us',
    size: 0,
    affinityMs: 300_000,
    folder,
    connectionFile: (kernelId) => join(folder, `kernel-${kernelId}.json`),
    starter: places.starter,
    clock: systemClock,
    log,
    limits: { ...poolLimits, ...limits },
    workerLimits: config.workers,
    ...(at === undefined
      ? {}
      : { records: openZygoteRecords(join(at, 'zygotes'), log), orphanMs: 60_000, takeUpMs: PATIENCE_MS }),
    ...overrides,
  })
  await pool.start()
  const kernels: PoolKernel[] = []
  const needsOf = (needs: Partial<PoolNeeds>): PoolNeeds => ({
    kernelId: `k${kernels.length + 1}`,
    spec: 'python3',
    tenant: 'us',
    environment: {},
    cwd: folder,
    affinity: null,
    ...needs,
  })
  return {
    pool,
    folder,
    logged,
    kernel(needs = {}, copiesAt, notes) {
      const kernel = new PoolKernel(pool, needsOf(needs), copiesAt, notes)
      kernels.push(kernel)
      return kernel
    },
    acquire: async (needs = {}) => await pool.acquire(needsOf(needs), Infinity),
    processes: () => pool.readyProcesses(),
    async close() {
      for (const kernel of kernels) kernel.workers.abandon()
      await pool.stop()
      if (at === undefined) rmSync(root, { recursive: true, force: true })
    },
  }
}

/** Resolves when the pool has all the ready workers that it is to have. */
export async function waitForPoolReady({ pool }: TestPool, timeoutMs = PATIENCE_MS): Promise<void> {
  await pool.waitForReady(timeoutMs)
}

/** Just enough of a kernel to run code in its worker. */
export class PoolKernel {
  readonly workers: Workers
  readonly events: PythonEvent[] = []
  output = ''
  pid = 0
  readonly #isFork: boolean
  readonly #notes: Notes | null
  #generation = 0
  #seq = 0
  #commands = 0
  readonly #heard = new EventTarget()

  /** `copiesAt`: its first worker is a frozen copy that waits there. `notes`: for a process after this one. */
  constructor(pool: Pool, needs: PoolNeeds, copiesAt?: string, notes?: Notes) {
    this.#notes = notes ?? null
    this.workers = pool.newWorkers(needs, (event) => this.#hear(event), copiesAt)
    this.#isFork = copiesAt !== undefined
  }

  /** Goes on with what another process has noted. */
  takeUp(): this {
    const { memory, generation, seq, commands } = this.#notes?.recall() ?? noNotes()
    this.#generation = generation
    this.#seq = seq
    this.#commands = commands
    this.pid = memory.current?.pid ?? 0
    void this.workers.takeUp(memory)
    return this
  }

  #hear(event: PythonEvent): void {
    this.events.push(event)
    if (this.#notes) {
      this.#notes.event(event)
      if (event.on === 'worker') this.workers.durable(event.generation, event.frame)
    }
    if (event.on === 'output') this.output += event.text.toString()
    if (event.on === 'worker' && event.event.kind === 'stream') this.output += event.parts[0]?.toString() ?? ''
    if (event.on === 'worker_up') {
      const first = this.pid === 0 || !this.events.slice(0, -1).some((each) => sameToken(each, event.token))
      this.pid = event.pid
      if (first) this.#welcome()
    }
    this.#heard.dispatchEvent(new Event('heard'))
  }

  #welcome(): void {
    const woken = this.#isFork ? ({ reason: 'requested', resume: false, inputs: [] } as const) : null
    this.command({ kind: 'welcome', generation: this.#generation, session: 's', execution_count: 1, woken })
  }

  /** Has a copy frozen that may become another kernel's worker. */
  async freeze(snapshot: string): Promise<void> {
    this.command({ kind: 'snapshot', permit: { snapshot, token: 'unused', apart: true } })
    await this.until((event) => event.on === 'worker' && event.event.kind === 'taken')
  }

  /** The copy `snapshot` becomes its worker. */
  async become(snapshot: string): Promise<this> {
    await this.workers.start()
    this.#generation += 1
    this.workers.become(snapshot, 'token-of-fork', this.#generation)
    const outcome = await this.until(({ on }) => on === 'worker_up' || on === 'worker_failed' || on === 'snapshot_gone')
    if (outcome.on !== 'worker_up') throw new Error(`No worker: ${JSON.stringify(outcome)}`)
    return this
  }

  command(command: WorkerCommand, ...parts: Buffer[]): void {
    this.#commands += 1
    const numbered = this.#notes ? { ...command, n: this.#commands } : command
    this.#notes?.command(numbered, parts)
    this.workers.command(numbered, parts)
  }

  /** Gets a worker. */
  async start(): Promise<this> {
    await this.workers.start()
    return await this.fork()
  }

  async fork(): Promise<this> {
    this.#generation += 1
    const token = `token-${this.#generation}-${Math.random()}`
    this.#commands = 0
    this.#notes?.fork(token, this.#generation)
    this.workers.fork(token, this.#generation)
    const outcome = await this.until(
      (event) => (event.on === 'worker_up' || event.on === 'worker_failed') && event.token === token,
    )
    if (outcome.on === 'worker_failed') throw new Error(`No worker: ${outcome.reason}`)
    return this
  }

  /** Runs a cell; what it printed, and the text of its error. */
  async run(code: string): Promise<string> {
    const seq = this.send(code)
    await this.replyTo(seq)
    const output = (JSON.parse(`"${this.output}"`) as string).trim()
    this.output = ''
    return output
  }

  /** Sends a cell; its seq. */
  send(code: string): number {
    this.#seq += 1
    const header = { msg_id: `m${this.#seq}`, msg_type: 'execute_request', session: 'c', username: '', version: '5.4' }
    const content = { code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false }
    const parts = [header, {}, content].map((each) => Buffer.from(JSON.stringify(each)))
    this.command({ kind: 'request', seq: this.#seq, type: 'execute_request', execution_count: 1 }, ...parts)
    return this.#seq
  }

  async replyTo(seq: number): Promise<Extract<WorkerEvent, { readonly kind: 'reply' }>> {
    const event = await this.until(
      (each) => each.on === 'worker' && each.event.kind === 'reply' && each.event.seq === seq,
    )
    if (event.on !== 'worker' || event.event.kind !== 'reply') throw new Error('That is no reply.')
    return event.event
  }

  /** The first event that fits, of those that came and those that will come. */
  async until(fits: (event: PythonEvent) => boolean): Promise<PythonEvent> {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    for (;;) {
      const found = this.events.find(fits)
      if (found) return found
      const seen = this.events.map((each) => each.on).join(' ')
      await once(this.#heard as unknown as NodeJS.EventEmitter, 'heard', { signal }).catch(() => {
        throw new Error(`What is waited for did not come; there were: ${seen}`)
      })
    }
  }

  async stop(): Promise<void> {
    this.workers.stop(false)
    await this.until((event) => event.on === 'workers_stopped')
  }
}

function sameToken(event: PythonEvent, token: string): boolean {
  return event.on === 'worker_up' && event.token === token
}

/** Looks every few milliseconds; for what nothing tells of, such as the end of a process. */
export async function until(fits: () => boolean, what: string): Promise<void> {
  const end = systemClock.now() + PATIENCE_MS
  while (!fits()) {
    if (systemClock.now() > end) throw new Error(`It is waited for that ${what}, in vain.`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
