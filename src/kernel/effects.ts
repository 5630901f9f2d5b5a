/**
 * What goes into the kernel's step and what comes out of it: events that happened, effects that are wanted.
 *
 * Both are data. The host turns what sockets, processes, timers and the store do into events, and performs effects in
 * the order in which they stand.
 */

import type { LogFields, LogLevel } from '../log.js'
import type {
  DebuggerCommand,
  DebuggerEvent,
  LinkError,
  WorkerCommand,
  WorkerEvent,
  WriterEvent,
} from '../link/protocol.js'
import type { IncomingMessage, OutgoingMessage, RequestChannel } from '../wire/message.js'
import type { ForkFacts } from './forked.js'

/** Where a reply goes: opaque to the kernel. */
export interface Client {
  readonly routing: readonly Buffer[]
  /** It may take back what it sent, so that nothing of it is handed to the worker before its turn. */
  readonly withdraws?: boolean
  /** When it has gone, the kernel is told (`client_gone`). */
  readonly leaves?: boolean
  /** What is on its way to it, or from it, when this process ends is lost, and nobody is told. */
  readonly misses?: boolean
}

/** What was read of a pipe of C code and child processes in `place`, and belongs to cells that are not told of yet. */
export interface HeldOutput {
  readonly place: string
  readonly name: StreamName
  /** By the numbers of their requests, in order. Empty: nothing any more. */
  readonly pieces: readonly { readonly seq: number; readonly bytes: Buffer }[]
}

export type KernelEvent =
  | {
      readonly on: 'message'
      readonly channel: RequestChannel
      readonly client: Client
      readonly message: IncomingMessage
    }
  /**
   * Somebody outside the protocol asks for an op of one of our comm targets. It takes its place among the requests on
   * shell; if it has not begun within `waitMs` it is answered with `kernel_busy`. An `answer` follows in any case,
   * unless the kernel ends before.
   */
  | {
      readonly on: 'op'
      readonly id: string
      readonly target: string
      /** As on a comm, without an id. */
      readonly data: Readonly<Record<string, unknown>>
      /** Who asks, for records. */
      readonly by: string
      readonly waitMs: number
    }
  /** Whoever asked does not want it any more; one that has begun goes on. */
  | { readonly on: 'withdraw'; readonly id: string }
  /** The same for a cell: it is answered as `aborted` unless it has begun. `id` is that of the client's message. */
  | { readonly on: 'withdraw_cell'; readonly client: Client; readonly id: string }
  /** Nobody holds the other end any more. It may come back all the same. */
  | { readonly on: 'client_gone'; readonly client: Client }
  /** The zygote is warm. `kernelInfo` is the content of every kernel_info_reply from now on. */
  | { readonly on: 'zygote_ready'; readonly kernelInfo: Buffer }
  | { readonly on: 'zygote_died' }
  /** A process that the kernel expects dialled in with its token. */
  | { readonly on: 'worker_up'; readonly token: string; readonly pid: number }
  | {
      readonly on: 'worker'
      readonly generation: number
      /** The frame's number among those of this worker, where they are counted. */
      readonly frame?: number
      readonly event: WorkerEvent
      readonly parts: readonly Buffer[]
    }
  | { readonly on: 'writer'; readonly event: WriterEvent; readonly parts: readonly Buffer[] }
  /** The worker of that generation ended; everything that it had printed was delivered before. */
  | { readonly on: 'worker_died'; readonly generation: number; readonly cause: DeathCause }
  | { readonly on: 'worker_failed'; readonly token: string; readonly reason: string }
  | { readonly on: 'snapshot_gone'; readonly snapshot: string }
  /** There is too little memory for all kernels' copies: the guard's oldest go until this kernel's hold no more than that. */
  | { readonly on: 'trim'; readonly bytesMax: number; readonly momentsMin: number }
  /** A frozen copy made another one of itself, or could not. */
  | { readonly on: 'copied'; readonly name: string; readonly error: string | null }
  /** What came of `make_kernels`; its result is `{kernels: [model, ...]}`. */
  | { readonly on: 'kernels_made'; readonly id: string; readonly outcome: OpOutcome }
  /**
   * Bytes that C code or a child process wrote, escaped as the inside of an ASCII JSON string. `held`: what of them may
   * not be told yet, if that has changed; the policy has nothing to do with it.
   */
  | { readonly on: 'output'; readonly name: StreamName; readonly text: Buffer; readonly held?: HeldOutput }
  /** The debugger's thread that was called with `token` dialled in, speaks, or is gone. */
  | { readonly on: 'debugger_up'; readonly token: string }
  | {
      readonly on: 'debugger'
      readonly token: string
      readonly event: DebuggerEvent
      readonly parts: readonly Buffer[]
    }
  | { readonly on: 'debugger_gone'; readonly token: string }
  | { readonly on: 'store'; readonly id: string; readonly outcome: StoreOutcome }
  /** What was to be measured; the content of a usage_reply. */
  | { readonly on: 'measured'; readonly id: string; readonly usage: object }
  /** What each of these processes alone holds, in bytes; null: it is not known. */
  | { readonly on: 'weighed'; readonly id: string; readonly bytes: readonly (number | null)[] }
  | { readonly on: 'deadline'; readonly id: string }
  /** Whatever clients had sent when `settle` was asked for has been delivered. */
  | { readonly on: 'settled'; readonly seq?: number }
  | { readonly on: 'interrupt' }
  /** Somebody outside the protocol wants the kernel to end (SIGTERM, the starter is gone). */
  | { readonly on: 'terminate'; readonly code: number }
  | { readonly on: 'workers_stopped' }
  /** The host is another process than before, and has taken the kernel up. */
  | {
      readonly on: 'host_moved'
      /** That the one before was there, in milliseconds since the epoch. */ readonly seenAt?: number
    }
  /** Whether automatic checkpoints are to be begun. */
  | { readonly on: 'hold_checkpoints'; readonly held: boolean }

