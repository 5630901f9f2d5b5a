/**
 * Workers for many kernels: some wait ready, all are forked from shared zygotes, and each is leased to one kernel.
 *
 * What is to happen is decided by `step`; here it is done. Every event goes through `#tell`, one after the other.
 */

import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { SavepointError, unreachable } from '../errors.js'
import type { Connection, ConnectionHandlers } from '../worker/connection.js'
import { openDoor, type Admission, type Door } from '../worker/door.js'
import { listenerTo, type PythonEvent } from '../worker/events.js'
import { seatIn, type SeatPaths } from '../worker/seat.js'
import { Workers } from '../worker/workers.js'
import type { Hello } from '../link/protocol.js'
import { Adoption } from './adoption.js'
import { KernelBacking } from './kernel-backing.js'
import { leaseOf, type Lease } from './lease.js'
import { distinctNames } from './names.js'
import type { PoolNeeds, PoolOptions } from './options.js'
import { Places } from './places.js'
import type { PooledProcess } from './process.js'
import { ReadyWaits } from './ready-waits.js'
import type { SharedZygote } from './shared-zygote.js'
import { Starts } from './starts.js'
import type { PoolEffect, PoolEvent, PoolState } from './state.js'
import { statusOf, type PoolStatus } from './status.js'
import { addShelf, newPool, step } from './step.js'
import { Zygotes } from './zygotes.js'

export interface Pool {
  /**
   * Opens the door, begins to make workers ready, and waits for zygotes that another gateway left behind, if there are
   * such `survivors`.
   */
  start(): Promise<{ readonly survivors: boolean }>
  /** Each kernel that goes on has called `takeUp` of its workers: what nobody claimed is ended. */
  takenUp(): void
  /** The workers of one kernel. `copiesAt`: the first one is a frozen copy that waits in that place. */
  newWorkers(needs: PoolNeeds, deliver: (event: PythonEvent) => void, copiesAt?: string): Workers
  /** Resolves once all the workers are ready that are to be. Rejects with `timeout`. */
  waitForReady(timeoutMs: number): Promise<void>
  /** Is a worker ready, or is none to be? */
  isReady(): boolean
  /** For `GET /api/savepoint/pool`. */
  status(): PoolStatus
  /** Ends every process. */
  stop(): Promise<void>
}

/** Whoever asked for a worker. */
interface Asker {
  readonly kernelId: string
  granted(place: string): void
  refused(error: SavepointError): void
}

export function createPool(options: PoolOptions): Pool {
  return new PoolShell(options)
}

export class PoolShell implements Pool {
  readonly options: PoolOptions
  readonly #link: string
  readonly #state: PoolState
  readonly #zygotes: Zygotes
  readonly #places: Places
  readonly adoption: Adoption
  readonly #askers = new Map<string, Asker>()
  readonly #starts: Starts
  readonly #events: PoolEvent[] = []
  readonly #readyWaits: ReadyWaits
  readonly #timers = new Set<() => void>()
  #telling = false
  #refilling = false
  #requests = 0
  #door: Door | null = null
  #stopped = false

