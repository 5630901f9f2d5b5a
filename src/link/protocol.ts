/**
 * What the TypeScript side and a Python process say to each other over the link.
 *
 * Every process of ours (zygote, worker, woken snapshot, checkpoint writer) dials the gateway's unix socket and opens
 * with `hello`. After that, frames go both ways: an envelope (below, as JSON) and up to a handful of byte parts whose
 * meaning the envelope's kind fixes. Parts hold what is passed on without being parsed: content and metadata of
 * Jupyter messages, buffers. The Python half of this contract is `savepoint_worker/link.py`; both halves are tested
 * against the vectors in `test/vectors/link`.
 *
 * Names: a *command* goes to a Python process, an *event* comes from one. Envelope keys are snake_case, as they are on
 * the wire.
 */

import type { Resumed } from './resumption.js'
import type { ExternalEffect, RollbackReason, SnapshotMode, SnapshotPermit } from './snapshots.js'

export type * from './helper-protocol.js'
export type * from './resumption.js'
export type * from './snapshots.js'
export type { KernelIdentity, ZygoteCommand, ZygoteEvent } from './zygote-protocol.js'

/** One frame: the envelope, and the raw parts that belong to it. */
export interface Frame<E extends Envelope = Envelope> {
  readonly envelope: E
  readonly parts: readonly Buffer[]
}

export interface Envelope {
  readonly kind: string
}

// ---------------------------------------------------------------------------------------------- from any process

/** First frame of every connection. `token` is the right to be this kernel's worker of this generation. */
export interface Hello {
  readonly kind: 'hello'
  readonly role: 'zygote' | 'worker' | 'writer' | 'debugger'
  readonly kernel: string
  readonly token: string
  readonly pid: number
  /** It was here before, and its gateway went away. Of a zygote: an empty object, followed by `inventory`. */
  readonly resumed?: Partial<Resumed>
}

// ------------------------------------------------------------------------------------------------------- worker

/** A command with its number among those that the kernel decided upon: 1, 2, ... in each generation. */
export type Numbered<C extends Envelope> = C & { readonly n?: number }

/** Limits of one process, which code that runs in it is told of by errors of its own. Absent: no limit. */
export interface OwnLimits {
  /** Of data: what it allocates, and the stacks of its threads. */
  readonly memory_bytes?: number
  readonly file_bytes?: number
  /** Processors that it may run on. */
  readonly cores?: number
}

