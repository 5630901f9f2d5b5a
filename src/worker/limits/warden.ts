/**
 * Keeps the kernels of a gateway within what they, and their users, may use.
 *
 * Theory of operation. What the system can hold is given to the system: each kernel has control groups of its own, in
 * which its worker is before any code of the user's runs, and what that starts is in them as well. Where there are no
 * groups, all processes of the machine are looked at once a second, and a kernel that is beyond a limit at two looks has
 * its worker and what that started ended; short peaks pass unseen. The memory of all kernels of a user is looked at once
 * a second in any case: the kernel that grew last is ended (`culprit`). With groups, none can grow further than what its
 * user has left.
 *
 * Invariant: a limit that is hit ends nothing but the kernel that hit it, and its death says which limit that was.
 */

import type { Clock } from '../../clock.js'
import { SavepointError } from '../../errors.js'
import type { Log } from '../../log.js'
import { leaveCgroups, type Cgroups } from './cgroups.js'
import { familyOf, measure, zygotesOf, takeCensus, type Census } from './census.js'
import { judge, LOOKS_MAX, type Look } from './culprit.js'
import type { OomWatch } from './oom.js'
import { memoryReason, processReason, userMemoryReason, type KernelBounds } from './terms.js'
import { Ward, type Whose } from './ward.js'

export interface WardenOptions {
  /** By kernelspec. */
  readonly boundsOf: (spec: string) => KernelBounds
  /** Of all kernels of one user; 0: no limit. */
  readonly userMemoryBytes: number
  readonly cgroups: Cgroups | null
  readonly oom: OomWatch
  readonly clock: Clock
  readonly log: Log
}

const LOOK_MS = 1_000
/** On a machine that is busy, or has very many processes, it is less often. */
const LOOK_MS_MAX = 3_000
/** Where it has to be seen which kernel still grows. */
const LOOK_AGAIN_MS = 100
/** What looking took is at most this part of the time, as far as that allows. */
const SHARE_MAX = 0.05

export class Warden {
  readonly #options: WardenOptions
  /** Kernels that have processes. */
  readonly #wards = new Map<string, Ward>()
  /** How the kernels of each user were at the latest looks. */
  readonly #looks = new Map<string, readonly Look[]>()
  #cancel: () => void = () => {}
  #stopped = false

  constructor(options: WardenOptions) {
    this.#options = options
    this.#lookLater(LOOK_MS)
  }

  /** Looks after the workers of one kernel, from its start to its end. */
  take(whose: Whose): Ward {
    const { boundsOf, cgroups, oom, clock, log, userMemoryBytes } = this.#options
    const bounds = boundsOf(whose.spec)
    const isBounded = bounds.memoryBytes > 0 || bounds.processes > 0 || bounds.cpuPercent > 0 || userMemoryBytes > 0
    const ward = new Ward(whose, bounds, { cgroups: isBounded ? cgroups : null, oom, clock, log }, () => {
      if (!isBounded) return
      const former = this.#wards.get(whose.kernelId)
      // After a restart it is another one, with the same groups.
      if (former !== ward) former?.retire()
      this.#wards.set(whose.kernelId, ward)
    })
    return ward
  }

