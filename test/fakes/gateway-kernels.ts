/** Kernels of a gateway that do what a test says. */

import { journalMessage, MemoryJournal } from './memory-journal.js'
import type { Attachment, AttachOptions, KernelClient, KernelRequest } from '../../src/host/kernels/ports.js'
import type { GatewayKernel, GatewayKernels } from '../../src/gateway/ports.js'
import { seal } from '../../src/wire/codec.js'
import type { Channel, IncomingMessage, RequestChannel } from '../../src/wire/message.js'
import { bytes, parsed } from '../support/messages.js'

export interface Received {
  /** Name of the client. */
  readonly from: string
  readonly channel: RequestChannel
  readonly message: IncomingMessage
  readonly type: string
  readonly content: Readonly<Record<string, unknown>>
}

export class FakeGatewayKernel implements GatewayKernel {
  readonly id: string
  readonly name: string
  readonly owner: string
  readonly received: Received[] = []
  /** Messages that were taken back. */
  readonly withdrawn: string[] = []
  executionState: 'idle' | 'busy' | 'dead' = 'idle'
  /** Called once, when it has ended. */
  onEnded: () => void = () => {}
  /** Called with each message that arrives. */
  onMessage: ((received: Received) => void) | null = null
  readonly journal = new MemoryJournal(100_000_000)
  readonly folder: string | null
  /** With their names. */
  readonly #clients = new Map<KernelClient, string>()
  #messages = 0

  constructor(id: string, owner = 'ann', name = 'python3', folder: string | null = null) {
    this.folder = folder
    this.id = id
    this.owner = owner
    this.name = name
  }

  get clients(): number {
    return this.#clients.size
  }

  get phase(): string {
    return this.executionState === 'dead' ? 'dead' : 'ready'
  }

  get status() {
    return {
      execution_state: this.executionState,
      last_activity: '2030-01-01T00:00:00.000Z',
      connections: this.clients,
      savepoint: {},
    }
  }

  attach(client: KernelClient, { key = '' }: AttachOptions = {}): Attachment {
    this.#clients.set(client, key)
    return {
      send: (channel, message) => {
        const content = parsed(message.contentBytes) as Received['content']
        const received = { from: key, channel, message, type: message.header.msg_type, content }
        this.received.push(received)
        this.onMessage?.(received)
      },
      withdraw: (messageId) => void this.withdrawn.push(messageId),
      fallenBehind: () => {},
      gone: () => {},
      caughtUp: () => {},
      detach: () => void this.#clients.delete(client),
    }
  }

  nth(index: number): Received {
    const found = this.received[index]
    if (!found) throw new Error(`There are only ${this.received.length} messages.`)
    return found
  }

  /** The latest request of that type. */
  last(type: string): Received {
    const found = this.received.findLast((each) => each.type === type)
    if (!found) throw new Error(`No ${type}; there were: ${this.received.map((each) => each.type).join(', ')}.`)
    return found
  }

  /** On iopub, to everybody; without a request it belongs to none. */
  publish(type: string, content: unknown, request?: Received): void {
    const frames = this.#frames(type, content, {}, request)
    const seq = this.#kept('iopub', null, type, frames)
    for (const client of this.#clients.keys()) client.publish(type, frames, seq)
  }

  reply(request: Received, content: unknown, metadata: unknown = {}): void {
    const type = request.type.replace('_request', '_reply')
    const frames = this.#frames(type, content, metadata, request)
    const seq = this.#kept('shell', request.from, type, frames)
    for (const client of this.#clients.keys()) client.reply('shell', [], frames, seq)
  }

  ask(request: Received, prompt: string, password = false): void {
    const frames = this.#frames('input_request', { prompt, password }, {}, request)
    const seq = this.#kept('stdin', request.from, 'input_request', frames)
    for (const client of this.#clients.keys()) client.reply('stdin', [], frames, seq)
  }

  #kept(channel: Channel, to: string | null, type: string, frames: readonly Buffer[]): number {
    const seq = this.journal.newest + 1
    this.journal.add(journalMessage(seq, channel, to === null ? null : [Buffer.from(to)], type, frames))
    return seq
  }

  /** A cell begins. */
  begin(request: Received, execution_count = 1): void {
    this.publish('status', { execution_state: 'busy' }, request)
    this.publish('execute_input', { code: request.content['code'], execution_count }, request)
  }

  end(request: Received, content: object = { status: 'ok', execution_count: 1 }, metadata: object = {}): void {
    this.reply(request, content, metadata)
    this.publish('status', { execution_state: 'idle' }, request)
  }

  /** A whole cell that prints. */
  run(request: Received, text: string): void {
    this.begin(request)
    this.publish('stream', { name: 'stdout', text }, request)
    this.end(request)
  }

  /** Their process has ended by force. */
  forgetClients(): void {
    this.#clients.clear()
  }

  notice(what: 'restarted' | 'ended'): void {
    for (const client of [...this.#clients.keys()]) client.notice(what)
    if (what === 'ended') this.#clients.clear()
  }

  restart = async (): Promise<void> => this.notice('restarted')
  interrupt = (): void => {}
  op = (): Promise<never> => Promise.reject(new Error('This fake knows no ops.'))
  shutdown = async (): Promise<void> => {
    this.notice('ended')
    this.onEnded()
  }

  #frames(type: string, content: unknown, metadata: unknown, request?: Received): Buffer[] {
    this.#messages += 1
    const message = {
      type,
      parentBytes: request?.message.headerBytes ?? bytes({}),
      metadataBytes: bytes(metadata),
      contentBytes: bytes(content),
      buffers: [],
    }
    return seal(message, { msg_id: `k${this.#messages}`, date: '2030-01-01T00:00:00.000Z', session: 'k' }, null)
  }
}

export class FakeGatewayKernels implements GatewayKernels {
  readonly counted = { undos: 3 }
  readonly snapshots = { count: 2, bytes: 8_192 }
  readonly specs = ['python3']
  forked = 2
  returning = 0
  readonly requests: KernelRequest[] = []
  /** What every new kernel does with a message. */
  behave: (kernel: FakeGatewayKernel, received: Received) => void = () => {}
  /** Starting fails with this. */
  broken: Error | null = null
  readonly #kernels = new Map<string, FakeGatewayKernel>()
  #made = 0

  add(kernel: FakeGatewayKernel): FakeGatewayKernel {
    this.#kernels.set(kernel.id, kernel)
    kernel.onEnded = () => this.#kernels.delete(kernel.id)
    return kernel
  }

  async start(request: KernelRequest): Promise<FakeGatewayKernel> {
    this.requests.push(request)
    if (this.broken) throw this.broken
    this.#made += 1
    const kernel = this.add(new FakeGatewayKernel(`kernel-${this.#made}`, request.owner, request.name))
    kernel.onMessage = (received) => this.behave(kernel, received)
    return kernel
  }

  find(id: string): FakeGatewayKernel | undefined {
    return this.#kernels.get(id)
  }

  list(): readonly FakeGatewayKernel[] {
    return [...this.#kernels.values()]
  }

  async leave(kernel: { shutdown(): Promise<void> }): Promise<void> {
    await kernel.shutdown()
  }

  /** The only one that there is. */
  one(): FakeGatewayKernel {
    const [kernel, ...others] = this.#kernels.values()
    if (!kernel || others.length > 0) throw new Error(`There are ${this.#kernels.size} kernels.`)
    return kernel
  }
}