/** Sent to a worker. */
export type WorkerCommand =
  | {
      /** To a process that waits to be somebody's worker, before `welcome`; answered by `leased`. */
      readonly kind: 'lease'
      /** Environment to add (string) or remove (null). */
      readonly env: Readonly<Record<string, string | null>>
      readonly cwd: string | null
      /** What code in the kernel takes for its connection file, whose name tells the kernel's id. */
      readonly connection_file: string | null
      /** What the process puts on itself; absent: nothing. See `own_limits.py`. */
      readonly limits?: OwnLimits
    }
  | {
      /** First frame to a worker. Parts: [] or, for a woken snapshot, [pickled exception, pickled value] (may be empty). */
      readonly kind: 'welcome'
      readonly generation: number
      readonly session: string
      /** The number that the next cell will get (IPython's `shell.execution_count`). */
      readonly execution_count: number
      /** null for a fresh worker; else why it was woken. */
      readonly woken:
        | null
        | (RollbackReason & {
            /** The cell in which the snapshot was taken still runs: go on in it. Else leave its frames and wait for commands. */
            readonly resume: boolean
            /** Cells sent since the snapshot was taken, [execution_count, raw code], oldest first: they belong in `In`. */
            readonly inputs: readonly (readonly [number, string])[]
            /** Undo what was done outside of the process since the copy was frozen; answered by `undone`. */
            readonly undo?: boolean
            /** What could not be brought back, in words, for the code that goes on. */
            readonly limits?: readonly string[]
            /** Freeze a copy of this moment again before anything else: the snapshot is to stay usable. Reported by `taken`. */
            readonly permit?: SnapshotPermit
            /** The user's comms that clients know. Others that it has it opens anew, and of these it shows the state. */
            readonly comms?: readonly string[]
          })
    }
  | {
      /**
       * A shell request to serve; every one is answered by one `reply` with the same seq (comm messages too), and each
       * with `beside` by `served`, by `returned`, or in the reply of its cell.
       * Parts: [header, metadata, content, ...buffers], the client's raw bytes.
       */
      readonly kind: 'request'
      readonly seq: number
      readonly type: string
      /** execute_request only: `shell.execution_count` while this cell runs; it grows afterwards if history is stored. */
      readonly execution_count?: number
      /** execute_request only: freeze a copy before the cell runs; reported by `taken` before the reply. */
      readonly permit?: SnapshotPermit
      /** The same for the guard, whose last copy is out of date; it comes first. */
      readonly refresh?: SnapshotPermit
      /** execute_request only: freeze a copy behind its reply, before anything else is served; reported by `taken`. */
      readonly guard?: SnapshotPermit
      /** execute_request only: header of the latest request on control, if the worker does not know it yet. */
      readonly control?: object
      /**
       * execute_request only: begin it behind the reply of the cell of this seq, if that is `ok` and says so
       * (`begins`); else forget it. It is handed over again in its turn.
       */
      readonly behind?: number
      /** With `behind`: to be written to both output pipes between that reply and what this cell prints. */
      readonly mark?: string
      /** comm messages only: to be served while the cell of this seq awaits or polls. */
      readonly beside?: number
      /** The subshell whose thread serves it; without: the main thread. */
      readonly subshell?: string
    }
  | {
      /** Forget the cell of this seq unless it was begun behind another one. */ readonly kind: 'withdraw'
      readonly seq: number
    }
  | { /** Start a thread that serves requests. */ readonly kind: 'subshell_open'; readonly subshell: string }
  | {
      /** End it, after what it is at; answered by `subshell_closed`. */ readonly kind: 'subshell_close'
      readonly subshell: string
    }
  | {
      /** Freeze a copy now, between cells; answered by `taken`. */ readonly kind: 'snapshot'
      readonly permit: SnapshotPermit
    }
  | {
      /** Give open pipes and sockets to this snapshot through the zygote, answer `handed_over`, then wait to be ended. */ readonly kind: 'hand_over'
      readonly snapshot: string
    }
  | {
      /** Give everything the contents that it had when these were copied (engine `objects`); answered by `put_back`. */
      readonly kind: 'put_back'
      readonly snapshot: string
      /** It is to stay possible to go back there. */
      readonly keep: boolean
    }
  | {
      /** This snapshot is gone: forget it, and reap its process if it is a child. */ readonly kind: 'forget'
      readonly snapshot: string
    }
  | {
      /** No transaction is open any more: note nothing of what is done outside, and forget what was noted. */ readonly kind: 'effects'
      readonly record: false
      readonly recording: number
    }
  | {
      /** Answer to an `input_request`. Parts: [content of the input_reply]. */ readonly kind: 'input'
      readonly id: string
    }
  | {
      /** Answer to an `ask`. */ readonly kind: 'answer'
      readonly id: string
      readonly ok: true
      readonly result: unknown
      readonly permit?: SnapshotPermit
    }
  | { readonly kind: 'answer'; readonly id: string; readonly ok: false; readonly error: LinkError }
  | {
      /** Fork a writer that serializes the namespace; it dials in with `token`. Answered by `forked_writer`. */
      readonly kind: 'checkpoint'
      readonly checkpoint: string
      readonly token: string
      /** Where the manifest goes, and where the pack with all chunks that are new; absent: one file of format 1. */
      readonly path: string
      readonly pack?: string
      /** A file of SHA-256 digests, 32 bytes each, of chunks that are kept already; null: there are none. */
      readonly known?: string | null
      readonly exclude: readonly string[]
      /** Save `In` and `Out`, too: for another process in the same session. */
      readonly whole_session?: boolean
    }
  | {
      /**
       * Load a verified checkpoint; answered by `restored`. Parts: [] for format 1, else [root as JSON, map of chunks].
       * The map has 51 bytes a chunk: digest (32), index into `packs` (u16), offset (u64), stored length (u32), raw length
       * (u32), codec (u8: 0 raw, 1 zlib), all big-endian. Empty: the packs' own tables are to be read.
       */
      readonly kind: 'restore'
      readonly id: string
      /** 1 if absent. */
      readonly format?: 1 | 2
      /** The file of format 1; else the manifest of a draft, or nothing. */
      readonly path: string
      readonly packs?: readonly string[]
      /** Freeze a copy first, reported by `taken`; that it cannot be had does not keep the checkpoint from being loaded. */
      readonly permit?: SnapshotPermit
      readonly mode: 'clear' | 'merge'
      readonly names: readonly string[] | null
      /** As in `checkpoint`. */
      readonly whole_session?: boolean
    }
  | {
      /** Do something with the user's variables; answered by `namespace`. Parts: [content of the comm_msg that asks]. */
      readonly kind: 'namespace'
      readonly id: string
      readonly op: 'list' | 'get' | 'set' | 'delete' | 'changes'
    }
  | {
      /** Start the debugger's thread, which dials in with `token`. Whoever reads next does it: SIGURG makes somebody read. */
      readonly kind: 'debug'
      readonly token: string
    }
  | { /** Run the exit handlers and end. */ readonly kind: 'stop' }

export interface LinkError {
  readonly code: string
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
}

/** Sent by a worker to whoever manages processes; no kernel hears of it. */
export type WorkerNotice = { /** Answer to `lease`: it is the kernel's from now on. */ readonly kind: 'leased' }

