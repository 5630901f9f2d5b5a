/** The sessions of one kernel, and where their cursors are kept. */

import { createHash, randomBytes } from 'node:crypto'
import type { Clock } from '../../clock.js'
import type { Observe } from '../../observe.js'
import type { Log } from '../../log.js'
import type { GatewayKernel } from '../ports.js'
import type { Complain } from './compose.js'
import { CursorFile, KEY_BYTES, type CursorSlot } from './cursors.js'
import type { ChannelsLimits } from './limits.js'
import { Seat } from './seat.js'

export interface SeatsParts {
  readonly log: Log
  readonly limits: ChannelsLimits
  readonly clock: Clock
  readonly complain: Complain
  readonly observe: Observe
}

/** What the kernel calls sessions; they share that name space with its other clients. */
const PREFIX = 'ws:'

export class Seats {
  readonly #kernel: GatewayKernel
  readonly #parts: SeatsParts
  readonly #onEmpty: () => void
  readonly #cursors: CursorFile | null
  readonly #seats = new Map<string, Seat>()

  constructor(kernel: GatewayKernel, parts: SeatsParts, onEmpty: () => void) {
    this.#kernel = kernel
    this.#parts = parts
    this.#onEmpty = onEmpty
    this.#cursors = kernel.folder === null ? null : new CursorFile(kernel.folder, parts.log)
    for (const key of this.#cursors?.keys ?? []) this.#add(key, true)
  }

  /** The session's place at the kernel: the one it has, or a new one. Throws what the kernel throws. */
  seatOf(subject: string, sessionId: string | null): Seat {
    // What is kept for one owner is nothing for another who names the same session.
    const name = sessionId ? createHash('sha256').update(`${subject}\n${sessionId}`).digest() : randomBytes(KEY_BYTES)
    const key = name.toString('hex', 0, KEY_BYTES)
    const there = this.#seats.get(key)
    if (there !== undefined) return there
    const seat = this.#add(key, Boolean(sessionId))
    this.#leaveRoom()
    return seat
  }

  /** Whether these are the sessions of that kernel, and not of another one with its id. */
  isOf(kernel: GatewayKernel): boolean {
    return this.#kernel === kernel
  }

  /** Holds nothing open if there are none. */
  rest(): void {
    if (this.#seats.size > 0) return
    this.#cursors?.close()
    this.#onEmpty()
  }

  /** Nothing more is heard of them here. The cursors stay for who comes next. */
  part(): void {
    for (const seat of [...this.#seats.values()]) seat.part()
  }

  #add(key: string, returns: boolean): Seat {
    const name = `${PREFIX}${key}`
    const seat = new Seat({
      ...this.#parts,
      kernel: this.#kernel,
      key: name,
      slot: returns ? this.#slotOf(key) : null,
      isGone: (other) => other.startsWith(PREFIX) && (this.#seats.get(other.slice(PREFIX.length))?.gone ?? true),
      onMissed: (messages) => {
        const { id, owner } = this.#kernel
        this.#parts.observe({ what: 'missed', kernel: id, owner, messages })
      },
      onOver: () => {
        this.#seats.delete(key)
        this.rest()
      },
    })
    this.#seats.set(key, seat)
    return seat
  }

  /** Without a file a session comes back as well, as long as this process lives. */
  #slotOf(key: string): CursorSlot {
    return this.#cursors?.slot(key) ?? { before: null, set: () => {}, free: () => {} }
  }

  /** Sessions that went away and never came back make room for new ones, the oldest first. */
  #leaveRoom(): void {
    const away = [...this.#seats.values()].filter((seat) => seat.away)
    // The newest is the one that is being taken.
    for (const seat of away.slice(0, Math.max(0, away.length - 1 - this.#parts.limits.keptSessionsMax))) {
      seat.end(1000, '')
    }
  }
}
