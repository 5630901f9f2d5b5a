/**
 * Was it the system that killed a process, since memory had run out?
 *
 * A process that was killed leaves nothing that says by whom. But Linux counts how often its OOM killer has ended a
 * process: on the whole machine (`/proc/vmstat`, cgroups included), and in each memory cgroup. A worker that dies of
 * SIGKILL while such a count grows was the one; each count explains one death. The counts are looked at from time to
 * time, so that what happened to somebody else's process an hour ago explains nothing.
 */

import { readFileSync } from 'node:fs'
import type { Clock } from '../../clock.js'
import type { Death } from '../zygote.js'
import type { Reason } from './terms.js'

/** How long a death may be told after the count has grown. */
const LOOKS_MS = 5_000

export const OUT_OF_MEMORY: Reason = {
  name: 'out_of_memory',
  why: 'the machine, or the container that it runs in, ran out of memory, and the system killed it',
}

export class OomWatch {
  readonly #read: () => number
  readonly #clock: Clock
  #before: number
  /** The same, one look earlier: a death may be told just after a look. */
  #earlier: number
  #cancel: () => void = () => {}

  /** `read`: how many processes the OOM killer has ended so far. */
  constructor(clock: Clock, read: () => number = killsOfMachine) {
    this.#clock = clock
    this.#read = read
    this.#before = this.#earlier = read()
    this.#lookLater()
  }

  /** The death, with its cause if that was want of memory. */
  explain(death: Death, reason: Reason = OUT_OF_MEMORY): Death {
    if (death.signal?.name !== 'SIGKILL' || this.#read() <= this.#earlier) return death
    this.#earlier += 1
    this.#before = Math.max(this.#before, this.#earlier)
    return { ...death, ...reason }
  }

  stop(): void {
    this.#cancel()
  }

  #lookLater(): void {
    this.#cancel = this.#clock.after(LOOKS_MS, () => {
      this.#earlier = this.#before
      this.#before = this.#read()
      this.#lookLater()
    })
  }
}

/** 0 where the system does not say. */
export function killsOfMachine(path = '/proc/vmstat'): number {
  return countIn(path)
}

/** The number behind `oom_kill` in a file of counts. */
export function countIn(path: string): number {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync(path, 'latin1'))?.[1] ?? 0)
  } catch {
    return 0
  }
}
