/** A worker's process before and between kernels: its connection, its seat, and whether it can still be had. */

import type { Clock } from '../clock.js'
import type { ReadyWorker } from '../worker/backing.js'
import type { Connection, ConnectionHandlers } from '../worker/connection.js'
import type { InterruptLimits } from '../worker/interrupter.js'
import { Seat, type SeatPaths } from '../worker/seat.js'
import type { Invalid } from './state.js'

export class PooledProcess implements ReadyWorker {
  readonly paths: SeatPaths
  readonly token: string
  /** Which zygote it is forked from. */
  readonly zygote: number
  /** The request that it is granted to, or null. */
  owner: string | null = null
  #pid = 0
  #seat: Seat | null = null
  #connection: Connection | null = null
  #handlers: ConnectionHandlers | null = null
  readonly #onClose: () => void

  /** `onClose`: its connection is over while no kernel has it. */
  constructor(paths: SeatPaths, token: string, zygote: number, onClose: () => void) {
    this.paths = paths
    this.token = token
    this.zygote = zygote
    this.#onClose = onClose
  }

  get pid(): number {
    return this.#pid
  }

  /** Only once it has dialled in. */
  get seat(): Seat {
    if (this.#seat === null) throw new Error('This process has not dialled in.')
    return this.#seat
  }

  /** It dialled in. */
  arrive(
    pid: number,
    connect: (handlers: ConnectionHandlers) => Connection,
    clock: Clock,
    limits: InterruptLimits,
  ): void {
    this.#pid = pid
    // Nothing of the user's has run that could print.
    this.#seat = new Seat(this.paths, clock, limits, () => {})
    this.#connection = connect({
      onFrame: (frame) => this.#handlers?.onFrame(frame),
      onBroken: () => this.#handlers?.onBroken?.(),
      onClose: () => {
        this.#connection = null
        if (this.#handlers) this.#handlers.onClose()
        else this.#onClose()
      },
    })
  }

  attach(handlers: ConnectionHandlers): Connection {
    this.#handlers = handlers
    const nothing = (): void => {}
    const none = {
      send: nothing,
      pause: nothing,
      resume: nothing,
      close: nothing,
      together: (work: () => void) => work(),
    }
    return this.#connection ?? none
  }

  /** Why it cannot be leased to `request`, or null. */
  fault(request: string): Invalid | null {
    if (this.#seat === null) return 'not_a_worker'
    if (this.#connection === null) return 'pipe_closed'
    if (this.owner !== null && this.owner !== request) return 'not_owned'
    return isAlive(this.#pid) ? null : 'target_dead'
  }

  /** A kernel has done with it, and it lives: its connection and its seat are the pool's again. */
  detach(): void {
    this.#handlers = null
    this.owner = null
    if (this.#seat) this.#seat.onText = () => {}
  }

  /** Gives back what there is of it here. What a kernel took, the kernel gives back. */
  close(): void {
    if (this.#handlers === null) {
      this.#connection?.close()
      this.#seat?.close()
    }
    this.#handlers ??= { onFrame: () => {}, onClose: () => {} }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