  constructor(options: PoolOptions) {
    this.options = options
    this.#link = join(options.folder, 'link')
    this.#readyWaits = new ReadyWaits(options.clock)
    this.#state = newPool(options.limits, options.affinityMs, options.records ? distinctNames() : undefined)
    this.#starts = new Starts(options.spec, options.limits.startsMax, (key) => this.#state.shelves.has(key))
    this.#places = new Places(options, {
      tell: (event) => this.tell(event),
      zygoteOf: (place) => this.#zygotes.get(this.#state.members.get(place)?.zygote ?? 0),
      later: (ms, callback) => this.#later(ms, callback),
    })
    this.#zygotes = new Zygotes({
      options,
      link: this.#link,
      starts: this.#starts,
      tell: (event) => this.tell(event),
      placesOf: (id) =>
        [...this.#state.members.values()].filter((each) => each.zygote === id).map(({ place }) => place),
      clear: (place, folder) => this.#places.clear(place, folder),
      isStarting: (id) => this.#state.zygotes.get(id)?.phase === 'starting',
      later: (ms, callback) => this.#later(ms, callback),
    })
    this.adoption = new Adoption({
      options,
      adopt: (note) => this.#zygotes.adopt(note),
      tell: (event) => this.tell(event),
      isTaken: (place) => this.#state.members.has(place),
      clear: (place, folder) => this.#places.clear(place, folder),
    })
  }

  async start(): Promise<{ readonly survivors: boolean }> {
    const { folder, log, workerLimits, defaultSpec, defaultTenant, size } = this.options
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    this.#door = await openDoor(this.#link, (hello, connect) => this.#admit(hello, connect), log, workerLimits.helloMs)
    if (size > 0) {
      const { key } = this.#starts.keyOf({ spec: defaultSpec, tenant: defaultTenant, environment: {} })
      addShelf(this.#state, key, defaultSpec, defaultTenant, size)
    }
    this.adoption.begin()
    if (this.adoption.isOpen) this.#later(this.options.limits.claimMs, () => this.adoption.close())
    this.tell({ on: 'refill' })
    this.#sweepLater()
    return { survivors: this.adoption.isOpen }
  }

  takenUp(): void {
    this.adoption.close()
  }

  newWorkers(needs: PoolNeeds, deliver: (event: PythonEvent) => void, copiesAt?: string): Workers {
    const { clock, log, workerLimits, connectionFile, warden, orphanMs = 0 } = this.options
    const backing = new KernelBacking(this, needs, copiesAt ?? null)
    const ward = warden?.take(needs)
    return new Workers(
      {
        cwd: needs.cwd,
        // Who asks for a kernelspec that there is none of hears of it at the start.
        workerEnvironment: this.options.spec(needs.spec) === null ? {} : this.#starts.keyOf(needs).atLease,
        connectionFile: connectionFile(needs.kernelId),
        ...(copiesAt === undefined ? {} : { copiesAt }),
        ...ward?.options,
        orphanMs,
        clock,
        log,
        limits: workerLimits,
      },
      backing,
      listenerTo(ward?.through(deliver) ?? deliver),
    )
  }

  /** Leases a worker. Rejects with `unknown_kernelspec`, `queue_full`, `timeout`, `cancelled`, or `internal` if none can be started. */
  async acquire(needs: PoolNeeds, deadline: number, signal?: AbortSignal): Promise<Lease> {
    const { key } = this.#starts.keyOf(needs)
    this.#renewIfStale(key)
    const request = `r${(this.#requests += 1)}`
    const { spec, tenant, affinity } = needs
    return await new Promise((resolve, reject) => {
      let waits = true
      let cancel = (): void => {}
      const settle = (): void => {
        waits = false
        cancel()
        signal?.removeEventListener('abort', withdraw)
      }
      const withdraw = (): void => {
        settle()
        this.#askers.delete(request)
        this.tell({ on: 'withdrawn', request, late: false })
        reject(new SavepointError('cancelled', 'The kernel was ended while it waited for a worker.'))
      }
      this.#askers.set(request, {
        kernelId: needs.kernelId,
        granted: (place) => {
          const worker = this.#check(place, request, true)
          if (worker === null) return
          settle()
          resolve(leaseOf(this, request, worker))
        },
        refused: (error) => {
          settle()
          this.#askers.delete(request)
          reject(error)
        },
      })
      this.tell({ on: 'wanted', request, key, spec, tenant, affinity })
      if (!waits) return
      signal?.addEventListener('abort', withdraw)
      if (deadline < Infinity) {
        const inMs = Math.max(0, deadline - this.options.clock.now())
        cancel = this.options.clock.after(inMs, () => this.tell({ on: 'withdrawn', request, late: true }))
      }
    })
  }

  /** A kernel whose first worker is a copy of what runs in `place`: it lives below the same zygote. Throws `kernel_dead`. */
  join(needs: PoolNeeds, place: string): { readonly request: string; readonly zygote: SharedZygote } {
    const zygote = this.#zygotes.get(this.#state.members.get(place)?.zygote ?? 0)
    if (!zygote) throw new SavepointError('kernel_dead', 'The kernel that was to be forked has ended meanwhile.')
    return { request: this.enter(needs), zygote }
  }

  /** What the pool knows a kernel by that has a worker, or is to have one. */
  enter({ kernelId }: PoolNeeds): string {
    const request = `r${(this.#requests += 1)}`
    this.#askers.set(request, { kernelId, granted: () => {}, refused: () => {} })
    return request
  }

  /** Another worker for a kernel that has a lease, or null. */
  takeNow(request: string, zygote: number): PooledProcess | null {
    let found: PooledProcess | null = null
    for (let again = true; again;) {
      again = false
      this.#askAtOnce(
        request,
        (place) => {
          found = this.#check(place, request, false)
          again = found === null
        },
        { on: 'wanted_now', request, zygote },
      )
    }
    return found
  }

  /** A place in which a kernel forks by itself. */
  claim(request: string, zygote: number): SeatPaths {
    let paths: SeatPaths | null = null
    this.#askAtOnce(
      request,
      (place) => (paths = seatIn(this.#zygotes.get(zygote)?.folder ?? this.options.folder, place)),
      {
        on: 'claimed',
        request,
        zygote,
      },
    )
    if (paths === null) throw new SavepointError('kernel_dead', 'The zygote of this kernel is gone.')
    return paths
  }

  /** Those that wait to be leased for the first time, in the order in which they will be. */
  readyProcesses(): readonly PooledProcess[] {
    return [...this.#state.shelves.values()].flatMap(({ ready }) =>
      [...ready].flatMap(({ place }) => this.#places.process(place) ?? []),
    )
  }

  zygote(id: number): SharedZygote | null {
    return this.#zygotes.get(id)
  }

  /** From now on what happens in that place is told to `backing`. */
  house(place: string, backing: KernelBacking): void {
    this.#places.house(place, backing)
  }

  /** A kernel needs nothing more under this request. */
  forget(request: string): void {
    this.#askers.delete(request)
  }

  waitForReady(timeoutMs: number): Promise<void> {
    return this.isReady() ? Promise.resolve() : this.#readyWaits.wait(timeoutMs)
  }

  isReady(): boolean {
    return [...this.#state.shelves.values()].every(({ ready, target }) => ready.size >= target)
  }

  status(): PoolStatus {
    const { clock } = this.options
    return statusOf(
      this.#state,
      this.#zygotes.all,
      (request) => this.#askers.get(request)?.kernelId ?? null,
      clock.now(),
    )
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.tell({ on: 'stop' })
    for (const cancel of this.#timers) cancel()
    await this.#zygotes.stopAll()
    this.#places.close()
    this.#door?.close()
    rmSync(this.options.folder, { recursive: true, force: true })
  }

  /** Takes in what happened, and does what follows from it. */
  tell(event: PoolEvent): void {
    this.#events.push(event)
    if (this.#telling) return
    this.#telling = true
    try {
      for (let each = this.#events.shift(); each; each = this.#events.shift()) {
        for (const effect of step(this.#state, each, this.options.clock.now())) this.#perform(effect)
      }
    } finally {
      this.#telling = false
    }
    if (this.#readyWaits.any && this.isReady()) this.#readyWaits.end()
  }

  // ------------------------------------------------------------------------------------------------------ effects

  #perform(effect: PoolEffect): void {
    switch (effect.do) {
      case 'start_zygote':
        return this.#zygotes.start(effect.zygote, effect.key)
      case 'stop_zygote':
        return this.#zygotes.stop(effect.zygote)
      case 'fork':
        return this.#places.fork(effect.place, effect.zygote)
      case 'grant':
        return this.#askers.get(effect.request)?.granted(effect.place)
      case 'refuse': {
        const { code, message, details, request } = effect
        return this.#askers.get(request)?.refused(new SavepointError(code, message, details))
      }
      case 'end':
        return this.#places.end(effect.place, effect.reason)
      case 'retry':
        return this.#later(effect.afterMs, () => this.tell({ on: 'retry', key: effect.key }))
      case 'refill_soon':
        if (this.#refilling) return
        this.#refilling = true
        return this.#later(this.options.limits.refillMs, () => {
          this.#refilling = false
          this.tell({ on: 'refill' })
        })
      case 'look':
        return this.#places.look(effect.place)
      default:
        return unreachable(effect)
    }
  }

  // ------------------------------------------------------------------------------------------------------ internal

  #admit(hello: Hello, connect: (handlers: ConnectionHandlers) => Connection): Admission {
    if (hello.role === 'zygote') return this.#zygotes.admit(hello, connect)
    const admission = this.#places.admit(hello, connect)
    // Its kernel may not have claimed its place yet.
    return admission === false && hello.role === 'worker' && this.adoption.isOpen ? 'later' : admission
  }

  /** The process of a place that was granted, or null: it is no good, and was removed. */
  #check(place: string, request: string, wantedStill: boolean): PooledProcess | null {
    const process = this.#places.process(place)
    const fault = process === null ? 'not_a_worker' : process.fault(request)
    if (fault === null && process) {
      process.owner = request
      return process
    }
    this.options.log('warn', 'worker_not_leased', { place, reason: fault })
    this.tell({ on: 'invalid', place, reason: fault ?? 'not_a_worker', wantedStill })
    return null
  }

  #askAtOnce(request: string, granted: (place: string) => void, event: PoolEvent): void {
    const before = this.#askers.get(request)
    this.#askers.set(request, { kernelId: before?.kernelId ?? '', granted, refused: () => {} })
    this.tell(event)
    if (before) this.#askers.set(request, before)
  }

  #renewIfStale(key: string): void {
    const id = this.#state.shelves.get(key)?.zygote ?? null
    const folder = id === null ? null : (this.#zygotes.get(id)?.changedFolder() ?? null)
    if (folder === null) return
    this.options.log('info', 'zygote_renewed', { folder })
    this.tell({ on: 'stale', key })
  }

  #later(ms: number, callback: () => void): void {
    const cancel = this.options.clock.after(ms, () => {
      this.#timers.delete(cancel)
      if (!this.#stopped) callback()
    })
    this.#timers.add(cancel)
  }

  #sweepLater(): void {
    this.#later(this.options.limits.sweepMs, () => {
      for (const zygote of this.#zygotes.all.values()) zygote.lookAgain()
      this.tell({ on: 'sweep' })
      this.#sweepLater()
    })
  }
}
