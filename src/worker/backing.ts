/** What one kernel's workers need from below, and what they tell above. */

import type { Hello, WorkerEvent, WriterEvent, ZygoteCommand } from '../link/protocol.js'
import type { Connection, ConnectionHandlers } from './connection.js'
import type { Admission } from './door.js'
import type { DebuggerListener } from './debugger-line.js'
import type { Seat, SeatPaths } from './seat.js'
import type { Death } from './death.js'
import type { Findings, Held, Placement } from './memory.js'
import type { Holder } from './zygote.js'

/** What one kernel's workers stand on. */
export interface Backing {
  /** Resolves once a worker can be asked for; `zygoteReady` is told as well. */
  start(workers: Resident): Promise<void>
  /**
   * Instead of `start`: goes on with places that the kernel had below a zygote which another gateway started. `awaited`:
   * the token of a process that may sit anywhere. null: that zygote is gone, which is told; `nothing`: there are none.
   */
  takeUp?(
    workers: Resident,
    placements: readonly Placement[],
    awaited: string | null,
  ): Promise<Findings | 'nothing' | null>
  /** Number of the zygote that it stands on, as long as there is one. */
  readonly zygote: number
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
  admit(hello: Hello, connect: (handlers: ConnectionHandlers) => Connection): Admission
  zygoteReady(kernelInfo: Buffer): void
  zygoteDied(): void
  /** All that was asked to end in `stop` has ended. */
  ended(): void
}

/** A process that was forked before anybody wanted it, has dialled in, and waits to be somebody's worker. */
export interface ReadyWorker {
  readonly pid: number
  /** What it dials in with. */
  readonly token: string
  readonly seat: Seat
  /** Leads its connection to `handlers`. */
  attach(handlers: ConnectionHandlers): Connection
}

/** What happens on the Python side; `generation` is that given to `fork` or `wake`. */
export interface WorkersListener extends DebuggerListener {
  zygoteReady(kernelInfo: Buffer): void
  zygoteDied(): void
  /** Told before `workerUp`. */
  placed(placement: Placement): void
  workerUp(token: string, pid: number): void
  /** `frame`: the number of what it said among all that this worker says. */
  workerSaid(generation: number, event: WorkerEvent, parts: readonly Buffer[], frame: number): void
  workerDied(generation: number, cause: Death): void
  workerFailed(token: string, reason: string): void
  writerSaid(event: WriterEvent, parts: readonly Buffer[]): void
  snapshotGone(snapshot: string): void
  /** A copy of a frozen copy is there, or, with an error, is not. */
  copied(name: string, error: string | null): void
  /** `held`: all of one pipe that was read and may not be told yet, if that has changed. */
  output(name: 'stdout' | 'stderr', text: Buffer, held: Held | null): void
  stopped(): void
}