  /** Throws `quota_exceeded` if the kernels of that user have no memory left for another one. */
  checkRoom(tenant: string): void {
    const most = this.#options.userMemoryBytes
    const used = this.#bytesOf(tenant)
    if (most === 0 || used < most) return
    throw new SavepointError(
      'quota_exceeded',
      `Your kernels use ${used} bytes of memory, and may use ${most} together. Shut one down first.`,
      { user_memory_bytes: most, used_bytes: used, retry_after_s: 10 },
    )
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancel()
    await Promise.all([...this.#wards.values()].map((ward) => ward.leave()))
    if (this.#options.cgroups !== null) leaveCgroups(this.#options.cgroups)
  }

  #lookLater(ms: number): void {
    this.#cancel = this.#options.clock.after(ms, () => {
      const began = this.#options.clock.now()
      void this.#look()
        .catch((error: unknown) => {
          this.#options.log('error', 'limits_not_looked_at', { reason: String(error) })
          return false
        })
        .then((again) => {
          const took = this.#options.clock.now() - began
          const pause = Math.min(LOOK_MS_MAX, Math.max(LOOK_MS, took / SHARE_MAX))
          if (!this.#stopped) this.#lookLater(again ? LOOK_AGAIN_MS : pause)
        })
    })
  }

  /** True: it has to be looked again at once. */
  async #look(): Promise<boolean> {
    const { userMemoryBytes } = this.#options
    if (this.#wards.size === 0) return false
    const began = this.#options.clock.now()
    const isWatched = [...this.#wards.values()].some((ward) => !ward.isHeldBySystem)
    const census = isWatched ? await takeCensus() : null
    let again = false
    for (const ward of [...this.#wards.values()]) {
      if (!(await this.#lookAt(ward, census))) again = true
      if (!ward.isEmpty) continue
      if ((await ward.leave()) && ward.isEmpty && this.#wards.get(ward.whose.kernelId) === ward) {
        this.#wards.delete(ward.whose.kernelId)
      }
    }
    if (userMemoryBytes === 0) return again
    const tenants = new Set([...this.#wards.values()].map(({ whose }) => whose.tenant))
    for (const tenant of this.#looks.keys()) if (!tenants.has(tenant)) this.#looks.delete(tenant)
    for (const tenant of tenants) if (await this.#balance(tenant, began)) again = true
    return again
  }

  /** Finds out what a kernel uses, and holds what no group holds. False: it has to be looked at again. */
  async #lookAt(ward: Ward, census: Census | null): Promise<boolean> {
    const { bounds } = ward
    const family = census === null ? [] : familyOf(census, ward.workers)
    if (census !== null) ward.note(family.map(({ pid, session }) => [pid, session]))
    const most = Math.min(bounds.memoryBytes || Infinity, this.#options.userMemoryBytes || Infinity)
    if (!ward.holds('memory') && most < Infinity) {
      // What is resident counts shared pages in each process; only what is near the limit is looked at closely.
      const atMost = family.reduce((sum, { residentBytes }) => sum + residentBytes, 0)
      const isNear = this.#options.userMemoryBytes > 0 || atMost > most
      const zygotes = census === null ? [] : zygotesOf(census, family)
      const { bytes, faults } = isNear ? await measure(family, zygotes, most) : { bytes: atMost, faults: new Map() }
      ward.measured(bytes, faults)
      if (bounds.memoryBytes === 0 || bytes <= bounds.memoryBytes) ward.isWithin()
      else if (ward.giveWay(family)) return false
      else ward.end(family, memoryReason(bounds.memoryBytes))
    } else {
      ward.measured(ward.groupBytes ?? 0)
    }
    if (ward.holds('pids') || bounds.processes === 0) return true
    const running = family.filter(({ pid }) => !ward.isFrozen(pid)).reduce((sum, { threads }) => sum + threads, 0)
    if (running > bounds.processes) ward.end(family, processReason(bounds.processes))
    return true
  }

  /** Ends the kernel that made its user exceed what he may have, or sees to it that none can. True: it is not clear yet. */
  async #balance(tenant: string, began: number): Promise<boolean> {
    const most = this.#options.userMemoryBytes
    const theirs = [...this.#wards.values()].filter((ward) => ward.whose.tenant === tenant)
    const left = most - this.#bytesOf(tenant)
    const look: Look = new Map(theirs.map((ward) => [ward.whose.kernelId, ward.sample]))
    // How it was before one of them was ended tells nothing of what comes after.
    const before = theirs.some(({ endedAt }) => endedAt >= began) ? [] : (this.#looks.get(tenant) ?? [new Map()])
    const looks = [...before, look].slice(-LOOKS_MAX)
    this.#looks.set(tenant, looks)
    if (left >= 0) {
      await Promise.all(theirs.map((ward) => ward.mayGrow(left, most)))
      return false
    }
    // What was ended gives its memory back by and by.
    if (theirs.some((ward) => ward.wasEndedLately)) return false
    const verdict = judge(looks, most)
    if (typeof verdict === 'string') return verdict === 'again'
    this.#looks.set(tenant, [look])
    const culprit = this.#wards.get(verdict.end)
    if (culprit) culprit.end(familyOf(await takeCensus(), culprit.workers), userMemoryReason(most))
    return false
  }

  #bytesOf(tenant: string): number {
    const theirs = [...this.#wards.values()].filter((ward) => ward.whose.tenant === tenant)
    return theirs.reduce((sum, { usedBytes }) => sum + usedBytes, 0)
  }
}
