/**
 * All executions by REST: those of each kernel, and how many of them are kept.
 *
 * What has ended can be read until newer ones need the room, or its kernel ends.
 */

import type { Clock } from '../../clock.js'
import type { Log } from '../../log.js'
import { SavepointError } from '../../errors.js'
import { isOver, newExecution, type Execution, type RunRequest } from './execution.js'
import { KernelRuns, REST, type Run } from './kernel-runs.js'
import type { ExecutionLimits } from './limits.js'
import { modelOf, summaryOf } from './model.js'
import { ExecutionRecords } from './records.js'
import type { RunKernel } from './ports.js'

export interface ExecutionsParts {
  readonly clock: Clock
  readonly limits: ExecutionLimits
  readonly log: Log
  /** A new id, never the same. */
  readonly mint: () => string
  /** Whether there is a kernel of that id. */
  readonly exists: (kernelId: string) => boolean
}

export class Executions {
  readonly #parts: ExecutionsParts
  readonly #kernels = new Map<string, KernelRuns>()
  /** Those that have ended, the oldest first, with what they hold. */
  readonly #ended = new Map<string, { readonly kernelId: string; readonly bytes: number }>()
  #bytes = 0
  #sweptAt: number

  constructor(parts: ExecutionsParts) {
    this.#parts = parts
    this.#sweptAt = parts.clock.now()
  }

  /**
   * Runs code in a kernel; asked twice with one key, it is run once. Throws `queue_full`, `already_exists` for a key
   * that was used for other code, `kernel_dead`, or what the kernel says. `isKept`: a later process of the gateway goes
   * on with what is run in this kernel.
   */
  start(kernel: RunKernel, username: string, request: RunRequest, isKept = true): Execution {
    this.#sweep()
    const runs = this.#runsOf(kernel, username, isKept)
    const before = this.#askedBefore(runs, request)
    if (before) return before
    if (kernel.phase === 'dead') {
      throw new SavepointError('kernel_dead', 'This kernel is dead. Restart it, or start another one.')
    }
    const { waitingMax } = this.#parts.limits
    if (runs.openCount >= waitingMax) {
      throw new SavepointError('queue_full', `${waitingMax} executions wait for this kernel. Wait for one to end.`)
    }
    const execution = newExecution(`ex_${this.#parts.mint()}`, kernel.id, request, this.#parts.clock.date())
    runs.send(execution)
    return execution
  }

  /** Throws `unknown_execution`. */
  get(kernelId: string, id: string): Run {
    const runs = this.#kernels.get(kernelId)
    const isWhole = runs?.isWhole(id) === true
    const run = runs?.get(id)
    // It holds more from now on.
    if (run && !isWhole) this.#keep(run.execution)
    if (run) return run
    throw new SavepointError('unknown_execution', 'This kernel has no such execution, or has forgotten it.', { id })
  }

  list(kernelId: string): Record<string, unknown>[] {
    const runs = this.#kernels.get(kernelId)
    return runs?.list().map(({ execution }) => summaryOf(execution, runs.positionOf(execution))) ?? []
  }

  model(execution: Execution): Record<string, unknown> {
    return modelOf(execution, this.#kernels.get(execution.kernelId)?.positionOf(execution) ?? 0)
  }

  cancel(kernelId: string, id: string): void {
    const run = this.get(kernelId, id)
    this.#kernels.get(kernelId)?.cancel(run)
  }

  /** Throws `unknown_execution`, and `already_settled` if nothing is asked. */
  answer(kernelId: string, id: string, value: string): void {
    const run = this.get(kernelId, id)
    this.#kernels.get(kernelId)?.answer(run, value)
  }

  /** Resolves when it has ended, when it asks for input, or after that time. */
  wait(execution: Execution, ms: number): Promise<void> {
    const run = this.#kernels.get(execution.kernelId)?.get(execution.id)
    if (!run || ms <= 0 || isOver(execution) || execution.question) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        cancel()
        stop()
        resolve()
      }
      const cancel = this.#parts.clock.after(ms, done)
      const stop = run.feed.listen(({ event }) => {
        if (event === 'end' || event === 'input_request') done()
      })
    })
  }

  /** Goes on with those that an earlier process of the gateway has left. A kernel that sleeps comes back for them. */
  takeUp(kernel: RunKernel): void {
    if (kernel.folder === null || this.#kernels.has(kernel.id)) return
    const runs = this.#runsOf(kernel, kernel.owner, true)
    for (const { execution } of runs.takeUp(kernel.phase !== 'dead')) this.#keep(execution)
  }

  /** The kernel is gone: so are its executions. */
  forgetKernel(kernelId: string): void {
    const runs = this.#kernels.get(kernelId)
    if (!runs) return
    runs.notice('ended')
    for (const { execution } of runs.list()) this.#forget(execution.id)
    this.#kernels.delete(kernelId)
  }

  /** Kernels end without telling those that are not attached; now and then somebody has to look. */
  #sweep(): void {
    const now = this.#parts.clock.now()
    if (now - this.#sweptAt < this.#parts.limits.sweepMs) return
    this.#sweptAt = now
    for (const id of [...this.#kernels.keys()]) if (!this.#parts.exists(id)) this.forgetKernel(id)
  }

  #runsOf(kernel: RunKernel, username: string, isKept: boolean): KernelRuns {
    const known = this.#kernels.get(kernel.id)
    if (known) return known
    const records = kernel.folder === null || !isKept ? null : new ExecutionRecords(kernel.folder, this.#parts.log)
    const runs = new KernelRuns(`rest_${this.#parts.mint()}`, {
      kernelId: kernel.id,
      journal: kernel.journal,
      records,
      attach: (client) => kernel.attach(client, { withdraws: true, key: REST }),
      username,
      limits: this.#parts.limits,
      date: () => this.#parts.clock.date(),
      onOver: (execution) => this.#keep(execution),
    })
    this.#kernels.set(kernel.id, runs)
    return runs
  }

  #askedBefore(runs: KernelRuns, { idempotencyKey, code }: RunRequest): Execution | null {
    if (idempotencyKey === null) return null
    const before = runs.list().find(({ execution }) => execution.request.idempotencyKey === idempotencyKey)
    if (!before) return null
    if (before.execution.request.code === code)
      return this.get(before.execution.kernelId, before.execution.id).execution
    throw new SavepointError('already_exists', 'This idempotency_key was used for other code. Use another one.', {
      execution: before.execution.id,
    })
  }

  #keep(execution: Execution): void {
    const { kernelId, id } = execution
    const feedBytes = this.#kernels.get(kernelId)?.find(id)?.feed.bytes ?? 0
    const bytes = execution.outputs.bytes + execution.request.code.length + feedBytes
    this.#bytes += bytes - (this.#ended.get(id)?.bytes ?? 0)
    this.#ended.set(id, { kernelId, bytes })
    const { keptMax, keptBytesMax } = this.#parts.limits
    const ofKernel =
      this.#kernels
        .get(kernelId)
        ?.list()
        .filter((run) => isOver(run.execution)) ?? []
    for (const { execution: old } of ofKernel.slice(0, Math.max(0, ofKernel.length - keptMax))) this.#forget(old.id)
    for (const old of this.#ended.keys()) {
      if (this.#bytes <= keptBytesMax) break
      if (old !== id) this.#forget(old)
    }
  }

  #forget(id: string): void {
    const ended = this.#ended.get(id)
    if (!ended) return
    this.#ended.delete(id)
    this.#bytes -= ended.bytes
    this.#kernels.get(ended.kernelId)?.forget(id)
  }
}
