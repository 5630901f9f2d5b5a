/**
 * What the gateway needs: kernels, a pool to tell of, and somebody who serves a kernel's WebSocket.
 *
 * Whatever has the shape fits. The parts meet in `main`; a test gives fakes.
 */

import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { Asker } from '../observe.js'
import type { ExecutionState } from '../host/kernels/activity.js'
import type { MessageJournal } from '../host/journal/messages.js'
import type {
  Attachment,
  AttachOptions,
  KernelClient,
  KernelRequest,
  OpResult,
  OpWishes,
} from '../host/kernels/ports.js'
import type { Principal } from './auth/principal.js'

/** What can be told of a kernel at any time without asking it; names as on the wire. */
export interface KernelStatus {
  readonly execution_state: ExecutionState
  /** ISO 8601, UTC, with fraction and `Z`. */
  readonly last_activity: string
  readonly connections: number
  readonly savepoint: object
}

export interface GatewayKernel {
  readonly id: string
  /** Name of the kernelspec, as it was asked for. */
  readonly name: string
  /** Subject of the token that asked for it. */
  readonly owner: string
  /** Where it is in its life; costs nothing, which the status does not. */
  readonly phase: string
  readonly status: KernelStatus
  /** What it has said. */
  readonly journal: MessageJournal
  /** Where what belongs to it is kept for a later process of the gateway; null: nothing is. */
  readonly folder: string | null
  attach(client: KernelClient, options?: AttachOptions): Attachment
  /**
   * Asks for an op of one of our comm targets, which has its turn like a request. Rejects with the op's SavepointError;
   * with `kernel_busy` if its turn did not come within `waitMs`, or `cancelled` if it was taken back before: then
   * nothing was done.
   */
  op(target: string, data: Readonly<Record<string, unknown>>, wishes: OpWishes): Promise<OpResult>
  /** Throws a SavepointError. */
  interrupt(): void
  /** Resolves once the new worker is up. Rejects with a SavepointError. */
  restart(): Promise<void>
  /** Resolves when it has ended. Never rejects. */
  shutdown(): Promise<void>
}

export interface GatewayKernels {
  /** What the kernels have done so far, by name. */
  readonly counted: Readonly<Record<string, number>>
  /** Frozen copies, and the bytes that they alone hold. */
  readonly snapshots: { readonly count: number; readonly bytes: number }
  /** Resolves when it is ready. Rejects with a SavepointError: `unknown_kernelspec`, `quota_exceeded`, ... */
  start(request: KernelRequest): Promise<GatewayKernel>
  /** Undefined if there is none, or none any more. */
  find(id: string): GatewayKernel | undefined
  list(): readonly GatewayKernel[]
  /** How many kernels of an earlier gateway have not been taken up yet. */
  readonly returning: number
  /** How many kernels began as copies of others. */
  readonly forked: number
  /** A client is done with it: it ends, unless the same client may have it again. Never rejects. */
  leave(kernel: GatewayKernel): Promise<void>
}

/** A connection file, and where it lies. */
export interface ConnectionFacts {
  readonly connection_file: string
  readonly connection_info: object
}

/** Kernels for clients that speak ZeroMQ. */
export interface Connections {
  /** Opens the channels of a kernel, or says where they are. Rejects with a SavepointError. */
  open(kernel: GatewayKernel): Promise<ConnectionFacts>
  close(kernel: GatewayKernel): Promise<void>
  /** null: closed. */
  of(kernel: GatewayKernel): ConnectionFacts | null
}

/** A WebSocket that was let in. */
export interface ChannelsOpening {
  readonly kernel: GatewayKernel
  readonly principal: Principal
  /** Who opened it, and from where. */
  readonly asker: Asker
  /** `session_id` of the query; null: it names none. */
  readonly sessionId: string | null
  /** What was agreed upon; empty: the legacy framing. */
  readonly subprotocol: string
  /** `User-Agent`; one client cannot take binary frames. */
  readonly userAgent: string
  /** `replay` of the query. */
  readonly replay: string | null
  /** What the WebSocket is on. */
  readonly stream: Duplex
}

export interface Channels {
  /** Waits for the sessions that a gateway had that is gone. */
  takeUp(kernel: GatewayKernel): void
  /** Serves it until either side ends. */
  open(socket: WebSocket, opening: ChannelsOpening): void
  /** WebSockets that are open. */
  count(): number
  /** Closes all: `code` as of RFC 6455. Resolves when they are closed. */
  closeAll(code: number, reason: string): Promise<void>
}

/** The pool, for whoever looks after the gateway. */
export interface PoolView {
  /** Whether a kernel that is asked for now starts without waiting for a zygote. */
  isReady(): boolean
  /** `{items, total_count, ...}`, as on the wire. */
  facts(): object
  /** Workers by state. */
  counts(): Readonly<Record<string, number>>
}
