/**
 * All kernels of a gateway: who may have how many, which there are, and their common end.
 *
 * A kernel is in the list from the request for it until it has ended, so that what is on its way counts.
 */

import { randomUUID } from 'node:crypto'
import { SavepointError } from '../../errors.js'
import { asking } from '../../observe.js'
import type { Counted } from '../../kernel/effects.js'
import type { KernelLimits } from '../../kernel/state.js'
import type { CullSettings } from './culling.js'
import { environmentOf, workingFolder } from './environment.js'
import type { KernelJournal } from '../journal/journal.js'
import { journalInMemory } from '../journal/open.js'
import type { KernelSurroundings } from './incarnation.js'
import { GatewayKernel } from './kernel.js'
import type { KernelLimitsOfGateway } from './kernel-parts.js'
import type { KernelRecord, KernelRecords } from './kernel-record.js'
import type { KernelModel } from './kernel-status.js'
import { affinityOf, checkedId, full, shuttingDown, taken } from './kernel-wishes.js'
import type { ForkOrigin, KernelRequest, WorkerNeeds } from './ports.js'
import { Resting, type RestingLimits } from './resting.js'
import { takeUpAll } from './take-up.js'
import { Turns } from './turns.js'
import { keepUp } from './upkeep.js'
import type { ForkWish } from '../ports.js'

export interface KernelsOptions extends KernelSurroundings {
  readonly kernelLimits: KernelLimitsOfGateway
  /** A kernel's folder and journal; absent: nothing is kept over a restart of the gateway. */
  readonly keeping?: (kernelId: string) => { readonly folder: string; readonly journal: KernelJournal }
  /** What is known of the kernelspec that a client names, or null. */
  readonly findSpec: (name: string) => SpecFacts | null
  /** null: as many as the machine can bear. */
  readonly kernelsMax: number | null
  /** Of one owner; null: as many as all may have. */
  readonly kernelsPerOwnerMax: number | null
  /** Throws `quota_exceeded` if an owner's kernels use all that they may. */
  readonly checkRoom?: (owner: string) => void
  /** Where kernels work unless they are told otherwise; paths of requests are below it. */
  readonly root: string
  /** Where those of one owner do; absent: there, too. */
  readonly rootOf?: (owner: string) => string
  /** Is this folder, which exists, there for kernels of that kernelspec and owner? Absent: all are. */
  readonly isSeen?: (folder: string, spec: string, owner: string) => boolean
  /** Names and beginnings (`APP_*`) of variables that clients may set beside KERNEL_*. */
  readonly allowedEnvironment: readonly string[]
  readonly culling: CullSettings & { readonly intervalMs: number }
  /** What the frozen copies of all kernels may hold together, and how often that is looked at. */
  readonly snapshots: { readonly bytesMax: number; readonly intervalMs: number }
  /** For kernels that their client may have again. */
  readonly resting: RestingLimits
  /** Where kernels are kept for the gateway that comes after this one; null: nowhere. */
  readonly records: KernelRecords | null
}

export interface SpecFacts {
  /** The one name of the kernelspec, which may have others. */
  readonly name: string
  readonly cullIdleTimeoutS: number | null
  /** Limits that its kernels have for themselves. */
  readonly limits?: Partial<KernelLimits>
}

interface Entry {
  readonly kernel: GatewayKernel
  readonly spec: SpecFacts
  /** Who may have it again after it was left, as a key of `Resting`; null: nobody. */
  readonly affinity: string | null
}

/** A kernel to be. */
interface Birth extends Omit<Entry, 'kernel'> {
  /** As the kernelspec was named. */
  readonly name: string
  readonly owner: string
  readonly guard: boolean
  readonly needs: WorkerNeeds
  readonly checkpoint?: string
  readonly origin?: ForkOrigin
  readonly recalled?: KernelRecord
}

/** Measurements of all kernels at a time: those of a thousand at once would hold the gateway up for seconds. */
const MEASURED_AT_ONCE_MAX = 2
/** Kernels that are forked at a time, each as often as it is to be. */
const FORKED_AT_ONCE_MAX = 4

