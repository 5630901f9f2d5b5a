/** What a zygote is told, and what it says: see `protocol`. */

import type { OwnLimits } from './protocol.js'
import type { Dismissal, Inventory } from './resumption.js'

/** Sent to a zygote. */
export type ZygoteCommand =
  | {
      /** First frame to a zygote, unless it was taken over from a gateway that is gone: what to build. */
      readonly kind: 'settings'
      readonly kernel: string
      /** Options for IPython. */
      readonly arguments: readonly string[]
      /** Socket at which it waits for the next gateway, for at most `linger_s`; null: it does not. */
      readonly rendezvous: string | null
      readonly linger_s: number
      /** So long it and its workers go on without a gateway, and redial; 0: they end with it. */
      readonly orphan_s?: number
      /** A worker that keeps more than so many bytes for a gateway that is away waits. */
      readonly spool_bytes_max?: number
      /** Modules to import first; one that cannot be is named in `ready`. */
      readonly preload?: readonly string[]
      /** Use the kernel once before `ready`. */
      readonly warm?: boolean
    }
  | {
      /**
       * Fork a worker for a kernel. It dials in with `token`. What is forked under one name of a kernel is ended together.
       */
      readonly kind: 'fork'
      readonly kernel: string
      readonly token: string
      /** Environment to add (string) or remove (null) in the worker. */
      readonly env: Readonly<Record<string, string | null>>
      readonly cwd: string | null
      /** FIFOs that become the worker's file descriptors 1 and 2; made where there are none. */
      readonly stdout: string
      readonly stderr: string
      /** File that says what an interrupt is meant for. */
      readonly interrupts?: string
      /** See `lease`. */
      readonly connection_file?: string | null
      readonly limits?: OwnLimits
      /** It waits for `lease` as long as it takes, before `welcome`. */
      readonly ready?: boolean
    }
  | {
      /** One byte to the frozen snapshot: it dials in with the token that it was taken with. */ readonly kind: 'wake'
      /** Who is told if there is no such snapshot; with `as` it is the kernel of that. */
      readonly kernel: string
      readonly snapshot: string
      /** It becomes the worker of another kernel, for one that was permitted `apart` or is a copy; `forked` follows. */
      readonly as?: KernelIdentity
    }
  | {
      /** Have a frozen snapshot make another one of itself, which is known by `name`; answered by `copied`. */
      readonly kind: 'copy'
      readonly kernel: string
      readonly snapshot: string
      readonly name: string
    }
  | {
      /** End frozen snapshots by closing their wake ends. Unknown ones are ignored. */ readonly kind: 'discard'
      readonly kernel: string
      readonly snapshots: readonly string[]
    }
  | { /** Signal a descendant by pid. */ readonly kind: 'kill'; readonly pid: number; readonly signal: number }
  | {
      /** End every worker and snapshot of one kernel, and what they left behind; answered by `ended`. */ readonly kind: 'end'
      readonly kernel: string
    }
  | {
      /** End every worker and snapshot, then the zygote itself, or let it wait for a successor of this gateway. */ readonly kind: 'stop'
      readonly linger: boolean
    }
  | Dismissal

/** What a frozen copy exchanges when it becomes the worker of another kernel. */
export interface KernelIdentity {
  /** As in `fork`. */
  readonly kernel: string
  /** What it dials in with. */
  readonly token: string
  readonly stdout: string
  readonly stderr: string
  readonly interrupts: string
  readonly connection_file: string | null
  readonly env: Readonly<Record<string, string | null>>
}

/** Sent by a zygote. */
export type ZygoteEvent =
  | {
      /** Warm: forks are cheap from now on. Parts: [content of kernel_info_reply]. */
      readonly kind: 'ready'
      readonly python: string
      readonly ipython: string
      readonly ipykernel: string
      /** Modules that could not be imported, and why. */
      readonly preload_failed?: Readonly<Record<string, string>>
      /** Folders that modules were or will be imported from: what is installed there later calls for a new zygote. */
      readonly import_folders?: readonly string[]
    }
  | { readonly kind: 'forked'; readonly kernel: string; readonly token: string; readonly pid: number }
  | { readonly kind: 'fork_failed'; readonly kernel: string; readonly token: string; readonly reason: string }
  | {
      /** A worker, or any process that was left to us, ended. Exactly one of code and signal is set. */ readonly kind: 'died'
      /** Whose worker it was; null: none. */
      readonly kernel: string | null
      readonly pid: number
      readonly code: number | null
      readonly signal: number | null
    }
  | {
      /** A frozen snapshot is no more (discarded, or killed by somebody). */ readonly kind: 'snapshot_gone'
      readonly kernel: string
      readonly snapshot: string
    }
  | {
      /** A snapshot was copied, or could not be (`error`). */ readonly kind: 'copied'
      readonly kernel: string
      readonly snapshot: string
      readonly name: string
      readonly pid: number
      readonly error?: string
    }
  | { /** Nothing is left of that kernel. */ readonly kind: 'ended'; readonly kernel: string }
  | Inventory