/** What of a kernel's life is counted. */
export type Counted = 'copies_taken' | 'copies_skipped' | 'recoveries' | 'undos' | 'redos' | 'checkpoints_failed'

export type StreamName = 'stdout' | 'stderr'

export type OpOutcome =
  | { readonly ok: true; readonly result: unknown; readonly warnings?: readonly string[] }
  | { readonly ok: false; readonly error: LinkError }

export interface DeathCause {
  /** Exit code, or null when a signal ended it. */
  readonly code: number | null
  /** Name and number as in signal(7), or null. */
  readonly signal: { readonly name: string; readonly number: number } | null
  /** Why it was ended: on purpose, at a limit, or for want of memory. The end of a sentence that begins with "since". */
  readonly why?: string
  /** What it is called; without: its signal, or its exit code. */
  readonly name?: string
}

export type Effect =
  /** `soon`: nobody waits for it by itself; it may go out with what follows within a moment. */
  | { readonly do: 'publish'; readonly topic: string; readonly message: OutgoingMessage; readonly soon?: true }
  /** Like publish, but neighbouring chunks of one stream may be merged. Text is escaped as in `output`. */
  | {
      readonly do: 'publish_stream'
      readonly name: StreamName
      readonly parentBytes: Buffer
      readonly text: Buffer
      /** Whoever wrote it wants it to be seen now. */
      readonly flushed?: true
    }
  | {
      readonly do: 'reply'
      readonly channel: RequestChannel
      readonly client: Client
      readonly message: OutgoingMessage
    }
  /** What became of an `op`. */
  | { readonly do: 'answer'; readonly id: string; readonly outcome: OpOutcome }
  /** A question on stdin; `messageId` is the id that its header must have. */
  | {
      readonly do: 'ask_client'
      readonly client: Client
      readonly messageId: string
      readonly message: OutgoingMessage
    }
  | { readonly do: 'command'; readonly command: WorkerCommand; readonly parts: readonly Buffer[] }
  | {
      /** `seq`: the request that it is meant for. */ readonly do: 'interrupt_worker'
      readonly pid: number
      readonly seq: number
    }
  /** Have the worker start its debugger's thread, even if user code holds its main thread. */
  | { readonly do: 'call_debugger'; readonly pid: number; readonly token: string }
  | { readonly do: 'tell_debugger'; readonly command: DebuggerCommand; readonly parts: readonly Buffer[] }
  | { readonly do: 'dismiss_debugger' }
  /** Answered by `zygote_ready` or `zygote_died`; only a kernel that is lazy asks for it. */
  | { readonly do: 'start_zygote' }
  /** Its main thread may be in user code: somebody else there shall read what it was told. */
  | { readonly do: 'nudge_worker'; readonly pid: number }
  | { readonly do: 'fork'; readonly token: string }
  | { readonly do: 'wake'; readonly snapshot: string }
  /** Have a frozen copy make another one of itself; answered by `copied`. */
  | { readonly do: 'copy'; readonly snapshot: string; readonly name: string }
  /** The first worker is a frozen copy of another kernel's. */
  | { readonly do: 'become'; readonly snapshot: string }
  /** A new kernel of each of these copies, all or none; answered by `kernels_made`. */
  | {
      readonly do: 'make_kernels'
      readonly id: string
      readonly copies: readonly string[]
      readonly facts: ForkFacts
    }
  /** Nobody knows of these. */
  | { readonly do: 'end_kernels'; readonly kernels: readonly string[] }
  | { readonly do: 'kill'; readonly pid: number }
  /** Nobody wants that checkpoint any more: its writer ends. */
  | { readonly do: 'cancel_writer'; readonly checkpoint: string }
  | { readonly do: 'discard'; readonly snapshots: readonly string[] }
  | { readonly do: 'remember'; readonly line: number; readonly source: string }
  /** What became of a remembered line. */
  | {
      readonly do: 'remember_result'
      readonly line: number
      readonly transformed: string | null
      readonly output: string | null
    }
  | { readonly do: 'store'; readonly id: string; readonly call: StoreCall }
  /** Find out what a worker and all below it use, apart from frozen copies of it. */
  | { readonly do: 'measure'; readonly id: string; readonly worker: number | null; readonly frozen: readonly number[] }
  /** Find out what each of these processes alone holds. */
  | { readonly do: 'weigh'; readonly id: string; readonly pids: readonly number[] }
  | { readonly do: 'deadline'; readonly id: string; readonly afterMs: number }
  | { readonly do: 'cancel_deadline'; readonly id: string }
  /** `seq` comes back with `settled`. */
  | { readonly do: 'settle'; readonly seq?: number }
  /** End workers, snapshots and (unless it lingers for a successor) the zygote; answered by `workers_stopped`. */
  | { readonly do: 'stop_workers'; readonly linger: boolean }
  /** For whoever counts what kernels do. */
  | { readonly do: 'count'; readonly what: Counted }
  | { readonly do: 'exit'; readonly code: number }
  | { readonly do: 'log'; readonly level: LogLevel; readonly event: string; readonly fields: LogFields }

