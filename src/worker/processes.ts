/**
 * The worker processes of one kernel: what each says, when its connection breaks, when it comes back, and when it is
 * known to be dead.
 */

import type { Clock } from '../clock.js'
import type { Hello, WorkerEvent } from '../link/protocol.js'
import { workerEvent } from '../link/shapes.js'
import type { Log } from '../log.js'
import type { Connection, ConnectionHandlers } from './connection.js'
import { BROKEN, CLOSED, ring, type Running, type Trial } from './running.js'
import type { Death } from './death.js'

export type Connect = (handlers: ConnectionHandlers) => Connection

export interface ProcessesParts {
  readonly clock: Clock
  readonly log: Log
  readonly limits: { readonly deathMs: number; readonly redialMs: number }
  /** Workers come back when their connection breaks. */
  readonly redial: boolean
  kill(pid: number): void
  /** `frame`: the number of what it said. */
  heard(running: Running, event: WorkerEvent, parts: readonly Buffer[], frame: number): void
  /** It died before it was leased, so that it has done nothing yet. */
  stillborn(running: Running, trial: Trial): void
  /** It is back, after its connection or the gateway before had gone. */
  back(running: Running): void
  /** It is gone, and all its words were heard. Told once. */
  gone(running: Running, death: Death): void
}

export class Processes {
  readonly #parts: ProcessesParts
  readonly #running = new Map<number, Running>()
  #closed = false

  constructor(parts: ProcessesParts) {
    this.#parts = parts
  }

  at(pid: number): Running | null {
    return this.#running.get(pid) ?? null
  }

  /** The youngest of that generation. */
  of(generation: number): Running | null {
    return [...this.#running.values()].findLast((each) => each.generation === generation) ?? null
  }

  withToken(token: string): Running | null {
    return [...this.#running.values()].find((each) => each.token === token) ?? null
  }

  add(running: Running): void {
    this.#running.set(running.pid, running)
  }

  /** It dialled in for the first time, or is connected already. */
  connect(running: Running, connect: Connect): void {
    running.line.open(connect(this.#handlersFor(running)))
  }

  /** It dialled in again. False: it cannot go on where it left off. */
  reconnect(running: Running, hello: Hello, connect: Connect): boolean {
    const { resumed = {} } = hello
    const isItself = running.pid === hello.pid && (resumed.generation || running.generation) === running.generation
    if (!isItself || running.why !== null || !running.line.accepts(resumed)) return false
    running.cancel?.()
    running.cancel = null
    running.line.reopen(connect(this.#handlersFor(running)), resumed)
    this.#parts.back(running)
    return true
  }

  /** The zygote says that it ended. */
  died(running: Running, death: Death): void {
    running.death = death
    running.cancel?.()
    // Its last words are still in the socket; a closed connection says that all of them were heard.
    running.cancel = this.#parts.clock.after(this.#parts.limits.deathMs, () => {
      running.line.close()
      running.line.lost()
      this.#bury(running)
    })
    this.#bury(running)
  }

  /** Ends a worker that cannot be talked to. */
  endBroken(running: Running, why: string): void {
    if (running.death !== null || running.why !== null || this.#closed) return
    running.why = why
    this.#parts.kill(running.pid)
    running.line.close()
  }

  /** Hangs up on all of them. */
  close(): void {
    this.#closed = true
    for (const { line, cancel } of this.#running.values()) {
      cancel?.()
      line.close()
    }
  }

  #handlersFor(running: Running): ConnectionHandlers {
    running.links += 1
    const link = running.links
    return {
      onFrame: ({ envelope, parts }) => {
        if (running.why !== null || running.links !== link) return
        const frame = running.line.take(parts)
        if (frame === null) return
        const event = workerEvent(envelope, parts)
        if (event === null) {
          this.#parts.log('error', 'link_bad_event', { kind: envelope.kind.slice(0, 100) })
          this.endBroken(running, BROKEN)
          return
        }
        if (event.kind === 'leased') {
          running.trial = null
          return
        }
        if (event.kind === 'reply' && event.got !== undefined) running.line.confirm(event.got)
        this.#parts.heard(running, event, parts, frame)
      },
      onBroken: () => void (running.links === link && this.endBroken(running, BROKEN)),
      onClose: () => void (running.links === link && this.#lost(running)),
    }
  }

  /** Its connection is over. */
  #lost(running: Running): void {
    const { clock, limits, redial } = this.#parts
    running.line.lost()
    if (running.trial && !this.#closed) {
      running.cancel?.()
      this.#running.delete(running.pid)
      this.#parts.stillborn(running, running.trial)
      return
    }
    this.#bury(running)
    if (running.death !== null || this.#closed) return
    if (redial) ring(running.pid)
    // Its end is on the way. If it is not, user code closed the connection, and unless it comes back nobody can hear of it.
    running.cancel = clock.after(redial ? limits.redialMs : limits.deathMs, () => this.endBroken(running, CLOSED))
  }

  /** Tells of a death once, when both the process and its connection are gone. */
  #bury(running: Running): void {
    if (running.death === null || running.line.isOpen || !this.#running.has(running.pid)) return
    running.cancel?.()
    this.#running.delete(running.pid)
    const { death, why } = running
    this.#parts.gone(running, why === null ? death : { ...death, why })
  }
}
