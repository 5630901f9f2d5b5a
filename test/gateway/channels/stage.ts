/** Real WebSockets on a real server, joined to a kernel of which a test is the other side. */

import { cpSync } from 'node:fs'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import { systemClock } from '../../../src/clock.js'
import type { Clock } from '../../../src/clock.js'
import type { Principal } from '../../../src/gateway/auth/principal.js'
import { createChannels } from '../../../src/gateway/channels/channels.js'
import type { ChannelsLimits } from '../../../src/gateway/channels/limits.js'
import { createWebSocketServer } from '../../../src/gateway/channels/server.js'
import type { Channels, GatewayKernel } from '../../../src/gateway/ports.js'
import type { Attachment, AttachOptions, KernelClient } from '../../../src/host/kernels/ports.js'
import { journalMessage, MemoryJournal } from '../../fakes/memory-journal.js'
import { seal } from '../../../src/wire/codec.js'
import { EMPTY_OBJECT, json } from '../../../src/wire/message.js'
import type { IncomingMessage, RequestChannel } from '../../../src/wire/message.js'
import { V1_SUBPROTOCOL } from '../../../src/wire/websocket.js'

export const KERNEL_ID = '5d2f6a0c-0d4c-4a8e-9b4e-0d1c2b3a4f5e'

export interface Request {
  /** Name of the client. */
  readonly from: string
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
  readonly journal: MemoryJournal
  folder: string | null
  /** By name. */
  readonly attached = new Map<string, KernelClient>()
  /** Names of those of whom it was told that nobody holds their other end. */
  readonly gone: string[] = []
  readonly requests: Request[] = []
  /** Called with each request. */
  onRequest: (request: Request) => void = () => {}

  constructor(journalBytesMax: number, folder: string | null) {
    this.journal = new MemoryJournal(journalBytesMax)
    this.folder = folder
  }

  get clients(): readonly KernelClient[] {
    return [...this.attached.values()]
  }

  attach(client: KernelClient, { key = 'nameless' }: AttachOptions = {}): Attachment {
    this.attached.set(key, client)
    return {
      send: (channel, message) => {
        const request = { from: key, channel, message }
        this.requests.push(request)
        this.onRequest(request)
      },
      withdraw: () => {},
      fallenBehind: () => {
        throw new Error('No WebSocket holds a kernel up.')
      },
      caughtUp: () => {},
      gone: () => void this.gone.push(key),
      detach: () => void this.attached.delete(key),
    }
  }

  publish(wish: Wish): void {
    const sealed = frames(wish)
    const seq = this.journal.newest + 1
    this.journal.add(journalMessage(seq, 'iopub', null, wish.type, sealed))
    for (const client of this.clients) client.publish(wish.type, sealed, seq)
  }

  /** To one client; its name is enough. */
  reply(to: string, channel: RequestChannel, wish: Wish): void {
    const sealed = frames(wish)
    const seq = this.journal.newest + 1
    this.journal.add(journalMessage(seq, channel, [Buffer.from(to)], wish.type, sealed))
    this.attached.get(to)?.reply(channel, [], sealed, seq)
  }

  end(): void {
    for (const client of this.clients) client.notice('ended')
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
  /** Of the present process. */
  channels: Channels
  readonly url: string
  /** Ends every token. */
  readonly endTokens: (why: 'expired' | 'revoked') => void
  readonly log: string[]
  /** As if the gateway had been ended by force: all connections break, and another one takes the kernel up. */
  restart(): Promise<void>
  /** Breaks all connections; the sessions stay. */
  drop(): Promise<void>
  /** Told of what each connection is on. */
  onStream(told: (stream: Duplex) => void): void
  connect(query?: string, options?: ConnectOptions): Promise<Client>
  stop(): Promise<void>
}

export interface ConnectOptions {
  readonly protocols?: readonly string[]
  readonly userAgent?: string
  readonly subject?: string
}

type StageLimits = Partial<ChannelsLimits> & {
  readonly messageBytesMax?: number
  readonly journalBytesMax?: number
  readonly folder?: string
}

export async function openStage(
  { messageBytesMax = 2 ** 27, journalBytesMax = 2 ** 28, folder, ...limits }: StageLimits = {},
  clock: Clock = systemClock,
): Promise<Stage> {
  const kernel = new StageKernel(journalBytesMax, folder ?? null)
  const endings = new Set<(why: 'expired' | 'revoked') => void>()
  const log: string[] = []
  const newChannels = (): Channels =>
    createChannels({
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
  let onStream = (_stream: Duplex): void => {}
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
    onStream(stream)
    webSockets.handleUpgrade(request, stream, head, (socket) =>
      stage.channels.open(socket, {
        kernel,
        principal,
        asker: { serial: 0, request: 'r', traceparent: null, subject: principal.subject, address: '127.0.0.1' },
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
  const stage: Stage = {
    kernel,
    channels: newChannels(),
    url,
    log,
    onStream: (told) => {
      onStream = told
    },
    endTokens: (why) => {
      for (const ended of [...endings]) ended(why)
    },
    async restart() {
      // Whatever the old one still does reaches nobody.
      kernel.attached.clear()
      const { folder: before } = kernel
      if (before !== null) cpSync(before, (kernel.folder = `${before}-next`), { recursive: true })
      for (const { socket } of clients) socket.removeAllListeners('close').terminate()
      stage.channels = newChannels()
      stage.channels.takeUp(kernel)
    },
    async drop() {
      for (const socket of sockets) socket.destroy()
      while (stage.channels.count() > 0) await new Promise((resolve) => setImmediate(resolve))
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
      await stage.channels.closeAll(1012, 'The test is over.')
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return stage
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
