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
import type { ForkFacts } from '../kernel/forked.js'
import type { DebuggerCommand, WorkerCommand } from '../link/protocol.js'

/** Where messages to clients go. */
export interface ClientPort {
  publish(topic: string, frames: readonly Buffer[]): void
  reply(channel: RequestChannel, client: Client, frames: readonly Buffer[]): void
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
  command(command: WorkerCommand, parts: readonly Buffer[]): void
  callDebugger(pid: number, token: string): void
  tellDebugger(command: DebuggerCommand, parts: readonly Buffer[]): void
  dismissDebugger(): void
  stop(linger: boolean): void
}

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
