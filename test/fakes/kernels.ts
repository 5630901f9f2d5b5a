/** Kernels of a gateway that run nothing: they have a status, and remember what was done to them. */

import { randomUUID } from 'node:crypto'
import { SavepointError } from '../../src/errors.js'
import type { GatewayKernel, GatewayKernels, KernelStatus } from '../../src/gateway/ports.js'
import { MemoryJournal } from './memory-journal.js'
import type { Attachment, KernelClient, KernelRequest, OpResult, OpWishes } from '../../src/host/kernels/ports.js'

export class FakeKernel implements GatewayKernel {
  readonly id: string
  readonly name: string
  readonly owner: string
  readonly request: KernelRequest
  readonly done: string[] = []
  /** Ops, and what they are answered with; an Error is thrown. */
  readonly asked: { target: string; data: unknown; waitMs: number }[] = []
  answer: unknown = {}
  readonly clients = new Set<KernelClient>()
  readonly phase = 'ready'
  readonly journal = new MemoryJournal(1_000_000)
  readonly folder = null
  status: KernelStatus = {
    execution_state: 'idle',
    last_activity: '2026-01-02T03:04:05.678Z',
    connections: 0,
    savepoint: { phase: 'idle' },
  }
  readonly #onEnd: () => void

  constructor(request: KernelRequest, onEnd: () => void) {
    this.id = request.kernelId ?? randomUUID()
    this.name = request.name
    this.owner = request.owner
    this.request = request
    this.#onEnd = onEnd
  }

  attach(client: KernelClient): Attachment {
    this.clients.add(client)
    return {
      send: (channel, { header }) => void this.done.push(`${channel} ${header.msg_type}`),
      withdraw: () => {},
      fallenBehind: () => {},
      gone: () => {},
      caughtUp: () => {},
      detach: () => void this.clients.delete(client),
    }
  }

  async op(target: string, data: Readonly<Record<string, unknown>>, wishes: OpWishes): Promise<OpResult> {
    this.asked.push({ target, data, waitMs: wishes.waitMs })
    if (this.answer instanceof Error) throw this.answer
    return { result: this.answer, warnings: [] }
  }

  interrupt(): void {
    this.done.push('interrupt')
  }

  async restart(): Promise<void> {
    this.done.push('restart')
  }

  async shutdown(): Promise<void> {
    this.#onEnd()
    for (const client of this.clients) client.notice('ended')
  }
}

export class FakeKernels implements GatewayKernels {
  readonly counted = { undos: 3 }
  readonly snapshots = { count: 2, bytes: 8_192 }
  readonly specs: readonly string[]
  forked = 0
  returning = 0
  readonly #kernels = new Map<string, FakeKernel>()

  constructor(specs: readonly string[]) {
    this.specs = specs
  }

  async start(request: KernelRequest): Promise<FakeKernel> {
    if (!this.specs.includes(request.name)) {
      throw new SavepointError('unknown_kernelspec', `There is no kernelspec '${request.name}'.`, {
        name: request.name,
      })
    }
    const known = request.kernelId === null ? undefined : this.#kernels.get(request.kernelId)
    if (known !== undefined && known.owner !== request.owner) {
      throw new SavepointError('already_exists', 'There is a kernel of this id already.')
    }
    if (known !== undefined) return known
    const kernel = new FakeKernel(request, () => this.#kernels.delete(kernel.id))
    this.#kernels.set(kernel.id, kernel)
    return kernel
  }

  find(id: string): FakeKernel | undefined {
    return this.#kernels.get(id)
  }

  list(): readonly FakeKernel[] {
    return [...this.#kernels.values()]
  }

  async leave(kernel: { shutdown(): Promise<void> }): Promise<void> {
    await kernel.shutdown()
  }
}
