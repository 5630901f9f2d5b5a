/**
 * What a gateway's kernels need from the outside, and what they offer to whoever speaks to them.
 *
 * Whatever has the shape fits: the pool, the store, ZeroMQ and WebSockets do not know these kernels.
 */

import type { KernelEvent } from '../../kernel/effects.js'
import type { Forked } from '../../kernel/forked.js'
import type { IncomingMessage, RequestChannel } from '../../wire/message.js'
import type { Placed, StorePort, UsagePort, WorkerMemory, WorkerPort } from '../ports.js'

/** What a worker must be for a kernel. A ready one fits if Python, preload, start environment and tenant are the same. */
export interface WorkerNeeds {
  readonly kernelId: string
  /** Name of the kernelspec, which stands for Python, preload and start environment. */
  readonly spec: string
  /** Whose it is; two tenants never share a zygote. */
  readonly tenant: string
  /** Set in the worker's `os.environ` when it is leased, or removed (null). */
  readonly environment: Readonly<Record<string, string | null>>
  /** Where it starts to work; null: the gateway's own folder. */
  readonly cwd: string | null
  /** Who asks again gets the worker back that it gave back, if that still lives; null: any worker. */
  readonly affinity: string | null
}

/** The Python side of one kernel: leased workers. `fork` takes one from the pool. */
export interface KernelWorkers extends WorkerPort {
  /** Where frozen copies of the worker wait; null: there was no worker yet. */
  readonly place: string | null
  /** Resolves once a worker can be asked for. Rejects with a SavepointError. */
  start(): Promise<void>
  /**
   * Instead of `start`: goes on with what a gateway that is gone has left behind. Resolves once it is known what became
   * of the present worker: it is back, or its end was told. What it is to be told until then waits for it. Never rejects.
   * Absent: it cannot.
   */
  takeUp?(memory: WorkerMemory): Promise<void>
  /** Stops reading from the worker, which then waits; and goes on. */
  pause(): void
  resume(): void
  /** Ends at once whatever there still is of it. After an orderly end there is nothing to do. */
  abandon(): void
}

/** `copiesAt`: the first worker is a frozen copy that waits in that place. */
export type NewWorkers = (
  needs: WorkerNeeds,
  deliver: (event: KernelEvent | Placed) => void,
  copiesAt?: string,
) => KernelWorkers

export interface KernelStorePort extends StorePort {
  close(): Promise<void>
}

/**
 * What a kernel keeps is its tenant's: nothing of others is found in it. `session`: of the history, which another process
 * may have begun.
 */
export type NewStore = (whose: Pick<WorkerNeeds, 'kernelId' | 'tenant' | 'spec'>, session?: string) => KernelStorePort

export type NewUsage = () => UsagePort

/** Somebody who speaks to a kernel: a WebSocket, the kernel's ZeroMQ channels, a run of a cell by REST. */
export interface KernelClient {
  /**
   * A message on iopub, for everybody. `topic` is its type; `frames` as `wire/codec` seals them, without routing and
   * topic; `seq` its number among all messages of this kernel: it grows by one with each of them.
   */
  publish(topic: string, frames: readonly Buffer[], seq: number): void
  /** An answer or a question for this client alone. */
  reply(channel: RequestChannel, routing: readonly Buffer[], frames: readonly Buffer[], seq: number): void
  /** The kernel has ended, or is a new process with the same id. Nothing comes after `ended`. */
  notice(what: 'restarted' | 'ended'): void
  /** Nobody holds the other end for now, and what comes is kept for who comes back: no connection that counts. */
  readonly away?: boolean
}

export interface AttachOptions {
  /** It is one of the model's `connections`, and keeps the kernel from being culled. Default: true. */
  readonly counted?: boolean
  /** It may hold the kernel up for as long as it likes. Default: false. */
  readonly patient?: boolean
  /** It may take back what it sent. Default: false; cells in a queue then follow each other the quickest way. */
  readonly withdraws?: boolean
  /** It says when nobody holds its other end any more (`gone`, `detach`). Default: false. */
  readonly leaves?: boolean
  /** What is on its way when this process ends is lost to it, and it is not told. Default: false. */
  readonly misses?: boolean
  /**
   * What it is called for as long as the kernel lives: answers find whoever is attached by this name when they come,
   * be it in another process of the gateway. Default: a name that nobody can have again.
   */
  readonly key?: string
}

export interface Attachment {
  /** Sends a request. `routing` comes back with the answers to it, for a client that stands for several. */
  send(channel: RequestChannel, message: IncomingMessage, routing?: readonly Buffer[]): void
  /**
   * Takes back a cell, for a client that was attached for it: as long as its turn has not come it is answered as
   * `aborted`, and nothing of it is run. One that has begun goes on.
   */
  withdraw(messageId: string): void
  /**
   * It cannot keep up: the kernel's worker is held up until `caughtUp`, but for some seconds only. What is published
   * after these is more than it can take, and it has to give up.
   */
  fallenBehind(): void
  caughtUp(): void
  /** Nobody holds the other end; somebody may come back to it all the same. What it began may end now. */
  gone(): void
  /** `isGone` false: somebody may come back to it in a later process of the gateway. */
  detach(isGone?: boolean): void
}

/** How an op of one of our comm targets is asked for without a comm. */
export interface OpWishes {
  /** Who asks, for records. */
  readonly by: string
  /** How long it may wait for its turn. */
  readonly waitMs: number
  /** Takes it back, if it has not begun. */
  readonly signal?: AbortSignal
}

export interface OpResult {
  readonly result: unknown
  readonly warnings: readonly string[]
}

/** A kernel that is a fork of another one, from its beginning. */
export interface ForkOrigin {
  readonly forked: Forked
  /** Where its copy waits. */
  readonly place: string
}

/** What a client asks for when it asks for a kernel. */
export interface KernelRequest {
  /** Name of the kernelspec, as it was asked for. */
  readonly name: string
  readonly kernelId: string | null
  readonly environment: Readonly<Record<string, string>>
  /** A file or folder that says where to work. */
  readonly path: string | null
  readonly cwd: string | null
  /** Subject of the token. */
  readonly owner: string
  /** Whether it has a guard; as all kernels if absent. */
  readonly guard?: boolean | null
  readonly affinity: string | null
  /** Id or name of the checkpoint that it begins with. */
  readonly checkpoint?: string
}
