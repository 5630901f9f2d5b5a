/** Clients of a gateway's kernels that only listen and ask. */

import type { GatewayKernel } from '../../../src/host/kernels/kernel.js'
import type { Attachment, AttachOptions, KernelClient, KernelRequest } from '../../../src/host/kernels/ports.js'
import type { RequestChannel } from '../../../src/wire/message.js'
import { incoming, parsed } from '../../support/messages.js'

export function requestFor(more: Partial<KernelRequest> = {}): KernelRequest {
  return {
    name: 'python3',
    kernelId: null,
    environment: {},
    path: null,
    cwd: null,
    owner: 'ann',
    affinity: null,
    ...more,
  }
}

export interface Heard {
  readonly channel: RequestChannel | 'iopub' | 'notice'
  readonly type: string
  readonly content: Readonly<Record<string, unknown>>
  readonly parent: string | null
  readonly signature: string
}

/** A client that keeps all it hears, and waits for what is still to come. */
export class Listener implements KernelClient {
  readonly heard: Heard[] = []
  away = false
  readonly attachment: Attachment
  readonly #name: string
  #sent = 0
  #waiting: { readonly wanted: (heard: Heard) => boolean; readonly found: (heard: Heard) => void }[] = []

  constructor(kernel: GatewayKernel, name = 'ann', options?: AttachOptions) {
    this.#name = name
    this.attachment = kernel.attach(this, options)
  }

  publish(_: string, frames: readonly Buffer[]): void {
    this.#take('iopub', frames)
  }

  reply(channel: RequestChannel, _: readonly Buffer[], frames: readonly Buffer[]): void {
    this.#take(channel, frames)
  }

  notice(what: string): void {
    this.#keep({ channel: 'notice', type: what, content: {}, parent: null, signature: '' })
  }

  send(type: string, content: object = {}, channel: RequestChannel = 'shell', parent: object = {}): string {
    const id = `${this.#name}-${(this.#sent += 1)}`
    this.attachment.send(channel, incoming({ id, type, content, session: this.#name, parent }))
    return id
  }

  /** Runs a cell; its reply. */
  async run(code: string): Promise<Heard['content']> {
    return await this.replyTo(this.send('execute_request', { code }))
  }

  async replyTo(id: string): Promise<Heard['content']> {
    const isReply = ({ channel, type }: Heard): boolean => channel !== 'iopub' && type.endsWith('_reply')
    return (await this.next((heard) => isReply(heard) && heard.parent === id)).content
  }

  /** The first message like that, whether it has come already or not. */
  async next(wanted: (heard: Heard) => boolean, from = 0): Promise<Heard> {
    const there = this.heard.slice(from).find(wanted)
    return there ?? (await new Promise((found) => this.#waiting.push({ wanted, found })))
  }

  /** Text that cells have printed so far. */
  get text(): string {
    return this.heard.flatMap(({ type, content }) => (type === 'stream' ? [String(content['text'])] : [])).join('')
  }

  /** What it was told of the kernel's state, in that order. */
  get states(): string[] {
    return this.heard.flatMap(({ type, content }) => (type === 'status' ? [String(content['execution_state'])] : []))
  }

  #take(channel: Heard['channel'], frames: readonly Buffer[]): void {
    const [, signature = '', header, parent, , content] = frames
    const read = (bytes: Buffer | undefined): Readonly<Record<string, unknown>> =>
      (parsed(bytes ?? Buffer.from('{}')) ?? {}) as Readonly<Record<string, unknown>>
    const parentId = read(parent)['msg_id']
    this.#keep({
      channel,
      type: String(read(header)['msg_type']),
      content: read(content),
      parent: typeof parentId === 'string' ? parentId : null,
      signature: String(signature),
    })
  }

  #keep(heard: Heard): void {
    this.heard.push(heard)
    const found = this.#waiting.filter(({ wanted }) => wanted(heard))
    this.#waiting = this.#waiting.filter((each) => !found.includes(each))
    for (const each of found) each.found(heard)
  }
}
