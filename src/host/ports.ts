/**
 * The shapes that the host needs from the outside. Whatever has the shape fits: sockets, workers and stores do not
 * know the host.
 */

import type { RequestChannel } from '../wire/message.js'
import type {
  CheckpointDraft,
  CheckpointFacts,
  CheckpointRequest,
  Client,
  Head,
  OpenCheckpoint,
} from '../kernel/effects.js'
import type { HeldOutput } from '../kernel/effects.js'
import type { ForkFacts } from '../kernel/forked.js'
import type { DebuggerCommand, Numbered, WorkerCommand } from '../link/protocol.js'

/** Where messages to clients go. `seq`: the message's number among all of the kernel, in the journal too. */
export interface ClientPort {
  publish(topic: string, frames: readonly Buffer[], seq: number): void
  reply(channel: RequestChannel, client: Client, frames: readonly Buffer[], seq: number): void
}

/** The Python side of the kernel. */
export interface WorkerPort {
  /** Starts the zygote of a kernel that was lazy until now. */
  awaken(): void
  fork(token: string, generation: number): void
  wake(snapshot: string, token: string, generation: number): void
  /** A frozen copy makes another one of itself, to be known by `name`. */
  copy(snapshot: string, name: string): void
  /** The first worker of this kernel is a frozen copy of another one's. */
  become(snapshot: string, token: string, generation: number): void
  discard(snapshots: readonly string[]): void
  kill(pid: number): void
  /** Ends the writer of a checkpoint; nothing more is heard of it that counts. */
  cancelWriter(checkpoint: string): void
  interrupt(pid: number, seq: number): void
  /** Lets the worker read its commands although user code holds its main thread. */
  nudge(pid: number): void
  /** `n` is set where there is a journal: the worker says how far it has got. */
  command(command: Numbered<WorkerCommand>, parts: readonly Buffer[]): void
  callDebugger(pid: number, token: string): void
  tellDebugger(command: DebuggerCommand, parts: readonly Buffer[]): void
  dismissDebugger(): void
  stop(linger: boolean): void
  /** Frames of that generation up to this one are in the journal: to be acknowledged, in no haste. Absent: not needed. */
  durable?(generation: number, frame: number): void
}

/** Where a process is that may be, or become, the worker of a generation; plain JSON. */
export interface Placement {
  readonly generation: number
  readonly token: string
  readonly pid: number
  /** Its name below the zygote. */
  readonly place: string
  /** Paths of what it prints to and of its note on interrupts. */
  readonly stdout: string
  readonly stderr: string
  readonly interrupts: string
  readonly mark: string
  /** Number of the zygote in the instance's folder. */
  readonly zygote: number
}

/** A process was forked, leased or woken for the kernel. Told before `worker_up`, kept in the journal; no kernel hears it. */
export interface Placed {
  readonly on: 'placed'
  readonly placement: Placement
}

/** What the gateway before knew of a kernel's processes, from the journal. */
export interface WorkerMemory {
  /** All that may still matter, newest last. */
  readonly placements: readonly Placement[]
  /** The worker of the kernel's state; null: it has none. */
  readonly current: {
    readonly generation: number
    readonly token: string
    /** null: it has not dialled in yet. */
    readonly pid: number | null
    /** Frames of it that are in the journal. */
    readonly frames: number
    /** The highest `n` that was given to a command for it. */
    readonly commands: number
  } | null
  /** Commands of the present generation that were not confirmed: to be sent again beyond what the worker says it got. */
  readonly commands: readonly { readonly command: Numbered<WorkerCommand>; readonly parts: readonly Buffer[] }[]
  /** What was asked of processes, and of which no outcome is known, in order. */
  readonly outstanding: readonly WorkerEffect[]
  /** The frozen processes of the kernel's state. */
  readonly snapshots: readonly string[]
  /** What was read of pipes and is in no message, nor `heard`. */
  readonly held: readonly HeldOutput[]
  /** The number of the request that runs, all before it having been answered; 0: none does. */
  readonly cell: number
}

/** Effects whose outcome the processes tell. `wake` and `become` with the token that the woken one is to dial in with. */
export type WorkerEffect =
  | { readonly do: 'fork'; readonly token: string; readonly generation: number }
  | { readonly do: 'wake' | 'become'; readonly snapshot: string; readonly token: string; readonly generation: number }
  | { readonly do: 'copy'; readonly snapshot: string; readonly name: string }
  | { readonly do: 'discard'; readonly snapshots: readonly string[] }
  | { readonly do: 'kill'; readonly pid: number }
  | { readonly do: 'interrupt'; readonly pid: number; readonly seq: number }
  | { readonly do: 'stop'; readonly linger: boolean }

/** Kernels that are forks of this one. */
export interface ForksPort {
  /** One of each copy, ready; `{kernels: [model, ...]}`. Rejects with a SavepointError, when none of them is left. */
  make(wish: ForkWish): Promise<unknown>
  /** Nobody knows of these: they end. */
  end(ids: readonly string[]): void
}

export interface ForkWish {
  /** Names of frozen copies. */
  readonly copies: readonly string[]
  readonly facts: ForkFacts
}

export interface UsagePort {
  /** The content of a usage_reply. Never rejects. */
  measure(worker: number | null, frozen: readonly number[]): Promise<object>
  /** Bytes that each of these processes alone holds; null: it is not known. Never rejects. */
  weigh(pids: readonly number[]): Promise<readonly (number | null)[]>
}

/** What is kept. Every call may take its time; failures are SavepointErrors. */
export interface StorePort {
  remember(line: number, source: string): void
  rememberResult(line: number, transformed: string | null, output: string | null): void
  historySession(): Promise<number>
  history(request: Readonly<Record<string, unknown>>): Promise<unknown>
  beginCheckpoint(request: CheckpointRequest): Promise<CheckpointDraft>
  sealCheckpoint(checkpoint: string, facts: CheckpointFacts): Promise<unknown>
  abandonCheckpoint(checkpoint: string): Promise<void>
  /** Verified, to be loaded. `checkpoint`, here and below: an id, or the newest of that name. */
  openCheckpoint(checkpoint: string): Promise<OpenCheckpoint>
  describeCheckpoint(checkpoint: string): Promise<unknown>
  validateCheckpoint(checkpoint: string): Promise<unknown>
  /** Its id. */
  deleteCheckpoint(checkpoint: string): Promise<string>
  diffCheckpoints(from: string, to: { readonly id: string } | { readonly draft: string }): Promise<unknown>
  /** Rejects with `too_large`. */
  exportCheckpoint(checkpoint: string, bytesMax: number): Promise<Buffer>
  importCheckpoint(bytes: Buffer, trust: string | null): Promise<unknown>
  pruneCheckpoints(note: string, keep: string): Promise<void>
  listCheckpoints(query: { branch: string | null; limit: number; before: string | null }): Promise<unknown>
  head(): Promise<Head | null>
  setHead(head: Head): Promise<void>
}
