/**
 * Kernels of a gateway for clients that speak ZeroMQ: channels and a connection file on request, one set a kernel.
 *
 * The channels are one more client of the kernel, so they survive its restarts, and everybody sees what everybody does.
 * Messages are signed only while a kernel has channels: nobody else looks at signatures.
 */

import { randomBytes } from 'node:crypto'
import { SavepointError } from '../../errors.js'
import type { IncomingMessage, RequestChannel } from '../../wire/message.js'
import { createSigner } from '../../wire/signature.js'
import type { ConnectionRecord } from './kernel-record.js'
import type { GatewayKernel } from './kernel.js'
import type { Attachment, KernelClient } from './ports.js'

export interface ConnectionFacts {
  readonly connection_file: string
  /** What stands in the file, its key included. */
  readonly connection_info: Readonly<Record<string, unknown>>
}

/** The channels of one kernel, bound. */
export interface OpenChannels {
  readonly facts: ConnectionFacts
  /** Where they are: what it takes to open them again at the same places. */
  readonly at: Pick<ConnectionRecord, 'ip' | 'ports'>
  publish(topic: string, frames: readonly Buffer[]): void
  reply(channel: RequestChannel, routing: readonly Buffer[], frames: readonly Buffer[]): void
  /** Sends what waits, within a moment, and removes the file. Never rejects. */
  close(): Promise<void>
}

export interface ChannelsRequest {
  readonly kernelId: string
  readonly kernelName: string
  /** With which messages are signed. */
  readonly scheme: string
  readonly key: string
  /** Where they were before; null: anywhere. */
  readonly at: Pick<ConnectionRecord, 'ip' | 'ports'> | null
  onRequest(channel: RequestChannel, routing: readonly Buffer[], message: IncomingMessage): void
  onFull(): void
  onDrained(): void
}

/** Binds channels and writes the connection file. Rejects with a SavepointError. */
export type BindChannels = (request: ChannelsRequest) => Promise<OpenChannels>

const SCHEME = 'hmac-sha256'
const KEY_BYTES = 32
/** By this name they are the kernel's client in every gateway, so that answers to requests of before find their way. */
const ZMQ_KEY = 'zmq'

export class KernelConnections {
  readonly #bind: BindChannels
  readonly #open = new Map<string, Connection>()

  constructor(bind: BindChannels) {
    this.#bind = bind
  }

  /** Opens the channels of a kernel, or says where they are. Rejects with a SavepointError. */
  async open(kernel: GatewayKernel): Promise<ConnectionFacts> {
    const there = this.#open.get(kernel.id)
    if (there) return await there.opened
    const connection = new Connection(kernel, this.#bind, () => {
      if (this.#open.get(kernel.id) === connection) this.#open.delete(kernel.id)
    })
    this.#open.set(kernel.id, connection)
    return await connection.opened
  }

  /**
   * Opens the channels again that the kernel had in an earlier gateway, at the same places and with the same key, so that
   * its clients need not notice. Does nothing if it had none. Rejects with a SavepointError.
   */
  async reopen(kernel: GatewayKernel): Promise<void> {
    if (kernel.connection !== null) await this.open(kernel)
  }

  /** Resolves when they are closed; does nothing if they are. */
  async close(kernel: { readonly id: string }): Promise<void> {
    await this.#open.get(kernel.id)?.close()
  }

  /** null: closed. */
  of(kernel: { readonly id: string }): ConnectionFacts | null {
    return this.#open.get(kernel.id)?.facts ?? null
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#open.values()].map((connection) => connection.close()))
  }
}

class Connection implements KernelClient {
  readonly opened: Promise<ConnectionFacts>
  readonly #kernel: GatewayKernel
  readonly #onClosed: () => void
  #channels: OpenChannels | null = null
  #attachment: Attachment | null = null
  #closing: Promise<void> | null = null

  constructor(kernel: GatewayKernel, bind: BindChannels, onClosed: () => void) {
    this.#kernel = kernel
    this.#onClosed = onClosed
    this.opened = this.#openWith(bind)
  }

  get facts(): ConnectionFacts | null {
    return this.#channels?.facts ?? null
  }

  publish(topic: string, frames: readonly Buffer[]): void {
    this.#channels?.publish(topic, frames)
  }

  reply(channel: RequestChannel, routing: readonly Buffer[], frames: readonly Buffer[]): void {
    this.#channels?.reply(channel, routing, frames)
  }

  notice(what: 'restarted' | 'ended'): void {
    if (what === 'ended') void this.close()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #openWith(bind: BindChannels): Promise<ConnectionFacts> {
    const before = this.#kernel.connection
    const { scheme, key } = before ?? { scheme: SCHEME, key: randomBytes(KEY_BYTES).toString('hex') }
    try {
      const channels = await bind({
        kernelId: this.#kernel.id,
        kernelName: this.#kernel.name,
        scheme,
        key,
        at: before,
        onRequest: (channel, routing, message) => this.#attachment?.send(channel, message, routing),
        onFull: () => this.#attachment?.fallenBehind(),
        onDrained: () => this.#attachment?.caughtUp(),
      })
      this.#channels = channels
      if (this.#closing !== null)
        throw new SavepointError('cancelled', 'The channels were closed while they were opened.')
      // Everything that goes out from here on is signed, so nothing unsigned can reach the new client.
      this.#kernel.signWith(createSigner(scheme, key))
      this.#attachment = this.#kernel.attach(this, { counted: false, misses: true, key: ZMQ_KEY })
      this.#kernel.connection = { scheme, key, ...channels.at }
      return channels.facts
    } catch (error) {
      await this.#channels?.close()
      this.#channels = null
      this.#onClosed()
      throw error
    }
  }

  async #close(): Promise<void> {
    // Whoever opens hears of a failure there.
    await this.opened.catch(() => {})
    this.#attachment?.detach()
    this.#kernel.signWith(null)
    this.#kernel.connection = null
    await this.#channels?.close()
    this.#channels = null
    this.#onClosed()
  }
}
