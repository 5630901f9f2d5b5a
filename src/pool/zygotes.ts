/** The zygotes of a pool: those that it started, and those that another gateway has left behind. */

import { rm } from 'node:fs'
import type { Hello } from '../link/protocol.js'
import type { Connection, ConnectionHandlers } from '../worker/connection.js'
import { startOf } from '../worker/pids.js'
import type { PoolOptions } from './options.js'
import { SharedZygote } from './shared-zygote.js'
import type { Starts } from './starts.js'
import type { PoolEvent } from './state.js'
import type { ZygoteNote } from './zygote-records.js'

/** What zygotes need of the pool. */
export interface ZygotesParts {
  readonly options: PoolOptions
  readonly link: string
  readonly starts: Starts
  tell(event: PoolEvent): void
  /** Places of the workers below it. */
  placesOf(zygote: number): readonly string[]
  /** Nothing is left there. */
  clear(place: string, folder: string): void
  isStarting(zygote: number): boolean
  later(ms: number, callback: () => void): void
}

export class Zygotes {
  readonly #parts: ZygotesParts
  readonly #all = new Map<number, SharedZygote>()

  constructor(parts: ZygotesParts) {
    this.#parts = parts
  }

  get all(): ReadonlyMap<number, SharedZygote> {
    return this.#all
  }

  get(id: number): SharedZygote | null {
    return this.#all.get(id) ?? null
  }

  start(id: number, key: string): void {
    const { options, starts, later, isStarting } = this.#parts
    const start = starts.of(key)
    if (!start) return
    const made = this.#make(id, key, start)
    void made.zygote.start()
    later(options.limits.zygoteStartMs, () => {
      if (!isStarting(id)) return
      made.zygote.abandon()
      this.#lose(made)
    })
  }

  /** Waits for one that another gateway started, at most `takeUpMs`. */
  adopt(note: ZygoteNote): SharedZygote {
    const made = this.#make(note.id, note.key, { note })
    void made.zygote.start()
    return made
  }

  /** Ends one that has no workers. */
  stop(id: number): void {
    const found = this.#all.get(id)
    this.#all.delete(id)
    this.#parts.options.records?.remove(id)
    found?.stop(() => this.#removeFolder(found))
  }

  /** Of one in a sandbox. */
  #removeFolder({ folder, isAlone }: SharedZygote): void {
    if (isAlone) rm(folder, { recursive: true, force: true }, () => {})
  }

  /** Ends all of them, and everything below. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.#all.values()].map((each) => new Promise<void>((resolve) => each.stop(resolve))))
    for (const id of this.#all.keys()) this.#parts.options.records?.remove(id)
  }

  admit(hello: Hello, connect: (handlers: ConnectionHandlers) => Connection): boolean {
    return [...this.#all.values()].some(({ zygote }) => zygote.admit(hello, connect))
  }

  #make(id: number, key: string, from: ConstructorParameters<typeof SharedZygote>[2]): SharedZygote {
    const { options, link, tell } = this.#parts
    const made = new SharedZygote(id, key, from, link, options, {
      up: () => {
        if ('note' in from) {
          // Before anybody gets a worker of it.
          if (made.changedFolder() !== null) tell({ on: 'stale', key, zygote: id })
        } else this.#record(made)
        tell({ on: 'zygote_up', zygote: id })
      },
      lost: () => this.#lose(made),
    })
    this.#all.set(id, made)
    return made
  }

  /** It can be gone on with after us from now on. */
  #record({ id, key, token, zygote, folder, folders }: SharedZygote): void {
    const { records, release = '' } = this.#parts.options
    const start = this.#parts.starts.of(key)
    const started = zygote.pid === null ? null : startOf(zygote.pid)
    if (!records || !start || zygote.pid === null || started === null) return
    const { name: spec, tenant } = start
    const facts = { id, key, spec, tenant, folder, token, pid: zygote.pid, started, release, folders }
    records.write({ version: 1, ...facts })
  }

  #lose(made: SharedZygote): void {
    const { id } = made
    const { tell, placesOf, clear, options } = this.#parts
    if (!this.#all.delete(id)) return
    options.records?.remove(id)
    options.onZygoteLost?.()
    made.close()
    const places = placesOf(id)
    const message = 'the Python process that workers are forked from ended'
    tell({ on: 'zygote_lost', zygote: id, reason: 'connect_exited', message })
    for (const place of places) clear(place, made.folder)
    this.#removeFolder(made)
    made.tellResidents()
  }
}
