/** Real WebSockets on a real server, joined to a kernel of which a test is the other side. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { WebSocket } from 'ws'
import { systemClock } from '../../../src/clock.js'
import type { Clock } from '../../../src/clock.js'
import type { Principal } from '../../../src/gateway/auth/principal.js'
import { createChannels } from '../../../src/gateway/channels/channels.js'
import type { ChannelsLimits } from '../../../src/gateway/channels/limits.js'
import { createWebSocketServer } from '../../../src/gateway/channels/server.js'
import type { Channels, GatewayKernel } from '../../../src/gateway/ports.js'
import type { Attachment, AttachOptions, KernelClient } from '../../../src/host/kernels/ports.js'
import { seal } from '../../../src/wire/codec.js'
import { EMPTY_OBJECT, json } from '../../../src/wire/message.js'
import type { IncomingMessage, RequestChannel } from '../../../src/wire/message.js'
import { V1_SUBPROTOCOL } from '../../../src/wire/websocket.js'

export const KERNEL_ID = '5d2f6a0c-0d4c-4a8e-9b4e-0d1c2b3a4f5e'

export interface Request {
  readonly client: KernelClient
  readonly channel: RequestChannel
  readonly message: IncomingMessage
}

interface Wish {
  readonly type: string
  readonly content: object
  readonly parent?: object
  readonly buffers?: readonly Buffer[]
}

let counter = 0

export function frames({ type, content, parent = {}, buffers = [] }: Wish): readonly Buffer[] {
  counter += 1
  const message = { type, parentBytes: json(parent), metadataBytes: EMPTY_OBJECT, contentBytes: json(content), buffers }
  return seal(message, { msg_id: `k-${counter}`, date: '2026-01-02T03:04:05.678Z', session: 'kernel' }, null)
}

/** The kernel, whose clients get what a test publishes. */
export class StageKernel implements GatewayKernel {
  readonly id = KERNEL_ID
  readonly name = 'python3'
  readonly owner = 'ada'
  readonly phase = 'ready'
  readonly clients: KernelClient[] = []
  /** Those that count as no connection. */
  readonly watchers: KernelClient[] = []
  readonly requests: Request[] = []
  /** Clients for which it waits. */
  readonly behind = new Set<KernelClient>()
  /** Called with each request. */
  onRequest: (request: Request) => void = () => {}

  attach(client: KernelClient, { counted = true }: AttachOptions = {}): Attachment {
    const list = counted ? this.clients : this.watchers
    list.push(client)
    return {
      send: (channel, message) => {
        const request = { client, channel, message }
        this.requests.push(request)
        this.onRequest(request)
      },
      withdraw: () => {},
      fallenBehind: () => void this.behind.add(client),
      gone: () => {},
      caughtUp: () => void this.behind.delete(client),
      detach: () => void list.splice(list.indexOf(client), 1),
    }
  }

  publish(wish: Wish): void {
    const sealed = frames(wish)
    for (const client of [...this.watchers, ...this.clients]) client.publish(wish.type, sealed)
  }

  end(): void {
    for (const client of [...this.watchers, ...this.clients]) client.notice('ended')
  }

  print(text: string): void {
    this.publish({ type: 'stream', content: { name: 'stdout', text } })
  }

  status = { execution_state: 'idle' as const, last_activity: '', connections: 0, savepoint: {} }
  op = (): Promise<never> => Promise.reject(new Error('Nobody asks for ops here.'))
  interrupt(): never {
    throw new Error('not on this stage')
  }
  restart = this.interrupt
  shutdown = this.interrupt
}

export interface Told {
  readonly channel: string
  readonly type: string
  readonly header: Record<string, unknown>
  readonly parent: Record<string, unknown>
  readonly content: Record<string, unknown>
  readonly buffers: readonly Buffer[]
}

/** A client that reads frames by itself, not with the code that is tested. */
export class Client {
  readonly socket: WebSocket
  readonly told: Told[] = []
  readonly rawFrames: { readonly bytes: number; readonly binary: boolean }[] = []
  readonly closed: Promise<{ code: number; reason: string }>
  #wake: (() => void)[] = []

  constructor(socket: WebSocket) {
    this.socket = socket
    this.closed = new Promise((resolve) =>
      socket.once('close', (code, reason) => {
        resolve({ code, reason: reason.toString() })
        this.#notify()
      }),
    )
    socket.on('error', () => {})
    socket.on('message', (data, binary) => {
      const bytes = data as Buffer
      this.rawFrames.push({ bytes: bytes.length, binary })
      this.told.push(socket.protocol === '' ? readLegacy(bytes, binary) : readV1(bytes))
      this.#notify()
    })
  }

  get texts(): string[] {
    return this.told.filter(({ type }) => type === 'stream').map(({ content }) => String(content['text']))
  }

