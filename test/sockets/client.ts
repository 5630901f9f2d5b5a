/** Clients for tests, made of ZeroMQ sockets, and channels that remember what they were told. */

import { randomUUID } from 'node:crypto'
import { Dealer, Subscriber } from 'zeromq'
import type { LogFields } from '../../src/log.js'
import { bindChannels } from '../../src/sockets/channels.js'
import type { Channels, ChannelsOptions } from '../../src/sockets/channels.js'
import { open, seal } from '../../src/wire/codec.js'
import { endpointOf, newConnectionFields, parseConnection } from '../../src/wire/connection.js'
import type { Connection } from '../../src/wire/connection.js'
import { EMPTY_OBJECT, json } from '../../src/wire/message.js'
import type { IncomingMessage, RequestChannel } from '../../src/wire/message.js'
import { SignatureGuard, createSigner } from '../../src/wire/signature.js'

export const KEY = 'a key for tests'
export const signer = createSigner('hmac-sha256', KEY)
const PATIENCE_MS = 30_000

export interface Request {
  readonly channel: RequestChannel
  readonly routing: Buffer[]
  readonly message: IncomingMessage
}

export interface Bound {
  readonly channels: Channels
  readonly connection: Connection
  /** The first request, unless the test handles requests itself. */
  readonly firstRequest: Promise<Request>
  readonly log: [string, LogFields | undefined][]
}

/** A connection like that of a file with these fields. */
export function connectionWith(fields: Readonly<Record<string, unknown>> = {}): Connection {
  return parseConnection(JSON.stringify({ ...newConnectionFields(KEY), ...fields }))
}

/** Channels that keep requests, unless `options` say what to do with them. */
export async function bound(
  connection: Connection = connectionWith(),
  options: Partial<ChannelsOptions> = {},
): Promise<Bound> {
  let hear: (request: Request) => void = () => {}
  const firstRequest = new Promise<Request>((resolve) => (hear = resolve))
  const log: [string, LogFields | undefined][] = []
  const channels = await bindChannels(connection, {
    log: (_level, event, fields) => log.push([event, fields]),
    guard: new SignatureGuard(signer),
    signer,
    session: 'kernel-session',
    onRequest: (channel, routing, message) => hear({ channel, routing, message }),
    bindPatienceMs: 200,
    ...options,
  })
  return { channels, connection, firstRequest, log }
}

/** Frames of a message as a client or a kernel would send it. */
export function sealed(type: string, content: Readonly<Record<string, unknown>> = {}): Buffer[] {
  const message = {
    type,
    parentBytes: EMPTY_OBJECT,
    metadataBytes: EMPTY_OBJECT,
    contentBytes: json(content),
    buffers: [],
  }
  return seal(message, { msg_id: randomUUID(), date: new Date(0).toISOString(), session: 'client' }, signer)
}

export function dealerFor({ channels, connection }: Bound, channel: RequestChannel, routingId?: string): Dealer {
  const socket = new Dealer({ linger: 0, receiveTimeout: PATIENCE_MS, ...(routingId ? { routingId } : {}) })
  socket.connect(endpointOf(connection, channels.ports[channel]))
  return socket
}

export function subscriberFor({ channels, connection }: Bound, topic: string | Buffer = ''): Subscriber {
  const socket = new Subscriber({ linger: 0, receiveTimeout: PATIENCE_MS, receiveHighWaterMark: 0 })
  socket.connect(endpointOf(connection, channels.ports.iopub))
  socket.subscribe(topic)
  return socket
}

export interface Received {
  readonly before: string[]
  readonly type: string
  readonly content: unknown
}

/** The next message of a client's socket, verified. */
export async function receive(socket: Dealer | Subscriber): Promise<Received> {
  const { routing, message } = open(await socket.receive(), new SignatureGuard(signer))
  return {
    before: routing.map(String),
    type: message.header.msg_type,
    content: JSON.parse(message.contentBytes.toString()),
  }
}
