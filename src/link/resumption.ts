/**
 * How a link survives the gateway: both ends count what they got, and after a break each sends again what the other
 * has not.
 *
 * Frames of a worker carry no number: the first after `hello` is 1, and each one counts, also those before `welcome`.
 * The worker keeps them until they are acknowledged. Commands that the kernel decided upon carry theirs (`n`), since
 * those of whoever manages processes (`lease`, and what is declared here) are not kept and not counted. A process that
 * was woken is another worker: its counts begin anew. See "When the gateway goes away" in `docs/protocol.md`.
 */

/** What a worker says of itself in `hello` when it comes back; a zygote says `{}`. */
export interface Resumed {
  /** As in `welcome`; 0: it was not welcomed yet. */
  readonly generation: number
  /** Number of the last frame that it has made. */
  readonly sent: number
  /** Highest `n` of a command that it has got; 0: none. Lower ones are dropped when they come again. */
  readonly got: number
}

/** Sent to a worker about its link, never numbered. */
export type ResumptionCommand =
  | {
      /** All frames up to this one are safe: the worker forgets them. */ readonly kind: 'ack'
      readonly frames: number
    }
  | {
      /** Answer to a `hello` with `resumed`: all frames up to this one are there, the next ones are to be sent again. */ readonly kind: 'resume'
      readonly frames: number
    }
  | Dismissal

/** Answer to a `hello` with `resumed`, also a zygote's: nobody knows it any more, and it ends with all below it. */
export interface Dismissal {
  readonly kind: 'dismissed'
}

/** What a zygote that came back has in its care, and what became of the rest. Parts: [content of kernel_info_reply]. */
export interface Inventory {
  readonly kind: 'inventory'
  /** The facts of `ready`. */
  readonly ready: {
    readonly python: string
    readonly ipython: string
    readonly ipykernel: string
    readonly preload_failed?: Readonly<Record<string, string>>
    readonly import_folders?: readonly string[]
  }
  readonly places: readonly {
    /** As in `fork`. */
    readonly kernel: string
    /** Those that live, each with the token that it dialled in with, or is going to. */
    readonly workers: readonly { readonly pid: number; readonly token: string }[]
    /** Frozen ones, by name. */
    readonly snapshots: readonly string[]
  }[]
  /** Ends of the latest workers, oldest first, also of those that were reported before. */
  readonly deaths: readonly RememberedDeath[]
}

/** Exactly one of code and signal is set. */
export interface RememberedDeath {
  readonly kernel: string
  readonly token: string
  readonly pid: number
  readonly code: number | null
  readonly signal: number | null
}