/** What the kernel asks of the store. */
export type StoreCall =
  /** The number of this kernel's session in the history. */
  | { readonly call: 'history_session' }
  | { readonly call: 'history'; readonly request: Readonly<Record<string, unknown>> }
  /** A place to write to, answered by a CheckpointDraft; to be sealed or abandoned. */
  | ({ readonly call: 'begin_checkpoint' } & CheckpointRequest)
  /** Answered by the checkpoint. */
  | { readonly call: 'seal_checkpoint'; readonly checkpoint: string; readonly facts: CheckpointFacts }
  | { readonly call: 'abandon_checkpoint'; readonly checkpoint: string }
  /** Here and below: an id, or the newest of that name. Answered by an OpenCheckpoint: verified, to be loaded. */
  | { readonly call: 'open_checkpoint'; readonly checkpoint: string }
  /** Answered by the checkpoint with its `objects`. */
  | { readonly call: 'describe_checkpoint'; readonly checkpoint: string }
  | { readonly call: 'validate_checkpoint'; readonly checkpoint: string }
  /** Answered by its id. */
  | { readonly call: 'delete_checkpoint'; readonly checkpoint: string }
  /** Between a checkpoint and another one, or a draft that was written and is not sealed. */
  | {
      readonly call: 'diff_checkpoints'
      readonly from: string
      readonly to: { readonly id: string } | { readonly draft: string }
    }
  /** Answered by the bytes of one file. */
  | { readonly call: 'export_checkpoint'; readonly checkpoint: string; readonly bytesMax: number }
  /** Answered by the checkpoint. */
  | { readonly call: 'import_checkpoint'; readonly bytes: Buffer; readonly trust: string | null }
  /** Removes those of this kernel with that note, but for one. */
  | { readonly call: 'prune_checkpoints'; readonly note: string; readonly keep: string }
  | {
      readonly call: 'list_checkpoints'
      readonly branch: string | null
      readonly limit: number
      readonly before: string | null
    }
  /** Where this kernel is in the tree of checkpoints: a Head, or null as long as it has none. */
  | { readonly call: 'head' }
  | ({ readonly call: 'set_head' } & Head)

export interface CheckpointRequest {
  readonly name: string | null
  readonly note: string | null
  /** The checkpoint that the state grew out of. */
  readonly parent: string | null
  readonly branch: string
}

/** Where a writer is to write. */
export interface CheckpointDraft {
  readonly checkpoint_id: string
  readonly path: string
  /** Absent: one file of format 1. */
  readonly pack?: string
  /** A file with the digests of chunks that are kept already. */
  readonly known?: string | null
}

/** A checkpoint that was verified, and where its parts are. */
export interface OpenCheckpoint {
  readonly record: {
    readonly checkpoint_id: string
    readonly name: string | null
    readonly note: string | null
    readonly branch: string
    readonly created_at: string
    readonly execution_count: number
  }
  readonly format: 1 | 2
  readonly path: string
  readonly packs: readonly string[]
  /** Of format 2, for the worker; of format 1 null. */
  readonly root: Buffer | null
  readonly map: Buffer | null
}

/** The checkpoint that a kernel's state grew out of, and the branch that it is on. */
export interface Head {
  readonly head: string | null
  readonly branch: string
}

/** What the kernel knows of a checkpoint beside the manifest in its file. */
export interface CheckpointFacts {
  readonly pause_ms: number
  readonly write_ms: number
  readonly in_transaction: boolean
  readonly execution_count: number
}

export type StoreOutcome =
  { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: LinkError }
