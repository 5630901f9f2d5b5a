/**
 * A kernel whose gateway was killed goes on with the processes that it had.
 *
 * What the kernel remembers comes from its journal; what there is, from the zygote's inventory, which is right: what is
 * there is waited for, what is not has died, and what was asked for and not done is asked for again. The worker comes
 * back by itself. It is rung for, since in the user's code it does not notice that somebody else listens now.
 */

import { constants } from 'node:os'
import type { Clock } from '../clock.js'
import type { Log } from '../log.js'
import type { Backing, Resident, WorkersListener } from './backing.js'
import type { Findings, Held, Outstanding, Placement, WorkerMemory } from './memory.js'
import type { Processes } from './processes.js'
import { deathOf, type Death } from './death.js'
import { escaped, marked } from './fifo.js'
import { newRunning, ring, type Running } from './running.js'
import { WorkerLine, type Told } from './worker-line.js'

/** What there is to be done with a kernel's workers, and who hears of it. */
export interface Affairs {
  readonly clock: Clock
  readonly log: Log
  readonly backing: Backing
  readonly resident: Resident
  readonly processes: Processes
  readonly listener: WorkersListener
  readonly limits: { readonly ringMs: number; readonly redialMs: number; readonly orphanMs: number }
  isStopped(): boolean
  begin(): Promise<void>
  /** Reads what is printed in that place, and goes on with what of it is held. False: it cannot be read. */
  sit(placement: Placement, held: readonly Held[], cell: number): boolean
  /** From now on commands go to it. */
  employ(running: Running): void
  /** Who dials in with this token is the worker of that generation. */
  expect(token: string, generation: number): void
  /** Performs it once more. */
  again(what: Outstanding): void
}

export class TakeUp {
  readonly #memory: WorkerMemory
  readonly #affairs: Affairs
  /** Snapshots that were frozen, woken or given up since. */
  readonly #touched = new Set<string>()
  #isCompared = false
  #isOver = false
  /** It is known what became of the worker, or that this will not be known. Never rejects. */
  readonly known: Promise<void>
  #isKnown: () => void = () => {}
  /** What was found, until it has been compared with what the kernel knows. */
  #found: Findings | null = null

  constructor(memory: WorkerMemory, affairs: Affairs) {
    this.#memory = memory
    this.#affairs = affairs
    this.known = new Promise((resolve) => {
      this.#isKnown = resolve
    })
  }

  /** It is not known yet who is still there. */
  get isUnderWay(): boolean {
    return !this.#isOver
  }

  /** Something became of that snapshot: what was known of it before does not count any more. */
  touch(snapshot: string): void {
    if (!this.#isCompared) this.#touched.add(snapshot)
  }

  /** The zygote is told of in the journal. */
  get knowsZygote(): boolean {
    return this.#memory.placements.length > 0 || this.#memory.current !== null
  }

  /** The worker is back, or will not be: what it had to say is heard in a moment. */
  settled(): void {
    this.#isKnown()
    const found = this.#found
    this.#found = null
    if (found !== null) this.#affairs.clock.after(this.#affairs.limits.redialMs, () => this.#compareSnapshots(found))
  }

  /** Never rejects. */
  async run(): Promise<void> {
    const { log, listener } = this.#affairs
    try {
      await this.#run()
    } catch (error) {
      log('error', 'take_up_failed', { reason: error instanceof Error ? error.message : String(error) })
      listener.zygoteDied()
    }
    this.#isOver = true
    // Else somebody is waited for.
    if (this.#found === null) this.#isKnown()
  }

  async #run(): Promise<void> {
    const { backing, resident, begin } = this.#affairs
    const { placements, current, outstanding } = this.#memory
    const running = this.#employ()
    const awaited = current !== null && current.pid === null ? current.token : null
    const found = await backing.takeUp?.(resident, placements, awaited)
    // There was nothing yet, or its end has been told.
    if (found === undefined || found === 'nothing') await begin()
    if (this.#affairs.isStopped()) return
    if (found === null) return this.#sit(NOTHING)
    this.#isOver = true
    const there = found === undefined || found === 'nothing' ? NOTHING : found
    this.#sit(there)
    this.#endStrangers(there, running?.token ?? awaited)
    this.#found = there
    if (running) this.#awaitReturn(running, there)
    else if (current !== null) this.#awaitNew(current, there)
    for (const each of outstanding) this.#goOn(each, running, there)
    if (current === null || running?.line.isOpen) this.settled()
  }

  /** The worker that the kernel has: commands for it are kept until it is back. */
  #employ(): Running | null {
    const { current, placements, commands } = this.#memory
    if (current === null || current.pid === null) return null
    const { generation, pid, token, frames } = current
    const placement = placements.findLast((each) => each.generation === generation)
    const line = new WorkerLine(
      frames,
      commands.map(({ command, parts }) => [marked(command, placement?.mark), parts] as const),
    )
    const running = newRunning(generation, pid, placement?.token ?? token, line)
    running.place = placement?.place ?? null
    this.#affairs.processes.add(running)
    this.#affairs.employ(running)
    return running
  }

  #sit({ claimed }: Findings): void {
    const latest = new Map(this.#memory.placements.map((each) => [each.place, each]))
    const { held, cell } = this.#memory
    const read = claimed.filter((place) => {
      const placement = latest.get(place)
      return placement !== undefined && this.#affairs.sit(placement, held, cell)
    })
    for (const { place, name, pieces } of held) {
      // Nobody is left there whose reply could come first.
      const text = escaped(pieces.map(({ bytes }) => bytes))
      if (!read.includes(place)) this.#affairs.listener.output(name, text, { place, name, pieces: [] })
    }
  }

  /** Whoever lives and is not wanted was to be ended. */
  #endStrangers({ places }: Findings, wanted: string | null): void {
    const { backing } = this.#affairs
    for (const { workers } of places)
      for (const { pid, token } of workers) if (token !== wanted) backing.tell({ kind: 'kill', pid, signal: KILL })
  }

