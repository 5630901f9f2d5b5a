/** One kernel that is looked after: its processes, its groups, and what its worker died of. */

import type { Clock } from '../../clock.js'
import type { OwnLimits } from '../../link/protocol.js'
import type { Log } from '../../log.js'
import type { PythonEvent } from '../events.js'
import type { WorkersOptions } from '../options.js'
import type { Death } from '../zygote.js'
import { Group, type Cgroups, type Controller } from './cgroups.js'
import type { Sample } from './culprit.js'
import { OomWatch } from './oom.js'
import { memoryReason, ownLimitsOf, userMemoryReason, type KernelBounds, type Reason } from './terms.js'

/** Whose kernel it is. */
export interface Whose {
  readonly kernelId: string
  readonly tenant: string
  readonly spec: string
}

interface Around {
  /** null: it gets no groups. */
  readonly cgroups: Cgroups | null
  readonly oom: OomWatch
  readonly clock: Clock
  readonly log: Log
}

/** Processes of ours beside the user's: writers of a checkpoint, a copy on its way, the debugger's threads. */
const OURS_MAX = 8
/** How long it may take until the memory of what was ended can be used again. */
const LATELY_MS = 5_000
/** A copy that is frozen beyond this part of the limit is the only moment: the next cell may need to write to all it shares. */
const NEAR_PART = 0.75
/** Moments that are left each time that it gives way. */
const GIVES_WAY = [1, 0]
/** Of the limit: who has this much more than the newest moment has grown. */
const GROWN_PART = 0.04
/** Walls are moved when they would move by more than this. */
const WALL_STEP_BYTES = 4 * 1_048_576
/** Reasons of deaths that were never told are not kept for ever. */
const ENDED_MAX = 100

export class Ward {
  readonly whose: Whose
  readonly bounds: KernelBounds
  /** What a worker is told to put on itself; null: nothing. */
  readonly ownLimits: OwnLimits | null
  /** Workers that it has had, as long as anything of them runs. */
  readonly workers = new Set<number>()
  readonly #around: Around
  readonly #onUp: () => void
  readonly #frozen = new Map<string, number>()
  readonly #ended = new Map<number, Reason>()
  #group: Group | null = null
  #kills: OomWatch | null = null
  #wall: Reason | null = null
  #wallBytes = 0
  #current: number | null = null
  #endedAt = -Infinity
  #isTakenUp = false
  /** How often it has given way since it was within its limit. */
  #waysGiven = 0
  #tell: (event: PythonEvent) => void = () => {}
  #sample: Sample = { bytes: 0, faults: new Map(), isTakenUp: false }

  /** `onUp`: it has a process, perhaps again. */
  constructor(whose: Whose, bounds: KernelBounds, around: Around, onUp: () => void) {
    this.whose = whose
    this.bounds = bounds
    this.#around = around
    this.#onUp = onUp
    this.ownLimits = ownLimitsOf(bounds, around.cgroups?.roots.cpu !== undefined)
  }

  /** What its workers are told of it. */
  get options(): Pick<WorkersOptions, 'explain' | 'onTakenUp' | 'ownLimits'> {
    return {
      explain: (pid, death) => this.explain(pid, death),
      onTakenUp: (pid) => this.takeUp(pid),
      ownLimits: this.ownLimits,
    }
  }

  /** Nothing has to be watched from here. */
  get isHeldBySystem(): boolean {
    return this.holds('memory') && this.holds('pids')
  }

  get isEmpty(): boolean {
    return this.#current === null
  }

  get wasEndedLately(): boolean {
    return this.#around.clock.now() - this.#endedAt < LATELY_MS
  }

  /** When it was last ended for a limit. */
  get endedAt(): number {
    return this.#endedAt
  }

  get usedBytes(): number {
    return this.#sample.bytes
  }

  /** As it was at the last look. */
  get sample(): Sample {
    return this.#sample
  }

  get groupBytes(): number | null {
    return this.#group?.memoryBytes() ?? null
  }

  holds(controller: Controller): boolean {
    return this.#group?.holds(controller) ?? false
  }

