/** What a gateway needs to know to go on with processes that another one has left behind. */

import type { Told } from './worker-line.js'
import type { Inventory } from '../link/protocol.js'

/** Where a process is that may be, or become, the worker of a generation; plain JSON. */
export interface Placement {
  readonly generation: number
  /** What it dials in with. */
  readonly token: string
  readonly pid: number
  /** Its name below the zygote. */
  readonly place: string
  /** Paths of what it prints to and of its note on interrupts. */
  readonly stdout: string
  readonly stderr: string
  readonly interrupts: string
  /** What it writes between two cells. */
  readonly mark: string
  /** Number of its zygote; 0: the kernel's own. */
  readonly zygote: number
}

/** What is known of a kernel's processes from before. */
export interface WorkerMemory {
  /** All that may still matter, newest last. */
  readonly placements: readonly Placement[]
  /** The worker that the kernel has, or waits for; null: neither. */
  readonly current: {
    readonly generation: number
    /** What the kernel knows it by. */
    readonly token: string
    /** null: it has not dialled in. */
    readonly pid: number | null
    /** Frames of it that are safe. */
    readonly frames: number
  } | null
  /** Commands that it may not have got. */
  readonly commands: readonly { readonly command: Told[0]; readonly parts: Told[1] }[]
  /** What was asked of processes and has no outcome, in order. */
  readonly outstanding: readonly Outstanding[]
  /** The frozen processes that the kernel knows. */
  readonly snapshots: readonly string[]
  /** What was printed and not told. */
  readonly held: readonly Held[]
  /** The cell that runs: all replies before it were served. 0: none does. */
  readonly cell: number
}

/** What was read of a pipe behind the mark of the cell `seq`. */
export interface Piece {
  readonly seq: number
  readonly bytes: Buffer
}

/** What was read of a pipe and may not be told yet: nobody else has it. */
export interface Held {
  readonly place: string
  readonly name: 'stdout' | 'stderr'
  /** Empty: nothing any more. */
  readonly pieces: readonly Piece[]
}

export type Outstanding =
  | { readonly do: 'fork'; readonly token: string; readonly generation: number }
  | { readonly do: 'wake' | 'become'; readonly snapshot: string; readonly token: string; readonly generation: number }
  | { readonly do: 'copy'; readonly snapshot: string; readonly name: string }
  | { readonly do: 'discard'; readonly snapshots: readonly string[] }
  | { readonly do: 'kill'; readonly pid: number }
  | { readonly do: 'interrupt'; readonly pid: number; readonly seq: number }
  | { readonly do: 'stop'; readonly linger: boolean }

/** What there is of one kernel below its zygote, and how its workers ended that there are not. */
export interface Findings extends Pick<Inventory, 'places' | 'deaths'> {
  /** Places that are the kernel's, also where nothing is left. */
  readonly claimed: readonly string[]
}
