/** What a kernel's workers stand on in a pool: its lease, and the places that it has had. */

import type { Backing, ReadyWorker, Resident } from '../worker/backing.js'
import type { Findings, Placement } from '../worker/memory.js'
import type { SeatPaths } from '../worker/seat.js'
import type { ZygoteCommand } from '../link/protocol.js'
import { placeOf } from './adoption.js'
import type { PoolNeeds } from './options.js'
import type { PoolShell } from './pool.js'
import type { PooledProcess } from './process.js'
import type { SharedZygote } from './shared-zygote.js'

/** Earlier workers of a kernel whose children may go on to print; what older ones left behind is ended. */
const PLACES_MAX = 4

export class KernelBacking implements Backing {
  readonly #pool: PoolShell
  readonly #needs: PoolNeeds
  readonly #places: string[] = []
  readonly #aborted = new AbortController()
  /** Where the copy waits that is to be its first worker; null: it leases one. */
  readonly #copiesAt: string | null
  #resident: Resident | null = null
  /** What the pool knows it by. */
  #request: string | null = null
  /** The leased worker, until it is used. */
  #unused: PooledProcess | null = null
  #zygote: SharedZygote | null = null
  #cancelStop: (() => void) | null = null
  #stopping = false

  constructor(pool: PoolShell, needs: PoolNeeds, copiesAt: string | null) {
    this.#pool = pool
    this.#needs = needs
    this.#copiesAt = copiesAt
  }

  get resident(): Resident | null {
    return this.#resident
  }

  async start(resident: Resident): Promise<void> {
    this.#resident = resident
    if (this.#copiesAt !== null) {
      const { request, zygote } = this.#pool.join(this.#needs, this.#copiesAt)
      this.#request = request
      this.#zygote = zygote
      zygote.residents.add(resident)
      // Whoever starts it is in the middle of that, and is told of a failure later.
      await Promise.resolve()
      resident.zygoteReady(zygote.kernelInfo ?? Buffer.from('{}'))
      return
    }
    const { clock, limits } = this.#pool.options
    const lease = await this.#pool.acquire(this.#needs, clock.now() + limits.waitMs, this.#aborted.signal)
    this.#request = lease.request
    this.#unused = lease.worker
    this.#zygote = this.#pool.zygote(lease.worker.zygote)
    if (this.#stopping) {
      lease.discard('kernel_ended')
      return
    }
    this.#live(lease.worker.paths.place)
    this.#zygote?.residents.add(resident)
    resident.zygoteReady(this.#zygote?.kernelInfo ?? Buffer.from('{}'))
  }

  async takeUp(
    resident: Resident,
    placements: readonly Placement[],
    awaited: string | null,
  ): Promise<Findings | 'nothing' | null> {
    this.#resident = resident
    const { adoption } = this.#pool
    const { tenant } = this.#needs
    const last = placements.at(-1) ?? (awaited === null ? null : await adoption.whereIs(awaited, tenant))
    if (last === null) {
      // Its copy waits in a place that another kernel claims.
      if (this.#copiesAt !== null) await adoption.untilClaimed(this.#copiesAt)
      return 'nothing'
    }
    const zygote = adoption.zygoteFor(last.zygote, tenant)
    // It claims in the turn in which it is asked to: whoever comes later finds its places taken.
    const request = this.#pool.enter(this.#needs)
    this.#request = request
    this.#zygote = zygote
    zygote?.residents.add(resident)
    const claim = (place: string): void => {
      if (this.#places.includes(place) || !adoption.claim(request, tenant, last.zygote, place)) return
      this.#live(place)
    }
    if (zygote) for (const place of latestPlaces(placements, last)) claim(place)
    const inventory = (await zygote?.back) ?? null
    if (zygote === null) resident.zygoteDied()
    if (inventory === null) return null
    const place = awaited === null ? null : placeOf(inventory, awaited)
    if (place !== null && !this.#stopping) claim(place)
    const places = inventory.places.filter(({ kernel }) => this.#places.includes(kernel))
    return { claimed: [...this.#places], places, deaths: inventory.deaths }
  }

  get zygote(): number {
    return this.#zygote?.id ?? 0
  }

  takeReady(failed: ReadyWorker | null): ReadyWorker | null {
    const request = this.#request
    if (request === null || this.#zygote === null) return null
    if (failed !== null)
      this.#pool.tell({
        on: 'invalid',
        place: failed.seat.place,
        reason: 'died_during_connect',
        wantedStill: false,
      })
    const unused = this.#unused
    this.#unused = null
    const fault = unused?.fault(request) ?? null
    if (unused && fault === null) return unused
    if (unused && fault !== null)
      this.#pool.tell({ on: 'invalid', place: unused.paths.place, reason: fault, wantedStill: false })
    const found = this.#pool.takeNow(request, this.#zygote.id)
    if (found) this.#live(found.paths.place)
    return found
  }

  place(): SeatPaths {
    const paths = this.#pool.claim(this.#request ?? '', this.#zygote?.id ?? 0)
    this.#live(paths.place)
    return paths
  }

  tell(command: ZygoteCommand): void {
    this.#zygote?.zygote.tell(command)
  }

  stop(): void {
    this.#end()
    const { clock, workerLimits } = this.#pool.options
    if (this.#places.length === 0) return this.#gone()
    this.#cancelStop = clock.after(workerLimits.zygoteStopMs, () => this.#gone())
  }

  abandon(): void {
    this.#end()
    this.#letGo()
  }

  /** Nothing is left of one of the places. */
  left(place: string): void {
    const at = this.#places.indexOf(place)
    if (at >= 0) this.#places.splice(at, 1)
    if (this.#stopping && this.#places.length === 0) this.#gone()
  }

  #live(place: string): void {
    this.#places.push(place)
    this.#pool.house(place, this)
    const oldest = this.#places.length > PLACES_MAX ? this.#places[0] : undefined
    if (oldest !== undefined) this.#pool.tell({ on: 'discarded', place: oldest, reason: 'replaced' })
  }

  #end(): void {
    this.#stopping = true
    this.#aborted.abort()
    for (const place of [...this.#places]) this.#pool.tell({ on: 'discarded', place, reason: 'kernel_ended' })
  }

  #gone(): void {
    this.#cancelStop?.()
    this.#letGo()
    this.#resident?.ended()
  }

  #letGo(): void {
    if (this.#resident) this.#zygote?.residents.delete(this.#resident)
    if (this.#request !== null) this.#pool.forget(this.#request)
  }
}

/** Where the kernel's latest workers sit below that zygote, oldest first. */
function latestPlaces(
  placements: readonly Placement[],
  last: { readonly zygote: number; readonly place: string },
): readonly string[] {
  const below = placements.filter(({ zygote }) => zygote === last.zygote).map(({ place }) => place)
  // A place counts by when it was last used.
  const latest = below.filter((place, at) => below.lastIndexOf(place) === at).slice(-PLACES_MAX)
  return latest.length > 0 ? latest : [last.place]
}
