/**
 * The five ZeroMQ channels of one connection file.
 *
 * Requests come in verified and parsed as far as wire parses them; replies and publications go out as frames that are
 * sealed already. Each socket has one receive loop and one outbox.
 *
 * Choices that clients notice: a client that comes back with its old identity gets its replies (`handover`); a client
 * that has gone costs nothing (`mandatory` off, with which zeromq.js would wait for ever where nobody is); every
 * subscription is answered, not only the first to a topic (`allSubs`); nothing is dropped for a slow subscriber (no
 * high-water mark), see backlog.ts for what happens instead.
 *
 * Docs: https://jupyter-client.readthedocs.io/en/stable/messaging.html#introduction
 */

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Router, XPublisher } from 'zeromq'
import { systemClock } from '../clock.js'
import type { Clock } from '../clock.js'
import { SavepointError } from '../errors.js'
import type { ErrorCode } from '../errors.js'
import type { Log } from '../log.js'
import { open, seal } from '../wire/codec.js'
import type { Opened } from '../wire/codec.js'
import type { Connection, PortName, Ports } from '../wire/connection.js'
import { EMPTY_OBJECT, json } from '../wire/message.js'
import type { IncomingMessage, RequestChannel } from '../wire/message.js'
import type { SignatureGuard, Signer } from '../wire/signature.js'
import { BacklogWatch, queuedBytesOfPort } from './backlog.js'
import { bindPort } from './bind.js'
import { faultOf } from './fault.js'
import { startHeartbeat } from './heartbeat.js'
import type { Heartbeat } from './heartbeat.js'
import { Outbox } from './outbox.js'
import { refusalLog } from './refusals.js'

export interface ChannelsOptions {
  readonly log: Log
  readonly guard: SignatureGuard
  /** For `iopub_welcome`, which is sent from here: no kernel has a say in it. */
  readonly signer: Signer
  readonly session: string
  /** A request that is signed and well-formed. First called after `bindChannels` has returned. */
  onRequest(channel: RequestChannel, routing: Buffer[], message: IncomingMessage): void
  /** Too much waits to be sent: whoever makes messages has to pause. Nothing is dropped meanwhile. */
  onFull?(): void
  /** Follows each `onFull` once clients have caught up. */
  onDrained?(): void
  readonly clock?: Clock
  /** Bytes that may wait before the channels are full. */
  readonly outboxBytesMax?: number
  /**
   * Messages that ZeroMQ may keep for one subscriber; beyond them everything waits in the outbox until it has fetched
   * some. Absent: any number.
   */
  readonly subscriberMessagesMax?: number
  /**
   * These channels were another process's before: all that is sent waits so long for its clients to connect again, since
   * ZeroMQ drops what is for somebody who is not there. Absent: nothing waits.
   */
  readonly patienceMs?: number
  /** How long a port in use is tried again. */
  readonly bindPatienceMs?: number
}

export interface Channels {
  /** The ports that are bound, none of them 0. */
  readonly ports: Ports
  /** Sends sealed frames to all who subscribed to a beginning of `topic`. */
  publish(topic: string, frames: readonly Buffer[]): void
  /** Sends sealed frames to one client. One that has gone is no error. */
  reply(channel: RequestChannel, routing: readonly Buffer[], frames: readonly Buffer[]): void
  /** Takes no more requests, sends what waits until the deadline, and closes. A second call does nothing more. */
  close(deadlineMs: number): Promise<void>
}

const OUTBOX_BYTES_MAX = 64 * 1024 * 1024
const BIND_PATIENCE_MS = 2000
/** What ZeroMQ may still send after a socket was closed, before the process ends. */
const LINGER_MS = 1000
const INCOMING_FRAME_BYTES_MAX = 2 ** 30
const ECHO_BYTES_MAX = 64 * 1024
/** A client that floods us is slowed down by its own connection beyond this. */
const REQUESTS_WAITING_MAX = 10_000

/**
 * A peer whose machine is gone is noticed after about two minutes, also when nothing is sent. The last of these cuts
 * off a peer that has taken nothing of what waits for it in that time: its queue is ours, and memory is finite. A peer
 * that is merely stopped, with little waiting, keeps its connection.
 */
const PEER_OPTIONS = {
  tcpKeepalive: 1,
  tcpKeepaliveIdle: 60,
  tcpKeepaliveInterval: 15,
  tcpKeepaliveCount: 4,
  tcpMaxRetransmitTimeout: 120_000,
} as const

/**
 * Binds all channels. ZeroMQ is loaded here and not earlier: whoever starts a kernel has something better to do first.
 *
 * Throws PORT_IN_USE or CONNECTION_FILE_INVALID, with nothing left bound.
 */