  isFrozen(pid: number): boolean {
    return [...this.#frozen.values()].includes(pid)
  }

  measured(bytes: number, faults: Sample['faults'] = new Map()): void {
    this.#sample = { bytes, faults, isTakenUp: this.#isTakenUp }
  }

  /** What was found running: process and session of each. */
  note(found: readonly (readonly [pid: number, session: number])[]): void {
    const seen = new Set(found.flat())
    for (const pid of this.workers) if (pid !== this.#current && !seen.has(pid)) this.workers.delete(pid)
  }

  /** Passes on what the workers tell, in its order; a worker that has come up is in its groups before that is told. */
  through(deliver: (event: PythonEvent) => void): (event: PythonEvent) => void {
    const held: PythonEvent[] = []
    let holding = false
    const take = (event: PythonEvent): void => {
      if (holding) {
        held.push(event)
        return
      }
      this.#hear(event)
      if (event.on !== 'worker_up' || this.#around.cgroups === null) {
        deliver(event)
        if (frozenCopy(event) && this.#isNearWall()) this.#trim(1)
        return
      }
      holding = true
      void this.#enter(event.pid).then(() => {
        holding = false
        deliver(event)
        while (!holding && held.length > 0) take(held.shift() as PythonEvent)
      })
    }
    this.#tell = take
    return take
  }

  /** A worker of a gateway that was killed, which is in its groups, goes on here. */
  takeUp(pid: number): void {
    this.#isTakenUp = true
    this.#cameUp(pid)
    void this.#enter(pid)
  }

  /** What ended a process, beside its signal or code. */
  explain(pid: number, death: Death): Death {
    const reason = this.#ended.get(pid)
    this.#ended.delete(pid)
    const ofMachine = this.#around.oom.explain(death)
    if (reason !== undefined) return { ...death, ...reason }
    return this.#kills?.explain(death, this.#wall ?? undefined) ?? ofMachine
  }

  /**
   * It is beyond its limit: it gives up what it can miss, the moments of its guard but for the newest, and is looked at
   * again. That one goes as well if it is what is too much: if nobody of `family` has grown since it was frozen. False:
   * there is nothing more to give up.
   */
  giveWay(family: readonly { readonly pid: number; readonly residentBytes: number }[]): boolean {
    const { length } = GIVES_WAY
    if (this.#waysGiven >= (this.#hasGrown(family) ? length - 1 : length)) return false
    this.#trim(GIVES_WAY[this.#waysGiven] ?? 0)
    this.#waysGiven += 1
    return true
  }

  /** By more than what the system makes of it where groups hold the limit: `FROZEN` of the worker's own limits. */
  #hasGrown(family: readonly { readonly pid: number; readonly residentBytes: number }[]): boolean {
    const [copies, others] = [true, false].map((frozen) => family.filter(({ pid }) => this.isFrozen(pid) === frozen))
    if (!copies || !others || copies.length === 0) return true
    const largest = Math.max(...copies.map(({ residentBytes }) => residentBytes))
    const now = others.reduce((sum, { residentBytes }) => sum + residentBytes, 0)
    return now - largest > this.bounds.memoryBytes * GROWN_PART
  }

  /** It is within its limit. */
  isWithin(): void {
    this.#waysGiven = 0
  }

  /** Ends the worker, and what it has started, but for the copies from which its state can come back. */
  end(family: readonly { readonly pid: number }[], reason: Reason): void {
    const pid = this.#current
    if (pid === null || this.#ended.has(pid)) return
    this.#around.log('warn', 'limit_hit', { kernel: this.whose.kernelId, limit: reason.name, reason: reason.why })
    if (this.#ended.size >= ENDED_MAX) this.#ended.clear()
    this.#ended.set(pid, reason)
    this.#endedAt = this.#around.clock.now()
    for (const each of [pid, ...family.map((one) => one.pid)]) if (!this.isFrozen(each)) kill(each)
  }

  /** So much more than it has now, and no more than it may have itself. `mostBytes`: what its user may have. */
  async mayGrow(bytes: number, mostBytes: number): Promise<void> {
    const own = this.bounds.memoryBytes || Infinity
    const wall = Math.min(own, this.usedBytes + bytes)
    const group = this.#group
    if (group === null || Math.abs(wall - this.#wallBytes) < WALL_STEP_BYTES) return
    // Of a wall that is nearer than what it has by now the system says that it is busy: the next look finds out.
    await group.limitMemory(wall).then(
      () => {
        this.#wallBytes = wall
        this.#wall = wall === own ? memoryReason(own) : userMemoryReason(mostBytes)
      },
      () => {},
    )
  }

  /** Removes its groups. False: something still runs in them. */
  async leave(): Promise<boolean> {
    const group = this.#group
    if (group !== null && !(await group.remove())) return false
    if (this.#group === group) this.#group = null
    this.retire()
    return true
  }

  /** Somebody else looks after this kernel from now on, or nobody has to. */
  retire(): void {
    this.#kills?.stop()
    this.#kills = null
  }

  #trim(momentsMin: number): void {
    this.#tell({ on: 'trim', bytesMax: 0, momentsMin })
  }

  /** The system ends processes at its wall at once: there is no second look. */
  #isNearWall(): boolean {
    const most = this.bounds.memoryBytes
    return most > 0 && this.holds('memory') && (this.groupBytes ?? 0) > most * NEAR_PART
  }

  #hear(event: PythonEvent): void {
    const frozen = frozenCopy(event)
    if (event.on === 'worker_up') {
      this.#cameUp(event.pid)
    } else if (frozen) {
      this.#frozen.set(frozen.snapshot, frozen.pid)
      this.#makeRoom()
    } else if (event.on === 'snapshot_gone') {
      this.#frozen.delete(event.snapshot)
      this.#makeRoom()
    } else if (event.on === 'worker_died' || event.on === 'zygote_died' || event.on === 'workers_stopped') {
      this.#current = null
    }
  }

  #cameUp(pid: number): void {
    for (const [snapshot, each] of this.#frozen) if (each === pid) this.#frozen.delete(snapshot)
    this.#current = pid
    this.workers.add(pid)
    this.#onUp()
  }

  async #enter(pid: number): Promise<void> {
    const { cgroups, log } = this.#around
    if (cgroups === null) return
    try {
      // The groups of a kernel that has had no process for a while are just being removed, perhaps.
      await this.#join(cgroups, pid).catch(() => this.#join(cgroups, pid))
    } catch (error) {
      // From now on it is watched instead.
      this.#group = null
      log('error', 'limits_not_held_by_system', { kernel: this.whose.kernelId, reason: String(error) })
    }
  }

  async #join(cgroups: Cgroups, pid: number): Promise<void> {
    const { memoryBytes, cpuPercent, processes } = this.bounds
    const group = this.#group ?? new Group(cgroups, this.whose.kernelId)
    if (this.#group === null) {
      if (memoryBytes > 0) await group.limitMemory(memoryBytes)
      if (cpuPercent > 0) await group.limitCpu(cpuPercent)
      if (processes > 0) await group.limitProcesses(processes + this.#frozen.size + OURS_MAX)
      if (memoryBytes > 0) this.#wall = memoryReason(memoryBytes)
    }
    // It is known as a whole, or not at all.
    this.#group = null
    await group.add(pid)
    this.#group = group
    this.#kills ??= new OomWatch(this.#around.clock, () => group.kills())
  }

  /** Copies that are kept take nothing of what the user may have. */
  #makeRoom(): void {
    const { processes } = this.bounds
    if (processes > 0) this.#group?.limitProcesses(processes + this.#frozen.size + OURS_MAX).catch(() => {})
  }
}

/** Its process and the name of its snapshot, if this tells of a copy that is frozen now. */
function frozenCopy(event: PythonEvent): { readonly snapshot: string; readonly pid: number } | null {
  return event.on === 'worker' && event.event.kind === 'taken' && event.event.pid > 0 ? event.event : null
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}
