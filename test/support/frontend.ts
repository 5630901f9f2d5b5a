/**
 * A small client that speaks ZeroMQ to whatever kernel is behind a connection file.
 *
 * It shares no code with the product: what it signs and reads is a second opinion on the wire format.
 */

import { createHmac, randomUUID } from 'node:crypto'
import { Dealer, Subscriber } from 'zeromq'
import type { ConnectionFile } from './kernel-process.js'
import { parsed } from './messages.js'
import type { Hearing, Speech } from './perform.js'

/** Less than a test may last, so that what is missing is told. */
const HEAR_MS = 50_000
const START_MS = 40_000

export class DummyFrontend {
  readonly #connection: ConnectionFile
  readonly #sockets = new Map<string, Dealer>()
  readonly #heard = new Map<string, Mailbox>()
  readonly #iopub: Subscriber
  readonly #clients = new Map<string, Promise<void>>()
  /** msg_ids of requests that were not the test's. */
  readonly #own = new Set<string>()

  constructor(connection: ConnectionFile) {
    this.#connection = connection
    this.#iopub = new Subscriber({ linger: 0, receiveHighWaterMark: 0, reconnectInterval: 10 })
    this.#iopub.connect(this.#endpoint('iopub'))
    this.#iopub.subscribe()
    this.#listen('iopub', this.#iopub)
  }

  /** Waits until the kernel answers and its publications arrive; what it has said by then is forgotten. */
  async greets(client: string): Promise<void> {
    await this.#connects(client)
    const deadline = Date.now() + START_MS
    while (Date.now() < deadline) {
      const id = await this.#sends({ ...NOTHING, channel: 'shell', type: 'kernel_info_request', by: client })
      await this.hears('shell', client, START_MS)
      if (await this.#hearsIdleOf(id)) return
    }
    throw new Error('the kernel publishes nothing')
  }

  /** Sends a message; its msg_id. */
  async says(speech: Speech): Promise<string> {
    await this.#connects(speech.by)
    return await this.#sends(speech)
  }

  /**
   * A client's sockets are there before it says anything: a question on stdin is lost if nobody listens yet. Once one
   * of them was answered the others are connected, too.
   */
  async #connects(client: string): Promise<void> {
    const known = this.#clients.get(client)
    if (known) return await known
    const connecting = async (): Promise<void> => {
      for (const channel of ['control', 'stdin', 'shell']) this.#connect(channel, client)
      this.#own.add(await this.#sends({ ...NOTHING, channel: 'shell', type: 'kernel_info_request', by: client }))
      await this.hears('shell', client, START_MS)
    }
    const connected = connecting()
    this.#clients.set(client, connected)
    await connected
  }

  async #sends(speech: Speech): Promise<string> {
    const { channel, type, content, metadata, parent, buffers, by } = speech
    const msg_id = randomUUID()
    const date = new Date().toISOString()
    const header = { msg_id, msg_type: type, session: by, username: 'test', date, version: '5.5' }
    const signed = [header, parent, metadata, content].map((each) => Buffer.from(JSON.stringify(each)))
    const frames = [
      Buffer.from('<IDS|MSG>'),
      Buffer.from(this.#sign(signed)),
      ...signed,
      ...buffers.map((each) => Buffer.from(each)),
    ]
    await this.#sockets.get(keyOf(channel, by))?.send(frames)
    return msg_id
  }

  /** The next message on a channel; rejects when none comes in time. */
  async hears(channel: string, client: string, withinMs = HEAR_MS): Promise<Hearing> {
    const key = channel === 'iopub' ? channel : keyOf(channel, client)
    const hearing = await this.#heard.get(key)?.take(withinMs)
    if (!hearing) throw new Error(`nothing came on ${channel} for ${withinMs} ms`)
    return hearing
  }

