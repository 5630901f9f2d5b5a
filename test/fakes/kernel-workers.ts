/** Workers of a gateway's kernels that do what a test says: they come up, or do not; they end when told to, or do not. */

import type { KernelEvent } from '../../src/kernel/effects.js'
import type { WorkerCommand } from '../../src/link/protocol.js'
import type { KernelWorkers, NewWorkers, WorkerNeeds } from '../../src/host/kernels/ports.js'

export class FakeWorkers implements KernelWorkers {
  readonly needs: WorkerNeeds
  readonly deliver: (event: KernelEvent) => void
  /** Where the copy waits that is its first worker. */
  readonly copiesAt: string | undefined
  readonly commands: string[] = []
  readonly place = 'w1'
  paused = false
  abandoned = false
  readonly #farm: FakeFarm
  #pid = 0
  #generation = 0

  constructor(farm: FakeFarm, needs: WorkerNeeds, deliver: (event: KernelEvent) => void, copiesAt?: string) {
    this.#farm = farm
    this.needs = needs
    this.deliver = deliver
    this.copiesAt = copiesAt
  }

  async start(): Promise<void> {
    if (this.#farm.failure) throw this.#farm.failure
    if (this.copiesAt !== undefined) await Promise.resolve()
    if (this.#farm.starts) this.comesUp()
  }

  comesUp(): void {
    this.deliver({ on: 'zygote_ready', kernelInfo: Buffer.from('{"status":"ok"}') })
  }

  fork(token: string, generation: number): void {
    this.#generation = generation
    this.#pid = this.#farm.nextPid()
    this.deliver({ on: 'worker_up', token, pid: this.#pid })
  }

  /** Everything below it is gone. */
  lost(): void {
    this.deliver({ on: 'zygote_died' })
  }

  command(command: WorkerCommand): void {
    const { kind } = command
    this.commands.push(kind)
    if (command.kind === 'snapshot') {
      const event = { kind: 'taken', snapshot: command.permit.snapshot, pid: 1, ms: 1 } as const
      this.deliver({ on: 'worker', generation: this.#generation, event, parts: [] })
    }
    if (kind === 'stop' && this.#farm.ends) {
      this.deliver({ on: 'worker_died', generation: this.#generation, cause: { code: 0, signal: null } })
    }
  }

  stop(): void {
    if (this.#farm.ends) this.deliver({ on: 'workers_stopped' })
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
  }

  abandon(): void {
    this.abandoned = true
  }

  awaken(): void {}
  wake(): void {}
  copy(_snapshot: string, name: string): void {
    this.deliver({ on: 'copied', name, error: null })
  }
  become(snapshot: string, token: string, generation: number): void {
    this.#farm.token = token
    this.#farm.became.push([this.copiesAt ?? '', snapshot])
    if (snapshot === this.#farm.damaged) this.deliver({ on: 'worker_failed', token, reason: 'it is damaged' })
    else if (this.#farm.becomes) this.fork(token, generation)
  }
  discard(snapshots: readonly string[]): void {
    this.#farm.discarded.push(...snapshots)
  }
  cancelWriter(): void {}
  kill(): void {}
  interrupt(): void {
    this.commands.push('interrupt')
  }
  nudge(): void {}
  callDebugger(): void {}
  tellDebugger(): void {}
  dismissDebugger(): void {}
}

export class FakeFarm {
  readonly made: FakeWorkers[] = []
  /** A worker comes up at once. */
  starts = true
  /** A worker ends when it is told to. */
  ends = true
  failure: Error | null = null
  /** Copies become workers. */
  becomes = true
  /** The copy that cannot. */
  damaged: string | null = null
  /** Place and name of each copy that was to become a worker, and names of those that were given up. */
  readonly became: (readonly [string, string])[] = []
  readonly discarded: string[] = []
  /** What the latest of them was to say. */
  token = ''
  #pids = 100

  readonly newWorkers: NewWorkers = (needs, deliver, copiesAt) => {
    const workers = new FakeWorkers(this, needs, deliver, copiesAt)
    this.made.push(workers)
    return workers
  }

  get latest(): FakeWorkers {
    const workers = this.made.at(-1)
    if (!workers) throw new Error('No workers were made.')
    return workers
  }

  nextPid(): number {
    return (this.#pids += 1)
  }
}