  #awaitReturn(running: Running, found: Findings): void {
    const { processes } = this.#affairs
    const { token } = running
    if (running.line.isOpen) return
    if (isThere(found, token)) {
      this.#ring(running, this.#affairs.clock.now() + this.#affairs.limits.orphanMs)
      return
    }
    const death = found.deaths.findLast((each) => each.token === token)
    processes.died(running, death ? deathOf(death) : UNKNOWN)
  }

  /** What a worker was told that ended before it had heard of its lease: nothing of it was done. Else null. */
  unheard(running: Running, { code }: Death): { readonly token: string; readonly told: Told[] } | null {
    const { current, commands } = this.#memory
    const isUnheard = code === NOT_LEASED && running.links === 0 && current?.frames === 0
    if (!isUnheard || current.generation !== running.generation) return null
    return { token: current.token, told: commands.map(({ command, parts }) => [command, parts]) }
  }

  #ring(running: Running, until: number): void {
    const { clock, limits, processes } = this.#affairs
    if (clock.now() > until) {
      processes.endBroken(running, LOST)
      return
    }
    ring(running.pid)
    running.cancel = clock.after(limits.ringMs, () => this.#ring(running, until))
  }

  /** A worker that was on its way: it is there, or is to be asked for once more. */
  #awaitNew(current: { readonly generation: number; readonly token: string }, found: Findings): void {
    const { generation, token } = current
    const { processes, listener, expect } = this.#affairs
    const worker = found.places.flatMap(({ workers }) => workers).find((each) => each.token === token)
    if (worker) {
      expect(token, generation)
      processes.add(newRunning(generation, worker.pid, token))
      return
    }
    const wish = this.#memory.outstanding.find((each) => 'token' in each && each.token === token)
    if (wish === undefined) listener.workerFailed(token, AWAY)
  }

  #goOn(what: Outstanding, running: Running | null, found: Findings): void {
    const { listener, again } = this.#affairs
    const { current } = this.#memory
    switch (what.do) {
      case 'fork':
      case 'wake':
      case 'become': {
        const isWanted = current?.pid === null && current.token === what.token
        if (!isWanted || isThere(found, what.token)) return
        if (what.do === 'wake' && !isFrozen(found, what.snapshot)) return listener.snapshotGone(what.snapshot)
        return again(what)
      }
      case 'copy':
        return isFrozen(found, what.name) ? listener.copied(what.name, null) : again(what)
      case 'kill':
        return found.places.some(({ workers }) => workers.some(({ pid }) => pid === what.pid)) ? again(what) : undefined
      case 'interrupt':
        if (running?.pid === what.pid) again(what)
        return
      case 'discard':
      case 'stop':
        return again(what)
    }
  }

  /** What was frozen, woken or given up while the worker came back has been told since. */
  #compareSnapshots({ places }: Findings): void {
    const { backing, listener, isStopped } = this.#affairs
    this.#isCompared = true
    if (isStopped()) return
    const there = new Set(places.flatMap(({ snapshots }) => snapshots))
    for (const snapshot of this.#memory.snapshots)
      if (!there.has(snapshot) && !this.#touched.has(snapshot)) listener.snapshotGone(snapshot)
    const known = new Set([...this.#memory.snapshots, ...this.#touched])
    this.#touched.clear()
    for (const { kernel, snapshots } of places) {
      const strange = snapshots.filter((each) => !known.has(each))
      if (strange.length > 0) backing.tell({ kind: 'discard', kernel, snapshots: strange })
    }
  }
}

const NOTHING: Findings = { places: [], deaths: [], claimed: [] }
const KILL = constants.signals.SIGKILL
/** How a worker ends that waits to be leased when the gateway goes, or for a gateway in vain. */
const NOT_LEASED = 70
/** Ends of sentences that begin with "since". */
const AWAY = 'it ended while the gateway was away'
const LOST = 'it did not come back to the gateway that was started anew'
const UNKNOWN: Death = { code: null, signal: null, why: AWAY }

function isThere({ places }: Findings, token: string): boolean {
  return places.some(({ workers }) => workers.some((each) => each.token === token))
}

function isFrozen({ places }: Findings, snapshot: string): boolean {
  return places.some(({ snapshots }) => snapshots.includes(snapshot))
}