export async function bindChannels(connection: Connection, options: ChannelsOptions): Promise<Channels> {
  const zmq = await import('zeromq')
  const common = {
    linger: LINGER_MS,
    sendHighWaterMark: 0,
    ipv6: connection.ip.includes(':'),
    ...PEER_OPTIONS,
    ...encryption(connection, zmq.capability.curve),
  }
  const routerOptions = {
    ...common,
    handover: true,
    mandatory: false,
    receiveHighWaterMark: REQUESTS_WAITING_MAX,
    maxMessageSize: INCOMING_FRAME_BYTES_MAX,
  }
  const requests: Record<RequestChannel, Router> = {
    shell: new zmq.Router(routerOptions),
    control: new zmq.Router(routerOptions),
    stdin: new zmq.Router(routerOptions),
  }
  const iopub = new zmq.XPublisher({ ...common, sendHighWaterMark: options.subscriberMessagesMax ?? 0 })
  if (options.subscriberMessagesMax !== undefined) iopub.noDrop = true
  iopub.verbosity = 'allSubs'
  const hb = new zmq.Router({ ...common, linger: 0, handover: true, maxMessageSize: ECHO_BYTES_MAX })
  const sockets = { ...requests, iopub, hb }
  try {
    const ports = await bindAll(sockets, connection, options.bindPatienceMs ?? BIND_PATIENCE_MS)
    const heartbeat = await startHeartbeat(zmq, hb, (error) =>
      options.log('error', 'heartbeat_failed', { ...faultOf(error) }),
    )
    return new ZeroMqChannels(connection, ports, requests, iopub, heartbeat, options)
  } catch (error) {
    for (const socket of Object.values(sockets)) socket.close()
    throw error
  }
}

/**
 * Options for all five sockets: heartbeats, too, are only for who knows the key. Plain text is no choice when keys are
 * there, whatever this ZeroMQ can do.
 */
function encryption({ curve }: Connection, isAvailable: boolean | undefined): object {
  if (curve === null) return {}
  if (!isAvailable) {
    throw new SavepointError(
      'CONNECTION_FILE_INVALID',
      'The connection file asks for encryption, which the ZeroMQ of this Node cannot do. ' +
        'Reinstall the packages (npm ci), or start the kernel without encryption.',
    )
  }
  return { curveServer: true, curvePublicKey: curve.publicKey, curveSecretKey: curve.secretKey }
}

/** One after the other, since with ipc each takes the first number that is free. */
async function bindAll(
  sockets: Readonly<Record<PortName, Router | XPublisher>>,
  connection: Connection,
  patienceMs: number,
): Promise<Ports> {
  const bind = (name: PortName): Promise<number> => bindPort(sockets[name], connection, name, { patienceMs })
  return {
    shell: await bind('shell'),
    iopub: await bind('iopub'),
    stdin: await bind('stdin'),
    control: await bind('control'),
    hb: await bind('hb'),
  }
}

class ZeroMqChannels implements Channels {
  readonly ports: Ports
  readonly #options: ChannelsOptions
  readonly #requests: Readonly<Record<RequestChannel, Router>>
  readonly #iopub: XPublisher
  readonly #heartbeat: Heartbeat
  readonly #outboxes: Readonly<Record<RequestChannel | 'iopub', Outbox>>
  readonly #backlog: BacklogWatch
  readonly #clock: Clock
  #cancelPatience: () => void = () => {}
  #full = false
  #closing: Promise<void> | null = null
  #loops: Promise<void>[] = []

  constructor(
    connection: Connection,
    ports: Ports,
    requests: Readonly<Record<RequestChannel, Router>>,
    iopub: XPublisher,
    heartbeat: Heartbeat,
    options: ChannelsOptions,
  ) {
    this.ports = ports
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#requests = requests
    this.#iopub = iopub
    this.#heartbeat = heartbeat
    const bytesMax = options.outboxBytesMax ?? OUTBOX_BYTES_MAX
    const outbox = (name: RequestChannel | 'iopub', socket: Router | XPublisher): Outbox =>
      new Outbox(socket, {
        bytesMax,
        onFailed: (error) => options.log('error', 'send_failed', { channel: name, ...faultOf(error) }),
        onDrained: () => this.#noticeFullness(),
      })
    this.#outboxes = {
      shell: outbox('shell', requests.shell),
      control: outbox('control', requests.control),
      stdin: outbox('stdin', requests.stdin),
      iopub: outbox('iopub', iopub),
    }
    if (options.patienceMs !== undefined) {
      for (const each of Object.values(this.#outboxes)) each.hold()
      this.#cancelPatience = this.#clock.after(options.patienceMs, () => this.#letGo())
    }
    this.#backlog = new BacklogWatch({
      bytesMax,
      clock: this.#clock,
      queuedBytes: () =>
        connection.transport === 'tcp' ? queuedBytesOfPort(ports.iopub, connection.ip.includes(':')) : null,
      onCleared: () => this.#noticeFullness(),
    })
    // Not before the caller holds what it needs to answer.
    setImmediate(() => this.#listen())
  }