  /** Messages that came and that nobody has asked for, after the kernel has answered all that it was sent. */
  async leftovers(client: string): Promise<Hearing[]> {
    const id = await this.says({
      ...NOTHING,
      channel: 'shell',
      type: 'history_request',
      content: { hist_access_type: 'tail', n: 0 },
      by: client,
    })
    const found: Hearing[] = []
    for (;;) {
      const hearing = await this.hears('iopub', client)
      if (hearing.parent !== id) found.push(hearing)
      else if (isIdle(hearing)) break
    }
    for (const mailbox of this.#heard.values()) found.push(...mailbox.empty().filter((each) => each.parent !== id))
    return found
  }

  closes(): void {
    this.#iopub.close()
    for (const socket of this.#sockets.values()) socket.close()
  }

  async #hearsIdleOf(id: string): Promise<boolean> {
    try {
      for (;;) {
        const hearing = await this.hears('iopub', '', 300)
        if (hearing.parent === id && isIdle(hearing)) return true
      }
    } catch {
      return false
    }
  }

  #connect(channel: string, client: string): void {
    const key = keyOf(channel, client)
    const socket = new Dealer({ routingId: client, linger: 0, reconnectInterval: 10 })
    socket.connect(this.#endpoint(channel))
    this.#sockets.set(key, socket)
    this.#listen(key, socket)
  }

  #listen(key: string, socket: Dealer | Subscriber): void {
    const mailbox = new Mailbox()
    this.#heard.set(key, mailbox)
    const receive = async (): Promise<void> => {
      for await (const frames of socket) {
        const hearing = this.#open(frames)
        if (hearing.type === 'iopub_welcome' || (key === 'iopub' && this.#own.has(hearing.parent ?? ''))) continue
        mailbox.put(hearing)
      }
    }
    // The iteration ends by an error when its socket is closed.
    receive().catch(() => {})
  }

  #open(frames: readonly Buffer[]): Hearing {
    const at = frames.findIndex((frame) => frame.toString() === '<IDS|MSG>')
    const [signature, ...rest] = frames.slice(at + 1)
    const signed = rest.slice(0, 4)
    if (signature?.toString() !== this.#sign(signed)) throw new Error('a message of the kernel is not signed')
    const [header, parent, metadata, content] = signed.map(parsed) as [
      Hearing['header'],
      { msg_id?: string },
      unknown,
      unknown,
    ]
    const buffers = rest.slice(4).map(String)
    return { type: header.msg_type, content, metadata, buffers, header, parent: parent.msg_id ?? null, order: null }
  }

  #sign(signed: readonly Buffer[]): string {
    const hmac = createHmac('sha256', this.#connection.key)
    for (const frame of signed) hmac.update(frame)
    return hmac.digest('hex')
  }

  #endpoint(channel: string): string {
    const { ip, ports } = this.#connection
    return `ipc://${ip}-${ports[channel as keyof typeof ports]}`
  }
}

export const NOTHING = { content: {}, metadata: {}, parent: {}, buffers: [] }

function keyOf(channel: string, client: string): string {
  return `${channel} ${client}`
}

function isIdle({ type, content }: Hearing): boolean {
  return type === 'status' && (content as { execution_state?: unknown }).execution_state === 'idle'
}

/** Messages that wait to be asked for, or somebody who waits for a message. */
class Mailbox {
  readonly #messages: Hearing[] = []
  #waiting: ((hearing: Hearing) => void) | null = null

  put(hearing: Hearing): void {
    if (this.#waiting) this.#waiting(hearing)
    else this.#messages.push(hearing)
  }

  async take(withinMs: number): Promise<Hearing | null> {
    const first = this.#messages.shift()
    if (first) return first
    return await new Promise((resolve) => {
      const done = (hearing: Hearing | null): void => {
        this.#waiting = null
        clearTimeout(timer)
        resolve(hearing)
      }
      const timer = setTimeout(() => done(null), withinMs)
      this.#waiting = done
    })
  }

  empty(): Hearing[] {
    return this.#messages.splice(0)
  }
}