  /** Resolves once `isThere`. */
  async until(isThere: () => boolean): Promise<void> {
    while (!isThere()) {
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error('The connection has ended.')
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  send(channel: string, type: string, content: object = {}): void {
    const header = json({
      msg_id: `c-${type}`,
      msg_type: type,
      session: 's',
      username: 'ada',
      date: '',
      version: '5.4',
    })
    const parts = [header, EMPTY_OBJECT, EMPTY_OBJECT, json(content)]
    if (this.socket.protocol === '') {
      const text = `{"channel":"${channel}","header":${header.toString()},"parent_header":{},"metadata":{},"content":${JSON.stringify(content)}}`
      this.socket.send(text)
    } else this.socket.send(writeV1([Buffer.from(channel), ...parts]))
  }

  async close(): Promise<void> {
    this.socket.close()
    await this.closed
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

export interface Stage {
  readonly kernel: StageKernel
  readonly channels: Channels
  readonly url: string
  /** Ends every token. */
  readonly endTokens: (why: 'expired' | 'revoked') => void
  readonly log: string[]
  /** Breaks all connections; the sessions stay. */
  drop(): Promise<void>
  connect(query?: string, options?: ConnectOptions): Promise<Client>
  stop(): Promise<void>
}

export interface ConnectOptions {
  readonly protocols?: readonly string[]
  readonly userAgent?: string
  readonly subject?: string
}

type StageLimits = Partial<ChannelsLimits> & { readonly messageBytesMax?: number }

export async function openStage(
  { messageBytesMax = 2 ** 27, ...limits }: StageLimits = {},
  clock: Clock = systemClock,
): Promise<Stage> {
  const kernel = new StageKernel()
  const endings = new Set<(why: 'expired' | 'revoked') => void>()
  const log: string[] = []
  const channels = createChannels({
    log: (_level, event) => void log.push(event),
    gate: {
      watch: (_principal, ended) => {
        endings.add(ended)
        return () => endings.delete(ended)
      },
    },
    limits,
    clock,
  })
  const webSockets = createWebSocketServer(messageBytesMax)
  const server = createServer()
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => void sockets.add(socket))
  server.on('upgrade', (request, stream, head) => {
    const query = new URL(request.url ?? '/', 'http://localhost').searchParams
    const principal: Principal = {
      subject: query.get('subject') ?? 'ada',
      scopes: new Set(['admin']),
      tokenId: null,
      expiresAt: null,
      from: 'header',
    }
    webSockets.handleUpgrade(request, stream, head, (socket) =>
      channels.open(socket, {
        kernel,
        principal,
        sessionId: query.get('session_id'),
        subprotocol: socket.protocol,
        userAgent: request.headers['user-agent'] ?? '',
        replay: query.get('replay'),
        stream,
      }),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
  const clients: Client[] = []
  return {
    kernel,
    channels,
    url,
    log,
    endTokens: (why) => {
      for (const ended of [...endings]) ended(why)
    },
    async drop() {
      for (const socket of sockets) socket.destroy()
      while (channels.count() > 0) await new Promise((resolve) => setImmediate(resolve))
    },
    async connect(query = '', { protocols = [V1_SUBPROTOCOL], userAgent = 'node', subject = 'ada' } = {}) {
      const socket = new WebSocket(
        `${url}/api/kernels/${KERNEL_ID}/channels?subject=${subject}&${query}`,
        [...protocols],
        {
          headers: { 'User-Agent': userAgent },
        },
      )
      const client = new Client(socket)
      clients.push(client)
      await once(socket, 'open')
      return client
    },
    async stop() {
      for (const { socket } of clients) socket.terminate()
      await channels.closeAll(1012, 'The test is over.')
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

type Fields = Record<string, unknown>

function readLegacy(data: Buffer, binary: boolean): Told {
  const offsets = binary ? Array.from({ length: data.readUInt32BE(0) }, (_, i) => data.readUInt32BE(4 * (i + 1))) : [0]
  const parts = offsets.map((offset, i) => data.subarray(offset, offsets[i + 1]))
  const message = JSON.parse(parts[0]?.toString() ?? '') as Fields
  return {
    channel: String(message['channel']),
    type: String(message['msg_type']),
    header: message['header'] as Fields,
    parent: message['parent_header'] as Fields,
    content: message['content'] as Fields,
    buffers: parts.slice(1),
  }
}

function readV1(data: Buffer): Told {
  const count = Number(data.readBigUInt64LE(0))
  const offsets = Array.from({ length: count }, (_, i) => Number(data.readBigUInt64LE(8 * (i + 1))))
  const parts = offsets.slice(0, -1).map((offset, i) => data.subarray(offset, offsets[i + 1]))
  const [channel, header, parent, , content] = parts.map((part) => part.toString())
  return {
    channel: channel ?? '',
    type: String((JSON.parse(header ?? '') as Fields)['msg_type']),
    header: JSON.parse(header ?? '') as Fields,
    parent: JSON.parse(parent ?? '') as Fields,
    content: JSON.parse(content ?? '') as Fields,
    buffers: parts.slice(5),
  }
}

export function writeV1(parts: readonly Buffer[]): Buffer {
  const table = Buffer.alloc(8 * (parts.length + 2))
  table.writeBigUInt64LE(BigInt(parts.length + 1))
  let at = table.length
  for (const [i, part] of [...parts, Buffer.alloc(0)].entries()) {
    table.writeBigUInt64LE(BigInt(at), 8 * (i + 1))
    at += part.length
  }
  return Buffer.concat([table, ...parts])
}
