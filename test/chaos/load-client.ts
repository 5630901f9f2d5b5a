/** One WebSocket client of the load: it asks for cells, times them, and knows whether it got all that there was. */

import { randomUUID } from 'node:crypto'
import WebSocket from 'ws'

const V1 = 'v1.kernel.websocket.jupyter.org'
const ANSWER_WITHIN_MS = 60_000

interface Heard {
  readonly id: string
  readonly type: string
  readonly parent: string
  readonly channel: string
  readonly state: string
  readonly status: string
}

interface Waiting {
  idle: boolean
  status: string
  readonly done: (status: string) => void
}

export class LoadClient {
  /** Ids of the publications that came, in their order. */
  readonly published: string[] = []
  /** Codes with which connections were closed. */
  readonly closes: number[] = []
  readonly #url: string
  readonly #token: string
  readonly #v1: boolean
  #socket: WebSocket
  #ended = false
  readonly #waiting = new Map<string, Waiting>()
  readonly #keeps: boolean

  /** `keeps`: it remembers what came. Comes back by itself, as the same session. */
  constructor(url: string, token: string, kernel: string, v1: boolean, keeps: boolean) {
    this.#keeps = keeps
    this.#url = `${url.replace('http', 'ws')}/api/kernels/${kernel}/channels?session_id=${randomUUID()}`
    this.#token = token
    this.#v1 = v1
    this.#socket = this.#connect()
  }

  async opened(): Promise<void> {
    while (this.#socket.readyState !== WebSocket.OPEN) await new Promise((wake) => setTimeout(wake, 20))
  }

  /** How the cell ended (`ok`, `error`, ...), or `silence`, once its reply and its idle are here. */
  async run(code: string, metadata: object = {}): Promise<string> {
    const msg_id = randomUUID()
    const header = { msg_id, msg_type: 'execute_request', session: 's', username: 'l', version: '5.3' }
    const content = { code, silent: false, store_history: true, allow_stdin: false, stop_on_error: true }
    const message = { channel: 'shell', header, parent_header: {}, metadata, content }
    return await new Promise((resolve) => {
      const late = setTimeout(() => end('silence'), ANSWER_WITHIN_MS)
      const end = (status: string): void => {
        clearTimeout(late)
        this.#waiting.delete(msg_id)
        resolve(status)
      }
      this.#waiting.set(msg_id, { idle: false, status: '', done: end })
      this.#socket.send(this.#v1 ? encode(message) : JSON.stringify(message))
    })
  }

  /** Stops reading: what comes fills the buffers of the system, then waits at the gateway. */
  stall(): void {
    this.#socket.pause()
  }

  readOn(): void {
    this.#socket.resume()
  }

  close(): void {
    this.#ended = true
    this.#socket.terminate()
  }

  #connect(): WebSocket {
    const headers = { authorization: `token ${this.#token}` }
    const socket = new WebSocket(this.#url, this.#v1 ? [V1] : [], { headers, perMessageDeflate: false })
    socket.on('message', (data: Buffer, binary) => this.#hear(binary ? decode(data) : parse(data)))
    socket.on('error', () => {})
    socket.on('close', (code) => {
      if (this.#ended) return
      this.closes.push(code)
      setTimeout(() => {
        if (!this.#ended) this.#socket = this.#connect()
      }, 200)
    })
    return socket
  }

  #hear({ id, type, parent, channel, state, status }: Heard): void {
    if (this.#keeps && channel === 'iopub') this.published.push(id)
    const waiting = this.#waiting.get(parent)
    if (!waiting) return
    if (type === 'status' && state === 'idle') waiting.idle = true
    if (type === 'execute_reply') waiting.status = status
    if (waiting.idle && waiting.status !== '') waiting.done(waiting.status)
  }
}

interface Parts {
  readonly header: { readonly msg_id: string; readonly msg_type: string }
  readonly parent_header: { readonly msg_id?: string }
  readonly content: { readonly execution_state?: string; readonly status?: string }
}

function heard(channel: string, { header, parent_header: parent, content }: Parts): Heard {
  return {
    id: header.msg_id,
    type: header.msg_type,
    parent: parent.msg_id ?? '',
    channel,
    state: content.execution_state ?? '',
    status: content.status ?? '',
  }
}

function parse(data: Buffer): Heard {
  const message = JSON.parse(data.toString()) as Parts & { readonly channel: string }
  return heard(message.channel, message)
}

function decode(frame: Buffer): Heard {
  const word = (index: number): number => Number(frame.readBigUInt64LE(index * 8))
  const part = (index: number): Buffer => frame.subarray(word(index + 1), word(index + 2))
  const type = JSON.parse(part(1).toString()) as Parts['header']
  // Content may be large, and is of interest where it says how something ended.
  const wanted = type.msg_type === 'status' || type.msg_type.endsWith('_reply')
  return heard(part(0).toString(), {
    header: type,
    parent_header: JSON.parse(part(2).toString()) as Parts['parent_header'],
    content: wanted ? (JSON.parse(part(4).toString()) as Parts['content']) : {},
  })
}

function encode(message: Readonly<Record<string, unknown>>): Buffer {
  const names = ['header', 'parent_header', 'metadata', 'content']
  const parts = [
    Buffer.from(String(message['channel'])),
    ...names.map((name) => Buffer.from(JSON.stringify(message[name]))),
  ]
  const table = Buffer.alloc(8 * (parts.length + 2))
  table.writeBigUInt64LE(BigInt(parts.length + 1), 0)
  let at = table.length
  for (const [index, part] of [...parts, Buffer.alloc(0)].entries()) {
    table.writeBigUInt64LE(BigInt(at), 8 * (index + 1))
    at += part.length
  }
  return Buffer.concat([table, ...parts])
}