/** Sent by a worker. `parent` is the msg_id of the request that it belongs to, or null. */
export type WorkerEvent =
  | { /** An interrupt was noticed. Until then its signal is repeated. */ readonly kind: 'interrupted' }
  | {
      /** Parts: [text, escaped as the inside of an ASCII JSON string]. */ readonly kind: 'stream'
      readonly name: 'stdout' | 'stderr'
      readonly parent: string | null
      /** User code flushed it, or, without text, what was sent before: it is to be seen now. */
      readonly flushed?: boolean
    }
  | {
      /** Any other publication. Parts: [content, metadata, ...buffers]. */ readonly kind: 'publish'
      readonly type: string
      readonly parent: string | null
      readonly comm_id?: string
      readonly target_name?: string
    }
  | {
      /** Parts: [content, metadata]. Metadata of an execute_reply holds `savepoint` with `mode`, `execution_time`, `warnings`. */
      readonly kind: 'reply'
      readonly seq: number
      readonly status: 'ok' | 'error' | 'aborted' | null
      /** How an execute_request failed, for transactions. */
      readonly ename?: string
      readonly evalue?: string
      /** execute_request only, for the history: the text after IPython's transformations, if it is another one. */
      readonly source?: string
      /** The text of the cell's result. */
      readonly output?: string
      /** Messages beside this cell that were not begun, and those that were begun and have not ended. */
      readonly returned?: readonly number[]
      readonly going_on?: readonly number[]
      /** Pages that were copied, since a snapshot has them too, or that are new; and how long the cell took. Absent: few. */
      readonly faults?: number
      readonly seconds?: number
      /** The same in time of the processor, and what of it the system had. */
      readonly cpu_seconds?: number
      readonly system_seconds?: number
      /** The cell that is begun behind this reply. */
      readonly begins?: number
      /** Highest `n` of a command that it has got; absent: none was numbered. */
      readonly got?: number
    }
  | { /** A message beside a cell was served. */ readonly kind: 'served'; readonly seq: number }
  | {
      /** A message beside a cell came when that cell was over; it was not begun. */ readonly kind: 'returned'
      readonly seq: number
    }
  | { readonly kind: 'subshell_closed'; readonly subshell: string }
  | { /** Parts: [content]. */ readonly kind: 'input_request'; readonly id: string; readonly parent: string | null }
  | {
      /** The worker no longer waits for that input (interrupted). */ readonly kind: 'input_abandoned'
      readonly id: string
    }
  | {
      /** Code in the kernel asks for an operation (Python API and magics). Parts: [] or [pickled exception, pickled value] for a rollback. */
      readonly kind: 'ask'
      readonly id: string
      readonly op: string
      readonly parent: string | null
      readonly args: Readonly<Record<string, unknown>>
    }
  | {
      /** A snapshot was frozen, or could not be (`error`). */ readonly kind: 'taken'
      readonly snapshot: string
      readonly pid: number
      readonly ms: number
      /** Something of the user's goes on without a cell (a task, a thread), so that the copy may soon be out of date. */
      readonly live?: boolean
      /** How the copy can be brought back, and why so, as a sentence. */
      readonly mode?: SnapshotMode
      readonly why?: string
      /** Libraries whose calls would hang in it. */
      readonly hangs?: readonly string[]
      /** What a rollback to it leaves behind, in words. */
      readonly limits?: readonly string[]
      /** Threads and connections of the user's that no copy has, in words. */
      readonly absent?: readonly string[]
      /** Ids of the comms that are open in it. */
      readonly comms?: readonly string[]
      readonly error?: string
    }
  | {
      /** First of a worker that was another kernel's: what of that one's it is without, in words. */
      readonly kind: 'left_behind'
      readonly limits: readonly string[]
    }
  | {
      /** It is a copy in which calls of these libraries would hang. */ readonly kind: 'hangs'
      readonly libraries: readonly string[]
    }
  | {
      /** `limits`: what could not be handed over, in words. */ readonly kind: 'handed_over'
      readonly snapshot: string
      readonly limits: readonly string[]
    }
  | {
      /** Contents were put back, or could not be (`error`), and what was done outside of the process was undone. */
      readonly kind: 'put_back'
      readonly snapshot: string
      readonly ms: number
      readonly effects: readonly ExternalEffect[]
      readonly limits: readonly string[]
      readonly error?: string
    }
  | {
      /** From a copy that was woken, before anything else: what was done outside of the process since it was frozen. */
      readonly kind: 'undone'
      readonly snapshot: string
      readonly effects: readonly ExternalEffect[]
      readonly limits: readonly string[]
    }
  | {
      readonly kind: 'forked_writer'
      readonly checkpoint: string
      readonly pid: number
      readonly pause_ms: number
      readonly error?: string
    }
  | {
      readonly kind: 'restored'
      readonly id: string
      readonly restored: number
      readonly lost: readonly LostObject[]
      readonly warnings: readonly string[]
      readonly ms: number
      readonly error?: LinkError
    }
  | {
      /** Parts: [result as JSON], unless `error`. */ readonly kind: 'namespace'
      readonly id: string
      readonly error?: LinkError
    }
  | {
      /** From a fresh worker that can be debugged. Parts: [body of the response to `debugInfo` while nobody debugs]. */
      readonly kind: 'debug_info'
    }
  | {
      /** A line for the gateway's log. */ readonly kind: 'log'
      readonly level: 'info' | 'warn' | 'error'
      readonly text: string
    }

export interface LostObject {
  readonly name: string
  readonly type: string
  readonly reason: string
}
