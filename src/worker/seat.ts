/**
 * Where a worker sits: the name that door and zygote know it by, its output pipes, and the note on interrupts.
 *
 * Copies of a worker sit where it sits; a worker that was forked anew may have a seat of its own.
 */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Clock } from '../clock.js'
import { readFifo, type Fifo } from './fifo.js'
import { Interrupter, type InterruptLimits } from './interrupter.js'

export interface SeatPaths {
  /** Unlike that of any other seat at the same door. */
  readonly place: string
  readonly stdout: string
  readonly stderr: string
  /** What the latest interrupt was meant for. */
  readonly interrupts: string
}

/** Files of a seat in a folder that holds many. */
export function seatIn(folder: string, place: string): SeatPaths {
  const path = (suffix: string): string => join(folder, `${place}.${suffix}`)
  return { place, stdout: path('out'), stderr: path('err'), interrupts: path('int') }
}

/** Where the worker keeps copies of files while a transaction is open; it names it after its output pipe, too. */
export function undoFolderOf({ stdout }: SeatPaths): string {
  return `${stdout.replace(/\.[^./]*$/, '')}.undo`
}

export type OnText = (name: 'stdout' | 'stderr', text: Buffer) => void

/** A seat that is in use: its pipes are read. */
export class Seat {
  readonly paths: SeatPaths
  readonly interrupter: Interrupter
  /** What the worker writes between two cells; terminals do not show it. */
  readonly mark = `\u001b_${randomBytes(16).toString('hex')}\u001b\\`
  readonly #fifos: readonly Fifo[]

  /** Gets what is printed, as the inside of a JSON string. */
  onText: OnText

  /** The pipes must be there. */
  constructor(paths: SeatPaths, clock: Clock, limits: InterruptLimits, onText: OnText) {
    this.paths = paths
    this.onText = onText
    this.interrupter = new Interrupter(clock, limits, paths.interrupts)
    this.#fifos = (['stdout', 'stderr'] as const).map((name) =>
      readFifo(paths[name], Buffer.from(this.mark), (text) => this.onText(name, text)),
    )
  }

  get place(): string {
    return this.paths.place
  }

  /** Delivers everything that is in the pipes now. */
  drain(): void {
    for (const fifo of this.#fifos) fifo.drain()
  }

  /** The reply behind which the worker writes its mark has been served. */
  passed(): void {
    for (const fifo of this.#fifos) fifo.passed()
  }

  /** Another worker sits here. */
  reset(): void {
    for (const fifo of this.#fifos) fifo.reset()
  }

  pause(): void {
    for (const fifo of this.#fifos) fifo.pause()
  }

  resume(): void {
    for (const fifo of this.#fifos) fifo.resume()
  }

  close(): void {
    this.interrupter.close()
    for (const fifo of this.#fifos) fifo.close()
  }
}