  publish(topic: string, frames: readonly Buffer[]): void {
    this.#publish([Buffer.from(topic), ...frames])
  }

  reply(channel: RequestChannel, routing: readonly Buffer[], frames: readonly Buffer[]): void {
    this.#outboxes[channel].send([...routing, ...frames])
    this.#noticeFullness()
  }

  close(deadlineMs: number): Promise<void> {
    this.#closing ??= this.#close(deadlineMs)
    return this.#closing
  }

  #listen(): void {
    if (this.#closing !== null) return
    const refused = refusalLog(this.#options.log, this.#clock)
    const receive = (channel: RequestChannel): Promise<void> =>
      this.#receiveAll(this.#requests[channel], channel, (frames) => {
        const opened = openOrRefuse(frames, this.#options.guard, (code) => refused(channel, code))
        if (opened !== null) this.#options.onRequest(channel, opened.routing, opened.message)
      })
    this.#loops = [
      receive('shell'),
      receive('control'),
      receive('stdin'),
      this.#receiveAll(this.#iopub, 'iopub', ([frame]) => this.#subscription(frame)),
    ]
  }

  /** Never rejects: a message that fails in our hands must not make the channel deaf. */
  async #receiveAll(socket: Router | XPublisher, channel: string, take: (frames: Buffer[]) => void): Promise<void> {
    const fail = (event: string, error: unknown): void =>
      this.#options.log('error', event, { channel, ...faultOf(error) })
    while (!socket.closed) {
      try {
        for await (const frames of socket) {
          if (this.#closing !== null) continue
          try {
            take(frames)
          } catch (error) {
            fail('request_failed', error)
          }
        }
      } catch (error) {
        if (socket.closed) return
        fail('receive_failed', error)
        await sleep(FAILED_RECEIVE_PAUSE_MS)
      }
    }
  }

  /** An XPUB socket receives the subscription after a byte that says whether it begins or ends. */
  #subscription(frame: Buffer | undefined): void {
    if (frame === undefined || frame[0] !== SUBSCRIBED) return
    const topic = frame.subarray(1)
    const subscription = topic.toString('utf8')
    // The welcome's content is JSON, which can only name a topic that is text.
    if (!Buffer.from(subscription).equals(topic)) return
    const welcome = this.#welcome(subscription)
    this.#publish(subscription === '' ? welcome : [topic, ...welcome])
  }

  /** Docs: https://jupyter.org/enhancement-proposals/65-jupyter-xpub/jupyter-xpub.html */
  #welcome(subscription: string): Buffer[] {
    const message = {
      type: 'iopub_welcome',
      parentBytes: EMPTY_OBJECT,
      metadataBytes: EMPTY_OBJECT,
      contentBytes: json({ subscription }),
      buffers: [],
    }
    const { session, signer } = this.#options
    return seal(message, { msg_id: randomUUID(), date: this.#clock.date().toISOString(), session }, signer)
  }

  #publish(frames: Buffer[]): void {
    let bytes = 0
    for (const frame of frames) bytes += frame.length + FRAME_OVERHEAD_BYTES
    this.#outboxes.iopub.send(frames)
    this.#backlog.published(bytes)
    this.#noticeFullness()
  }

  #noticeFullness(): void {
    const { shell, control, stdin, iopub } = this.#outboxes
    const full = iopub.full || this.#backlog.lagging || shell.full || control.full || stdin.full
    if (full === this.#full) return
    this.#full = full
    if (full) this.#options.onFull?.()
    else this.#options.onDrained?.()
  }

  #letGo(): void {
    for (const outbox of Object.values(this.#outboxes)) outbox.release()
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#cancelPatience()
    this.#letGo()
    const outboxes = Object.values(this.#outboxes)
    const cancel = new AbortController()
    await Promise.race([
      Promise.all(outboxes.map((outbox) => outbox.flushed())),
      sleep(deadlineMs, undefined, { signal: cancel.signal }).catch(() => undefined),
    ])
    cancel.abort()
    this.#backlog.close()
    for (const outbox of outboxes) outbox.close()
    for (const socket of [...Object.values(this.#requests), this.#iopub]) socket.close()
    await Promise.all([...this.#loops, this.#heartbeat.close()])
  }
}

const SUBSCRIBED = 1
const FAILED_RECEIVE_PAUSE_MS = 100
/** What ZeroMQ keeps for each frame beside its bytes. */
const FRAME_OVERHEAD_BYTES = 64

function openOrRefuse(frames: Buffer[], guard: SignatureGuard, refuse: (code: ErrorCode) => void): Opened | null {
  try {
    return open(frames, guard)
  } catch (error) {
    if (!(error instanceof SavepointError)) throw error
    refuse(error.code)
    return null
  }
}
