/** Kernels of a gateway that do what a test says. */

import { SavepointError } from '../../src/errors.js'
import type { Attachment, KernelClient, KernelRequest } from '../../src/host/kernels/ports.js'
import type { ExecutionState, GatewayKernel, GatewayKernels } from '../../src/gateway/ports.js'
import { seal } from '../../src/wire/codec.js'
import type { IncomingMessage, RequestChannel } from '../../src/wire/message.js'
import { bytes, parsed } from '../support/messages.js'

export interface Received {
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
  executionState: ExecutionState = 'idle'
  /** Called with each message that arrives. */
  onMessage: ((received: Received) => void) | null = null
  readonly #clients = new Set<KernelClient>()
  #messages = 0

  constructor(id: string, owner = 'ann', name = 'python3') {
    this.id = id
    this.owner = owner
    this.name = name
  }

  get clients(): number {
    return this.#clients.size
  }

  facts() {
    const { executionState } = this
    return { executionState, lastActivity: new Date(0), connections: this.clients, reason: null, savepoint: {} }
  }

  attach(client: KernelClient): Attachment {
    this.#clients.add(client)
    return {
      send: (channel, message) => {
        const content = parsed(message.contentBytes) as Received['content']
        const received = { channel, message, type: message.header.msg_type, content }
        this.received.push(received)
        this.onMessage?.(received)
      },
      fallenBehind: () => {},
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
    for (const client of this.#clients) client.publish(type, frames)
  }

  reply(request: Received, content: unknown, metadata: unknown = {}): void {
    const type = request.type.replace('_request', '_reply')
    for (const client of this.#clients) client.reply('shell', [], this.#frames(type, content, metadata, request))
  }

  ask(request: Received, prompt: string, password = false): void {
    const frames = this.#frames('input_request', { prompt, password }, {}, request)
    for (const client of this.#clients) client.reply('stdin', [], frames)
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

  notice(what: 'restarted' | 'ended'): void {
    for (const client of [...this.#clients]) client.notice(what)
    if (what === 'ended') this.#clients.clear()
  }

  restart = async (): Promise<void> => this.notice('restarted')
  interrupt = async (): Promise<void> => {}
  openConnection = () => Promise.reject(new SavepointError('not_available', 'A fake has no sockets.'))
  closeConnection = async (): Promise<void> => {}
  connection = () => null

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
  readonly requests: KernelRequest[] = []
  /** What every new kernel does with a message. */
  behave: (kernel: FakeGatewayKernel, received: Received) => void = () => {}
  /** Starting fails with this. */
  broken: Error | null = null
  readonly #kernels = new Map<string, FakeGatewayKernel>()
  readonly #listeners = new Set<(id: string, what: 'started' | 'ended') => void>()
  #made = 0

  add(kernel: FakeGatewayKernel): FakeGatewayKernel {
    this.#kernels.set(kernel.id, kernel)
    for (const listener of this.#listeners) listener(kernel.id, 'started')
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

  get(id: string): FakeGatewayKernel | null {
    return this.#kernels.get(id) ?? null
  }

  list(): readonly FakeGatewayKernel[] {
    return [...this.#kernels.values()]
  }

  /** The only one that there is. */
  one(): FakeGatewayKernel {
    const [kernel, ...others] = this.#kernels.values()
    if (!kernel || others.length > 0) throw new Error(`There are ${this.#kernels.size} kernels.`)
    return kernel
  }

  async end(id: string): Promise<void> {
    const kernel = this.#kernels.get(id)
    if (!kernel) return
    this.#kernels.delete(id)
    kernel.notice('ended')
    for (const listener of this.#listeners) listener(id, 'ended')
  }

  onChange(listener: (id: string, what: 'started' | 'ended') => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
