/**
 * What the gateway needs: kernels, a gate that knows tokens, and somebody who serves a kernel's WebSocket.
 *
 * Whatever has the shape fits. The parts meet in `main`; a test gives fakes.
 */

import type { IncomingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { Attachment, KernelClient, KernelRequest } from '../host/kernels/ports.js'
import type { Principal } from './auth/principal.js'

export type ExecutionState = 'starting' | 'idle' | 'busy' | 'restarting' | 'dead'

/** What can be told of a kernel at any time without asking it. */
export interface KernelFacts {
  readonly executionState: ExecutionState
  /** Of the last thing that counts as activity. */
  readonly lastActivity: Date
  /** Clients that are attached. */
  readonly connections: number
  /** Why it is dead, in a sentence; null if it is not. */
  readonly reason: string | null
  /** The block `savepoint` of its model, as on the wire. */
  readonly savepoint: Readonly<Record<string, unknown>>
}

export interface GatewayKernel {
  readonly id: string
  /** Name of the kernelspec, as it was asked for. */
  readonly name: string
  /** Subject of the token that asked for it. */
  readonly owner: string
  facts(): KernelFacts
  attach(client: KernelClient): Attachment
  /** Resolves once the new worker is up. Rejects with a SavepointError. */
  restart(): Promise<void>
  interrupt(): Promise<void>
  /** Opens ZeroMQ channels, or says where they are. */
  openConnection(): Promise<ConnectionFacts>
  closeConnection(): Promise<void>
  /** null: closed. */
  connection(): ConnectionFacts | null
}

/** A connection file, and where it lies. */
export interface ConnectionFacts {
  readonly connection_file: string
  readonly connection_info: Readonly<Record<string, unknown>>
}

export interface GatewayKernels {
  /** Rejects with `unknown_kernelspec`, `quota_exceeded`, `already_exists`, `starting`, ...; the kernel may still be starting. */
  start(request: KernelRequest): Promise<GatewayKernel>
  /** null if there is none, or none any more. */
  get(id: string): GatewayKernel | null
  list(): readonly GatewayKernel[]
  /** Resolves when it has ended; does nothing if there is none. */
  end(id: string): Promise<void>
  /** A kernel began, ended, or died. Returns how to stop listening. */
  onChange(listener: (id: string, what: 'started' | 'ended') => void): () => void
}

/** What a request says of who sends it. */
export interface Asking {
  readonly method: string
  /** Path and query as they came. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  /** Of the peer, or of the client behind a proxy that is trusted. */
  readonly address: string
  readonly kind: 'http' | 'websocket'
}

/** Knows tokens, origins and hosts. */
export interface Gate {
  /** Throws `unauthorized`, `forbidden` or `rate_limited`. */
  admit(asking: Asking): Principal | Promise<Principal>
  /** Headers for an answer to a page of another origin that is allowed; null: it is not, or there is none. */
  corsHeaders(asking: Asking): Readonly<Record<string, string>> | null
  /** Calls back when the principal's token expires or is revoked. Returns how to stop waiting. */
  whenEnded(principal: Principal, ended: (why: string) => void): () => void
}

/** A WebSocket that was let in. */
export interface ChannelsOpening {
  readonly kernel: GatewayKernel
  readonly principal: Principal
  /** `session_id` of the query; null: it names none. */
  readonly sessionId: string | null
  /** What was agreed upon; empty: the legacy framing. */
  readonly subprotocol: string
  /** `User-Agent`; one client cannot take binary frames. */
  readonly userAgent: string
  /** `replay` of the query. */
  readonly replay: string | null
  /** What the WebSocket is on: with it, the messages of one turn go out in one write. */
  readonly stream?: Duplex
}

export interface Channels {
  /** Serves it until either side ends. */
  open(socket: WebSocket, opening: ChannelsOpening): void
  /** WebSockets that are open. */
  count(): number
  /** Closes all: `code` as of RFC 6455. Resolves when they are closed. */
  closeAll(code: number, reason: string): Promise<void>
}