export type KernelsListener = (id: string, what: 'started' | 'ended') => void

export class Kernels {
  /** What its kernels have done since it is there, those included that have ended. */
  readonly counted: Record<Counted, number> = {
    copies_taken: 0,
    copies_skipped: 0,
    recoveries: 0,
    undos: 0,
    redos: 0,
    checkpoints_failed: 0,
  }
  readonly #options: KernelsOptions
  readonly #listeners = new Set<KernelsListener>()
  readonly #turns = new Turns(MEASURED_AT_ONCE_MAX)
  readonly #forkTurns = new Turns(FORKED_AT_ONCE_MAX)
  readonly #entries = new Map<string, Entry>()
  readonly #resting: Resting
  /** Of kernels that have ended and are still writing what they keep. */
  readonly #leaving = new Set<Promise<void>>()
  #forked = 0
  readonly #endUpkeep: () => void
  #stopping = false

  constructor(options: KernelsOptions) {
    this.#options = options
    this.#resting = new Resting(options.clock, options.resting)
    this.#endUpkeep = keepUp({
      ...options,
      kernels: () =>
        [...this.#entries.values()].map(({ kernel, spec }) => ({ kernel, idleTimeoutS: spec.cullIdleTimeoutS })),
      holders: () => [...this.list(), ...this.#resting.kernels],
    })
  }

  /**
   * A new kernel, once it is ready; or the one of the id that was asked for, if it is the same owner's; or the one that
   * the same client has left, if it asks for the same.
   *
   * Throws SavepointError: `unknown_kernelspec`, `bad_request`, `already_exists`, `quota_exceeded`, and what kept the
   * worker from coming up.
   */
  async start(request: KernelRequest): Promise<GatewayKernel> {
    const { clock, observe } = this.#options
    const began = clock.now()
    const tell = (id: string, code: string | null): void => {
      const { name: spec, owner } = request
      const asker = asking.getStore() ?? null
      observe({ what: 'kernel_started', kernel: id, owner, spec, ms: clock.now() - began, code, asker })
    }
    try {
      const kernel = await this.#start(request)
      tell(kernel.id, null)
      return kernel
    } catch (error) {
      tell(request.kernelId ?? '', error instanceof SavepointError ? error.code : 'internal')
      throw error
    }
  }

