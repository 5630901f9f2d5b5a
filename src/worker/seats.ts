/** The seats of one kernel: that of its present worker, and those of workers whose children may still print. */

import type { Clock } from '../clock.js'
import type { InterruptLimits } from './interrupter.js'
import { Seat, type OnText, type SeatPaths } from './seat.js'

export class Seats {
  readonly #clock: Clock
  readonly #limits: InterruptLimits
  readonly #onText: OnText
  /** By place; the latest comes last. */
  readonly #open = new Map<string, Seat>()
  readonly #expected = new Map<string, SeatPaths>()
  #paused = false

  constructor(clock: Clock, limits: InterruptLimits, onText: OnText) {
    this.#clock = clock
    this.#limits = limits
    this.#onText = onText
  }

  /** The latest seat. */
  get present(): Seat | null {
    return [...this.#open.values()].at(-1) ?? null
  }

  /** Places of all seats, oldest first. */
  get places(): readonly string[] {
    return [...this.#open.keys()]
  }

  /** A worker will sit there; its pipes may not be there before it is. */
  expect(paths: SeatPaths): void {
    if (!this.#open.has(paths.place)) this.#expected.set(paths.place, paths)
  }

  /** A worker is there: its pipes are read from now on. */
  arrive(place: string): void {
    const paths = this.#expected.get(place)
    this.#expected.delete(place)
    if (paths !== undefined) this.open(paths)
  }

  at(place: string | null): Seat | null {
    return this.#open.get(place ?? '') ?? null
  }

  /** Reads the pipes of a seat, which must be there. `mark`: see `Seat`. */
  open(paths: SeatPaths, mark?: string): Seat {
    const found = this.#open.get(paths.place)
    if (found) return found
    const seat = new Seat(paths, this.#clock, this.#limits, this.#onText, mark)
    this.#open.set(paths.place, seat)
    if (this.#paused) seat.pause()
    return seat
  }

  /** Takes a seat that somebody else had opened. */
  adopt(seat: Seat): void {
    seat.onText = this.#onText
    this.#open.set(seat.place, seat)
    if (this.#paused) seat.pause()
  }

  /** Stops reading in that place. */
  leave(place: string): void {
    this.#open.get(place)?.close()
    this.#open.delete(place)
  }

  /** Delivers everything that is in the pipes now and may be told; see `Fifo.drain`. */
  drain(ended?: number, next?: number): void {
    for (const seat of this.#open.values()) seat.drain(ended, next)
  }

  pause(): void {
    this.#paused = true
    for (const seat of this.#open.values()) seat.pause()
  }

  resume(): void {
    this.#paused = false
    for (const seat of this.#open.values()) seat.resume()
  }

  close(): void {
    for (const place of this.places) this.leave(place)
  }
}
