/** Workers of a gateway's kernels that do what a test says: they come up, or do not; they end when told to, or do not. */

import type { KernelEvent } from '../../src/kernel/effects.js'
import type { KernelWorkers, NewWorkers, WorkerNeeds } from '../../src/host/kernels/ports.js'

export class FakeWorkers implements KernelWorkers {
  readonly needs: WorkerNeeds
  readonly deliver: (event: KernelEvent) => void
  readonly commands: string[] = []
  readonly place = 'w1'
  paused = false
  abandoned = false
  readonly #farm: FakeFarm
  #pid = 0
  #generation = 0

  constructor(farm: FakeFarm, needs: WorkerNeeds, deliver: (event: KernelEvent) => void) {
    this.#farm = farm
    this.needs = needs
    this.deliver = deliver
  }

  async start(): Promise<void> {
    if (this.#farm.failure) throw this.#farm.failure
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

  command({ kind }: { readonly kind: string }): void {
    this.commands.push(kind)
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
  copy(): void {}
  become(_snapshot: string, token: string, generation: number): void {
    this.fork(token, generation)
  }
  discard(): void {}
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
  #pids = 100

  readonly newWorkers: NewWorkers = (needs, deliver) => {
    const workers = new FakeWorkers(this, needs, deliver)
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
