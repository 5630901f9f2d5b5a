/** What one kernel's workers need from below, and what they tell above. */

import type { Hello, WorkerEvent, WriterEvent, ZygoteCommand } from '../link/protocol.js'
import type { Connection, ConnectionHandlers } from './connection.js'
import type { DebuggerListener } from './debugger-line.js'
import type { Seat, SeatPaths } from './seat.js'
import type { Death, Holder } from './zygote.js'

/** What one kernel's workers stand on. */
export interface Backing {
  /** Resolves once a worker can be asked for; `zygoteReady` is told as well. */
  start(workers: Resident): Promise<void>
  /** Where the next worker is to sit. */
  place(): SeatPaths
  /** A process that can be the next worker at once, or null; `failed`: that before did not live to be it. */
  takeReady?(failed: ReadyWorker | null): ReadyWorker | null
  tell(command: ZygoteCommand): void
  /** Ends the kernel's processes; `Resident.ended` is called, at once or later. */
  stop(linger: boolean): void
  /** Ends what there still is, by force, and tells nothing. */
  abandon(): void
}

/** The workers of a kernel, as their backing sees them. */
export interface Resident extends Holder {
  /** Reads the output pipes of a seat from now on. They must be there. */
  sit(paths: SeatPaths): void
  /** Takes in one of the kernel's processes. */
  admit(hello: Hello, connect: (handlers: ConnectionHandlers) => Connection): boolean
  zygoteReady(kernelInfo: Buffer): void
  zygoteDied(): void
  /** All that was asked to end in `stop` has ended. */
  ended(): void
}

/** A process that was forked before anybody wanted it, has dialled in, and waits to be somebody's worker. */
export interface ReadyWorker {
  readonly pid: number
  readonly seat: Seat
  /** Leads its connection to `handlers`. */
  attach(handlers: ConnectionHandlers): Connection
}

/** What happens on the Python side; `generation` is that given to `fork` or `wake`. */
export interface WorkersListener extends DebuggerListener {
  zygoteReady(kernelInfo: Buffer): void
  zygoteDied(): void
  workerUp(token: string, pid: number): void
  workerSaid(generation: number, event: WorkerEvent, parts: readonly Buffer[]): void
  workerDied(generation: number, cause: Death): void
  workerFailed(token: string, reason: string): void
  writerSaid(event: WriterEvent, parts: readonly Buffer[]): void
  snapshotGone(snapshot: string): void
  /** A copy of a frozen copy is there, or, with an error, is not. */
  copied(name: string, error: string | null): void
  output(name: 'stdout' | 'stderr', text: Buffer): void
  stopped(): void
}