  async #start(request: KernelRequest): Promise<GatewayKernel> {
    const { log, findSpec } = this.#options
    if (this.#stopping) throw shuttingDown()
    const spec = findSpec(request.name)
    if (spec === null) {
      const name = request.name.slice(0, 200)
      throw new SavepointError(
        'unknown_kernelspec',
        `There is no kernelspec '${name}'. List them to see which there are.`,
        {
          name,
        },
      )
    }
    const { environment, ignored } = environmentOf(request.environment, this.#options.allowedEnvironment)
    if (ignored.length > 0) log('info', 'environment_ignored', { names: ignored.join(' ').slice(0, 1_000) })
    const id = checkedId(request.kernelId ?? environment['KERNEL_ID'] ?? null)
    const existing = id === null ? undefined : this.#entries.get(id)?.kernel
    if (existing) {
      if (existing.owner !== request.owner || request.checkpoint !== undefined) throw taken(existing.id)
      if (existing.phase === 'ending') {
        await existing.shutdown()
        return await this.#start(request)
      }
      await existing.start()
      return existing
    }
    const isSeen = (folder: string): boolean => this.#options.isSeen?.(folder, spec.name, request.owner) ?? true
    const cwd = workingFolder({ ...request, environment }, this.#rootOf(request.owner), isSeen)
    const affinity = affinityOf(request, environment, cwd)
    const rested = affinity === null ? undefined : this.#resting.take(affinity, id)
    if (rested) {
      rested.takeBack()
      this.#entries.set(rested.id, { kernel: rested, spec, affinity })
      this.#tell(rested.id, 'started')
      return rested
    }
    const inTheWay = id === null ? undefined : this.#resting.find(id)
    if (inTheWay) {
      if (inTheWay.owner !== request.owner) throw taken(inTheWay.id)
      await inTheWay.shutdown()
    }
    this.#checkRoom(request.owner)
    const kernelId = id ?? randomUUID()
    const needs = {
      kernelId,
      spec: spec.name,
      tenant: request.owner,
      environment: { ...environment, KERNEL_ID: kernelId },
      cwd,
      affinity: request.affinity,
    }
    const guard = request.guard ?? this.#options.options.guard
    const { name, owner, checkpoint } = request
    const beginning = checkpoint === undefined ? {} : { checkpoint }
    const kernel = this.#make({ name, owner, spec, affinity, guard, needs, ...beginning })
    await kernel.start()
    return kernel
  }

  /** Lists kernels of an earlier gateway, by their records. They can be spoken to once they were taken up. */
  recall(records: readonly KernelRecord[]): void {
    const { findSpec, log } = this.#options
    for (const record of records.toSorted((one, other) => (one.started_at < other.started_at ? -1 : 1))) {
      const { id, name, owner, guard, needs, affinity } = record
      const spec = findSpec(needs.spec) ?? findSpec(name)
      if (spec === null)
        log('error', 'kernel_not_recalled', { kernel: id, reason: `There is no kernelspec '${name}'.` })
      else this.#make({ name, owner, spec, affinity, guard, needs, recalled: record })
    }
  }

  /**
   * Goes on with those that were recalled, each after `prepare`, which does not reject. `alive`: processes of them may
   * still live. Resolves when all are there.
   */
  async takeUp(alive: boolean, prepare: (kernel: GatewayKernel) => Promise<void>): Promise<void> {
    const { clock, observe } = this.#options
    const recalled = this.list().filter(({ phase }) => phase === 'returning' || phase === 'dead')
    await takeUpAll(recalled, { alive, prepare, clock, observe })
  }

  /** Has them write down what the gateway that comes next would have to find out. This process is to end at once. */
  handOver(): void {
    for (const kernel of this.list()) kernel.handOver()
  }

  /** How many kernels of an earlier gateway have not been taken up yet. */
  get returning(): number {
    return this.list().filter(({ phase }) => phase === 'returning').length
  }

  #make({ spec, affinity, ...birth }: Birth): GatewayKernel {
    const id = birth.needs.kernelId
    const { keeping, clock, log } = this.#options
    const { folder, journal } = keeping?.(id) ?? { folder: null, journal: journalInMemory(clock, log) }
    const kernel = new GatewayKernel({
      ...this.#options,
      options: limitedTo(spec.limits, this.#options.options),
      ...birth,
      affinity,
      folder,
      journal,
      fork: (wish, place) => this.#forkTurns.take(() => this.#fork({ ...birth, spec, affinity: null }, wish, place)),
      endKernels: (ids) => {
        for (const each of ids) void this.find(each)?.shutdown()
      },
      onCount: (what) => {
        this.counted[what] += 1
      },
      turns: this.#turns,
      onEnded: () => {
        journal.close()
        this.#ended(kernel)
      },
    })
    this.#entries.set(id, { kernel, spec, affinity })
    this.#tell(id, 'started')
    return kernel
  }

  /**
   * Kernels that begin as copies of another one: all of them are ready, or none is left. Rejects with a SavepointError:
   * `quota_exceeded`, and what kept one of them from coming up.
   */
  async #fork(source: Birth, { copies, facts }: ForkWish, place: string): Promise<readonly KernelModel[]> {
    if (this.#stopping) throw shuttingDown()
    this.#checkRoom(source.owner, copies.length)
    const made = copies.map((snapshot) => {
      const kernelId = randomUUID()
      const environment = { ...source.needs.environment, KERNEL_ID: kernelId }
      const needs = { ...source.needs, kernelId, environment, affinity: null }
      const { checkpoint: _, recalled: __, ...kind } = source
      return this.#make({ ...kind, needs, origin: { forked: { ...facts, snapshot }, place } })
    })
    const outcomes = await Promise.allSettled(made.map((kernel) => kernel.start()))
    const failed = outcomes.find(({ status }) => status === 'rejected')
    if (failed) {
      await Promise.all(made.map((kernel) => kernel.shutdown()))
      throw (failed as PromiseRejectedResult).reason
    }
    this.#forked += made.length
    return made.map((kernel) => kernel.model)
  }

  #rootOf(owner: string): string {
    return this.#options.rootOf?.(owner) ?? this.#options.root
  }

  /** Throws `quota_exceeded` if there is no room for so many more. */
  #checkRoom(owner: string, wanted = 1): void {
    const { kernelsMax, kernelsPerOwnerMax } = this.#options
    this.#options.checkRoom?.(owner)
    if (kernelsMax !== null && this.#entries.size + wanted > kernelsMax) {
      throw full(`There may be ${kernelsMax} kernels at a time. Shut one down first.`, { kernels_max: kernelsMax })
    }
    const count = kernelsPerOwnerMax === null ? 0 : this.list().filter((kernel) => kernel.owner === owner).length
    if (kernelsPerOwnerMax !== null && count + wanted > kernelsPerOwnerMax) {
      const details = { kernels_per_owner_max: kernelsPerOwnerMax }
      throw full(`You may have ${kernelsPerOwnerMax} kernels at a time. Shut one down first.`, details)
    }
    // Those that rest make room.
    const overfull = (): boolean => this.#entries.size + this.#resting.size + wanted > (kernelsMax ?? Infinity)
    while (overfull() && this.#resting.endOldest());
  }

  /**
   * A client is done with it. It ends, unless its client may have it again and it is at rest: then it has ended for
   * everybody but that client. Never rejects.
   */
  async leave(kernel: GatewayKernel): Promise<void> {
    const entry = this.#entries.get(kernel.id)
    if (entry?.kernel !== kernel || entry.affinity === null || !this.#resting.put(entry.affinity, kernel)) {
      await kernel.shutdown()
      return
    }
    this.#entries.delete(kernel.id)
    this.#tell(kernel.id, 'ended')
  }

  /** Undefined if there is none, or none any more. */
  find(id: string): GatewayKernel | undefined {
    return this.#entries.get(id)?.kernel
  }

  /** In the order in which they were started. */
  list(): GatewayKernel[] {
    return [...this.#entries.values()].map(({ kernel }) => kernel)
  }

  /** How many kernels began as copies of others. */
  get forked(): number {
    return this.#forked
  }

  /** The frozen copies of all kernels, and what they alone hold, in bytes, as last measured. */
  get snapshots(): { readonly count: number; readonly bytes: number } {
    const each = this.list().map((kernel) => kernel.snapshots)
    return {
      count: each.reduce((sum, { count }) => sum + count, 0),
      bytes: each.reduce((sum, { bytes }) => sum + bytes, 0),
    }
  }

  get size(): number {
    return this.#entries.size
  }

  /** A kernel began, or has ended. Returns how to stop listening. */
  onChange(listener: KernelsListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Ends all of them at the same time, and lets no more in. Never rejects. */
  async stopAll(graceMs?: number): Promise<void> {
    this.#stopping = true
    this.#endUpkeep()
    const ends = this.list().map((kernel) => kernel.shutdown(graceMs))
    await Promise.all([...ends, this.#resting.endAll(graceMs), ...this.#leaving])
  }

  #ended(kernel: GatewayKernel): void {
    const left = kernel.shutdown().finally(() => this.#leaving.delete(left))
    this.#leaving.add(left)
    // Of one that rests everybody has heard that it ended.
    this.#resting.forget(kernel)
    if (this.#entries.get(kernel.id)?.kernel !== kernel) return
    this.#entries.delete(kernel.id)
    this.#tell(kernel.id, 'ended')
    this.#options.observe({ what: 'kernel_ended', kernel: kernel.id, owner: kernel.owner })
  }

  #tell(id: string, what: 'started' | 'ended'): void {
    for (const listener of this.#listeners) listener(id, what)
  }
}

/** Options of a kernel whose kernelspec has limits of its own. */
function limitedTo<T extends KernelsOptions['options']>(limits: SpecFacts['limits'], options: T): T {
  return limits === undefined ? options : { ...options, limits: { ...options.limits, ...limits } }
}
