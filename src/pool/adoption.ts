/**
 * Zygotes that another gateway left behind, and the places below them.
 *
 * They come back by themselves, as long as their records are there. Meanwhile each kernel claims the places that it had:
 * only a kernel of the same tenant gets one, and each only once. When all kernels have, what nobody claimed is ended.
 */

import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Inventory } from '../link/protocol.js'
import { runs } from '../worker/pids.js'
import type { Holder } from '../worker/zygote.js'
import type { PoolOptions } from './options.js'
import type { SharedZygote } from './shared-zygote.js'
import type { PoolEvent } from './state.js'
import type { ZygoteNote } from './zygote-records.js'

/** What it needs of the pool. */
export interface AdoptionParts {
  readonly options: PoolOptions
  adopt(note: ZygoteNote): SharedZygote
  tell(event: PoolEvent): void
  /** Somebody has it. */
  isTaken(place: string): boolean
  /** Gives back what there is of it here. */
  clear(place: string, folder: string): void
}

interface Adopted {
  readonly note: ZygoteNote
  readonly zygote: SharedZygote
}

export class Adoption {
  readonly #parts: AdoptionParts
  readonly #adopted = new Map<number, Adopted>()
  /** Those that wait for places to be claimed. */
  readonly #looks = new Set<() => void>()
  /** Resolves when no kernel claims anything any more. */
  readonly over: Promise<void>
  #end: () => void = () => {}
  #isOpen = false

  constructor(parts: AdoptionParts) {
    this.#parts = parts
    this.over = new Promise((resolve) => (this.#end = resolve))
  }

  /** Kernels may still claim what they had. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Waits for those of which there are records. */
  begin(): void {
    const { options, adopt, tell } = this.#parts
    const notes = options.records?.all() ?? []
    const latest = new Map(notes.map((note) => [note.key, note]))
    for (const note of notes) {
      const { id: zygote, key, spec, tenant, release } = note
      if (!runs(note)) {
        options.records?.remove(zygote)
        continue
      }
      // One of another release serves the kernels that it has.
      const isCurrent = latest.get(key) === note && release === (options.release ?? '')
      tell({ on: 'adopted', zygote, key, spec, tenant, isCurrent })
      this.#adopted.set(zygote, { note, zygote: adopt(note) })
    }
    this.#isOpen = this.#adopted.size > 0
    if (!this.#isOpen) this.#end()
  }

  /** Every kernel that goes on has claimed what it had: what is left belongs to nobody. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#end()
    void Promise.all([...this.#adopted.values()].map(async (each) => await this.#endUnclaimed(each.zygote))).then(
      (places) => {
        this.#parts.tell({ on: 'claims_over' })
        this.#removeFiles(new Set(places.flat()))
      },
    )
  }

  /** The zygote of that number if it may serve this tenant, or null; also if it has ended meanwhile. */
  zygoteFor(id: number, tenant: string): SharedZygote | null {
    const found = this.#adopted.get(id)
    return found?.note.tenant === tenant && !found.zygote.isGone ? found.zygote : null
  }

  /** Gives a kernel a place that it had. False: it is somebody else's. */
  claim(request: string, tenant: string, zygote: number, place: string): boolean {
    if (this.zygoteFor(zygote, tenant) === null || this.#parts.isTaken(place)) {
      this.#parts.options.log('warn', 'place_not_given', { place })
      return false
    }
    this.#parts.tell({ on: 'reclaimed', request, zygote, place })
    for (const look of this.#looks) look()
    return true
  }

  /** Resolves when somebody has that place, or nobody will. */
  async untilClaimed(place: string): Promise<void> {
    if (!this.#isOpen || this.#parts.isTaken(place)) return
    const claimed = new Promise<void>((resolve) => {
      const look = (): void => {
        if (!this.#parts.isTaken(place)) return
        this.#looks.delete(look)
        resolve()
      }
      this.#looks.add(look)
    })
    await Promise.race([claimed, this.over])
  }

  /** Where a process of that tenant waits, once all zygotes are back that come back; null: there is none. */
  async whereIs(token: string, tenant: string): Promise<{ readonly zygote: number; readonly place: string } | null> {
    for (const { note, zygote } of this.#adopted.values()) {
      if (note.tenant !== tenant) continue
      const place = placeOf(await zygote.back, token)
      if (place !== null) return { zygote: zygote.id, place }
    }
    return null
  }

  /** Places below it that are still there, but not for long. */
  async #endUnclaimed(zygote: SharedZygote): Promise<readonly string[]> {
    const { isTaken, clear, options } = this.#parts
    const inventory = await zygote.back
    const unclaimed = (inventory?.places ?? []).map(({ kernel }) => kernel).filter((place) => !isTaken(place))
    for (const place of unclaimed) {
      options.log('info', 'place_unclaimed', { place })
      zygote.zygote.hold(
        place,
        nobody(() => clear(place, zygote.folder)),
      )
      zygote.zygote.tell({ kind: 'end', kernel: place })
    }
    return unclaimed
  }

  /** Of places that ended while no gateway was there. */
  #removeFiles(ending: ReadonlySet<string>): void {
    const folders = new Set([this.#parts.options.folder])
    for (const { zygote } of this.#adopted.values()) if (!zygote.isAlone) folders.add(zygote.folder)
    for (const folder of folders)
      for (const name of readdirSync(folder)) {
        const place = /^(w[^.]*)\.(out|err|int|undo)$/.exec(name)?.[1]
        if (place === undefined || ending.has(place) || this.#parts.isTaken(place)) continue
        rmSync(join(folder, name), { recursive: true, force: true })
      }
  }
}

export function placeOf(inventory: Inventory | null, token: string): string | null {
  return inventory?.places.find(({ workers }) => workers.some((each) => each.token === token))?.kernel ?? null
}

function nobody(ended: () => void): Holder {
  const ignore = (): void => {}
  return { forked: ignore, forkFailed: ignore, died: ignore, snapshotGone: ignore, copied: ignore, ended }
}
