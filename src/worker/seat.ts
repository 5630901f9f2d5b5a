/**
 * Where a worker sits: the name that door and zygote know it by, its output pipes, and the note on interrupts.
 *
 * Copies of a worker sit where it sits; a worker that was forked anew may have a seat of its own.
 */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Clock } from '../clock.js'
import { readFifo, type Fifo } from './fifo.js'
import type { Held } from './memory.js'
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

/** `held`: all of that pipe that was read and may not be told yet, if that has changed. */
export type OnText = (name: 'stdout' | 'stderr', text: Buffer, held: Held | null) => void

/** A seat that is in use: its pipes are read. */
export class Seat {
  readonly paths: SeatPaths
  readonly interrupter: Interrupter
  /** What the worker writes between two cells begins with it: see `markOf`. */
  readonly mark: string
  readonly #fifos: readonly Fifo[]

  /** Gets what is printed, as the inside of a JSON string. */
  onText: OnText

  /** The pipes must be there. `mark`: of a seat that was in use before. */
  constructor(paths: SeatPaths, clock: Clock, limits: InterruptLimits, onText: OnText, mark = newMark()) {
    this.paths = paths
    this.mark = mark
    this.onText = onText
    this.interrupter = new Interrupter(clock, limits, paths.interrupts)
    const { place } = paths
    this.#fifos = NAMES.map((name) =>
      readFifo(paths[name], Buffer.from(this.mark), (text, pieces) =>
        this.onText(name, text, pieces && { place, name, pieces }),
      ),
    )
  }

  get place(): string {
    return this.paths.place
  }

  /** Delivers everything that is in the pipes now and may be told; see `Fifo.drain`. */
  drain(ended?: number, next?: number): void {
    for (const fifo of this.#fifos) fifo.drain(ended, next)
  }

  /** Goes on with what another gateway had read. `cell`: all replies before it were served. */
  takeUp(held: readonly Held[], cell: number): void {
    this.#fifos.forEach((fifo, at) => {
      const { pieces = [] } = held.find(({ name, place }) => name === NAMES[at] && place === this.place) ?? {}
      fifo.passed(cell)
      fifo.restore(pieces)
    })
  }

  /** The reply behind which the cell `seq` was begun has been served. */
  passed(seq: number): void {
    for (const fifo of this.#fifos) fifo.passed(seq)
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

const NAMES = ['stdout', 'stderr'] as const

function newMark(): string {
  return `\u001b_${randomBytes(16).toString('hex')}.`
}
