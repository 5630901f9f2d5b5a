/** The places of all pooled workers: what runs there, whose it is, and what is heard of it. */

import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Hello } from '../link/protocol.js'
import type { Resident } from '../worker/backing.js'
import type { Connection, ConnectionHandlers } from '../worker/connection.js'
import type { Admission } from '../worker/door.js'
import { seatIn, undoFolderOf } from '../worker/seat.js'
import type { Holder } from '../worker/zygote.js'
import type { PoolOptions } from './options.js'
import { PooledProcess } from './process.js'
import type { SharedZygote } from './shared-zygote.js'
import type { Invalid, PoolEvent } from './state.js'

/** A kernel that has places. */
export interface Tenant {
  readonly resident: Resident | null
  /** Nothing is left of one of them. */
  left(place: string): void
}

/** What places need of the pool. */
export interface Surroundings {
  tell(event: PoolEvent): void
  zygoteOf(place: string): SharedZygote | null
  later(ms: number, callback: () => void): void
}

export class Places {
  readonly #options: PoolOptions
  readonly #around: Surroundings
  readonly #processes = new Map<string, PooledProcess>()
  /** What a worker that is on its way will say. */
  readonly #tokens = new Map<string, string>()
  readonly #tenants = new Map<string, Tenant>()

  constructor(options: PoolOptions, around: Surroundings) {
    this.#options = options
    this.#around = around
  }

  /** A process that the pool had forked there, or null. */
  process(place: string): PooledProcess | null {
    return this.#processes.get(place) ?? null
  }

  /** From now on what happens there is told to `tenant`. */
  house(place: string, tenant: Tenant): void {
    this.#tenants.set(place, tenant)
    this.#around.zygoteOf(place)?.zygote.hold(place, this.#holderOf(place))
  }

  /** Forks a worker that waits for a lease. */
  fork(place: string, zygote: number): void {
    const { limits } = this.#options
    const paths = seatIn(this.#folderOf(place), place)
    const token = randomBytes(16).toString('hex')
    this.#processes.set(place, new PooledProcess(paths, token, zygote, () => this.#faulty(place, 'pipe_closed')))
    this.#tokens.set(place, token)
    const shared = this.#around.zygoteOf(place)?.zygote
    const { stdout, stderr, interrupts } = paths
    const files = { stdout, stderr, interrupts }
    shared?.hold(place, this.#holderOf(place))
    shared?.tell({ kind: 'fork', kernel: place, token, env: {}, cwd: null, ...files, ready: true })
    this.#around.later(limits.dialMs, () => {
      if (this.#tokens.get(place) !== token) return
      this.#failed(place, 'connect_error', 'it did not say in time that it is there')
    })
  }

  /** Ends everything there; `ended` is told when nothing is left. */
  end(place: string, reason: string): void {
    this.#options.log('debug', 'worker_removed', { place, reason })
    this.#tokens.delete(place)
    this.#processes.get(place)?.close()
    const zygote = this.#around.zygoteOf(place)
    if (zygote) zygote.zygote.tell({ kind: 'end', kernel: place })
    else queueMicrotask(() => this.#ended(place))
  }

  /** Whatever was there is gone: gives back what there is of it here. */
  clear(place: string, folder = this.#folderOf(place)): void {
    this.#processes.get(place)?.close()
    this.#processes.delete(place)
    this.#tokens.delete(place)
    const tenant = this.#tenants.get(place)
    this.#tenants.delete(place)
    const paths = seatIn(folder, place)
    const { stdout, stderr, interrupts } = paths
    for (const path of [stdout, stderr, interrupts]) rm(path, { force: true }, () => {})
    rm(undoFolderOf(paths), { recursive: true, force: true }, () => {})
    tenant?.left(place)
  }

  /** Does the worker that waits there live, and how much memory does it have? */
  look(place: string): void {
    const process = this.process(place)
    if (process === null) return
    const fault = process.fault('')
    if (fault !== null) {
      this.#faulty(place, fault)
      return
    }
    void memoryOf(process.pid).then((bytes) => {
      if (bytes !== null) this.#around.tell({ on: 'measured', place, bytes })
    })
  }

  /** Takes in a process that belongs to a place. */
  admit(hello: Hello, connect: (handlers: ConnectionHandlers) => Connection): Admission {
    const { role, kernel: place, token, pid } = hello
    const process = this.process(place)
    if (role === 'worker' && process !== null && this.#tokens.get(place) === token) {
      this.#tokens.delete(place)
      process.arrive(pid, connect, this.#options.clock, this.#options.workerLimits)
      this.#around.tell({ on: 'dialled', place, pid })
      return true
    }
    const admitted = this.#tenants.get(place)?.resident?.admit(hello, connect) ?? false
    if (admitted === true && role === 'worker') this.#around.tell({ on: 'dialled', place, pid })
    return admitted
  }

  /** Closes what is open. */
  close(): void {
    for (const process of this.#processes.values()) process.close()
  }

  #folderOf(place: string): string {
    return this.#around.zygoteOf(place)?.folder ?? this.#options.folder
  }

  #ended(place: string): void {
    const zygote = this.#around.zygoteOf(place)
    this.#around.tell({ on: 'ended', place })
    zygote?.zygote.release(place)
    this.clear(place, zygote?.folder)
  }

  #failed(place: string, reason: 'connect_failed' | 'connect_exited' | 'connect_error', message: string): void {
    this.#tokens.delete(place)
    this.#options.log('warn', 'worker_not_started', { place, reason, message })
    this.#around.tell({ on: 'start_failed', place, reason, message })
  }

  #faulty(place: string, reason: Invalid): void {
    this.#around.tell({ on: 'invalid', place, reason, wantedStill: false })
  }

  #holderOf(place: string): Holder {
    const resident = (): Resident | null => this.#tenants.get(place)?.resident ?? null
    return {
      forked: (token, pid) => resident()?.forked(token, pid),
      forkFailed: (token, reason) => {
        if (this.#tokens.has(place)) this.#failed(place, 'connect_failed', reason)
        else resident()?.forkFailed(token, reason)
      },
      died: (pid, death) => {
        const present = resident()
        if (this.#tokens.has(place)) {
          this.#failed(place, 'connect_exited', `it ended with ${death.signal?.name ?? `exit code ${death.code}`}`)
        } else if (present) present.died(pid, death)
        else this.#faulty(place, 'target_dead')
      },
      snapshotGone: (snapshot) => resident()?.snapshotGone(snapshot),
      copied: (name, error) => resident()?.copied(name, error),
      ended: () => this.#ended(place),
    }
  }
}

/** What a process has to itself, and its share of what it shares; null if it may not be looked at, or has just ended. */
async function memoryOf(pid: number): Promise<number | null> {
  try {
    const pss = /^Pss:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1]
    return pss === undefined ? null : Number(pss) * 1024
  } catch {
    return null
  }
}
