/**
 * `POST /api/execute`: a kernel for one run of code, or for all runs that name the same session.
 *
 * The kernel of a run without a session is made for it and ended after it, so nothing is left for anybody else. One of
 * a session is kept until it has not been used for a while, or there are too many.
 */

import type { Clock } from '../../clock.js'
import { SavepointError } from '../../errors.js'
import { isOver, type Execution, type RunRequest } from './execution.js'
import type { Executions } from './executions.js'
import type { ExecutionLimits } from './limits.js'
import type { RunKernel, RunKernels } from './ports.js'
import { keepPurpose, purposeIn } from './purpose.js'

export interface OneShotsParts {
  readonly kernels: RunKernels
  readonly executions: Executions
  readonly clock: Clock
  readonly limits: ExecutionLimits
  /** Something of ours went wrong; `event` says what, for the log. */
  readonly onFault: (event: string, error: unknown) => void
}

export interface OneShot {
  readonly kernelName: string
  /** Subject of the token. */
  readonly owner: string
  /** What names the kernel that keeps the variables; null: one of its own. */
  readonly affinity: string | null
  readonly run: RunRequest
  /** Nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

interface Kept {
  readonly kernel: Promise<RunKernel>
  users: number
  stopWaiting: () => void
}

interface Ran {
  readonly model: Record<string, unknown>
  readonly bytes: number
}

interface Answer {
  /** Kernelspec, session and code. */
  readonly asked: string
  readonly model: Promise<Record<string, unknown>>
  bytes: number
}

export class OneShots {
  readonly #parts: OneShotsParts
  /** Kernels by owner, session and kernelspec; the one that was not used for the longest time first. */
  readonly #kept = new Map<string, Kept>()
  readonly #answers = new Map<string, Answer>()

  constructor(parts: OneShotsParts) {
    this.#parts = parts
  }

  /** The execution's model, when it has ended. Rejects with what the kernels say, `timeout` or `cancelled`. */
  async run(shot: OneShot): Promise<Record<string, unknown>> {
    const { idempotencyKey, code } = shot.run
    const asked = JSON.stringify([shot.kernelName, shot.affinity, code])
    if (idempotencyKey === null) return (await this.#lease(shot)).model
    const key = JSON.stringify([shot.owner, idempotencyKey])
    const before = this.#answers.get(key)
    if (before && before.asked !== asked) {
      throw new SavepointError('already_exists', 'This idempotency_key was used for another request. Use another one.')
    }
    if (before) return await before.model
    // Others may wait for the same answer: that one of them hangs up does not end it.
    const leased = this.#lease({ ...shot, signal: new AbortController().signal })
    const answer: Answer = { asked, model: leased.then(({ model }) => model), bytes: asked.length }
    // Perhaps nobody else waits for it; the failure is told below.
    answer.model.catch(() => {})
    this.#answers.set(key, answer)
    try {
      answer.bytes += (await leased).bytes
      this.#boundAnswers()
    } catch (error) {
      // It was not run, or nobody knows what became of it: asking again is a new run.
      this.#answers.delete(key)
      throw error
    }
    return await answer.model
  }

  /**
   * Keeps the kernel of a session that an earlier process of the gateway had, and ends one of a single run: whoever asked
   * for that was cut off with the gateway.
   */
  takeUp(kernel: RunKernel): void {
    const purpose = kernel.folder === null ? null : purposeIn(kernel.folder)
    if (purpose === null) return
    if (purpose.session === null) return void this.#end(kernel)
    const key = JSON.stringify([kernel.owner, purpose.session, kernel.name])
    if (this.#kept.has(key)) return
    const kept = { kernel: Promise.resolve(kernel), users: 0, stopWaiting: () => {} }
    this.#kept.set(key, kept)
    this.#dropWhenIdle(key, kept)
  }

  /** Ends the kernels that are kept. */
  async close(): Promise<void> {
    const kept = [...this.#kept.keys()]
    await Promise.all(kept.map(async (key) => await this.#drop(key)))
  }

  async #lease(shot: OneShot): Promise<Ran> {
    if (shot.affinity !== null) return await this.#runKept(shot, shot.affinity)
    const kernel = await this.#start(shot)
    this.#keepPurpose(kernel, null)
    try {
      return await this.#runIn(kernel, shot)
    } finally {
      void this.#end(kernel)
    }
  }

  async #runKept(shot: OneShot, affinity: string): Promise<Ran> {
    const key = JSON.stringify([shot.owner, affinity, shot.kernelName])
    const kept = this.#kept.get(key) ?? this.#newKept(shot)
    kept.users += 1
    kept.stopWaiting()
    // Last in the order of use.
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    let isGone = false
    try {
      const kernel = await kept.kernel
      isGone = !this.#lives(kernel.id)
      if (!isGone) return await this.#runIn(kernel, shot)
      void this.#end(kernel)
    } catch (error) {
      // What could not be started is tried anew by the next one.
      isGone = await kept.kernel.then(
        () => false,
        () => true,
      )
      throw error
    } finally {
      kept.users -= 1
      if (isGone && this.#kept.get(key) === kept) this.#kept.delete(key)
      else if (kept.users === 0) this.#dropWhenIdle(key, kept)
    }
    return await this.#runKept(shot, affinity)
  }

  #lives(id: string): boolean {
    const kernel = this.#parts.kernels.find(id)
    return kernel !== undefined && kernel.phase !== 'dead'
  }

  #dropWhenIdle(key: string, kept: Kept): void {
    const { clock, limits } = this.#parts
    kept.stopWaiting = clock.after(limits.sessionIdleS * 1_000, () => void this.#drop(key))
  }

  #newKept(shot: OneShot): Kept {
    const { sessionsMax } = this.#parts.limits
    if (this.#kept.size >= sessionsMax) {
      const [idle] = [...this.#kept].find(([, { users }]) => users === 0) ?? []
      if (idle === undefined) {
        throw new SavepointError('quota_exceeded', `${sessionsMax} sessions are at work. Wait for one to end.`)
      }
      void this.#drop(idle)
    }
    const kernel = this.#start(shot)
    kernel.then(
      (started) => this.#keepPurpose(started, shot.affinity),
      // Whoever waits for it hears of that.
      () => {},
    )
    return { kernel, users: 0, stopWaiting: () => {} }
  }

  #start({ kernelName, owner, affinity }: OneShot): Promise<RunKernel> {
    const nothing = { kernelId: null, environment: {}, path: null, cwd: null }
    // A kernel that runs one piece of code has nothing to go back to.
    const guard = affinity === null ? false : null
    return this.#parts.kernels.start({ ...nothing, name: kernelName, owner, guard, affinity })
  }

  #keepPurpose({ folder }: RunKernel, session: string | null): void {
    try {
      if (folder !== null) keepPurpose(folder, { session })
    } catch (error) {
      // After a restart of the gateway it is a kernel like others.
      this.#parts.onFault('purpose_not_kept', error)
    }
  }

  async #runIn(kernel: RunKernel, shot: OneShot): Promise<Ran> {
    const { executions, limits } = this.#parts
    const given = shot.run.wishes['timeout_s']
    const timeoutS = typeof given === 'number' ? given : limits.executeTimeoutS
    const wishes = { ...shot.run.wishes, timeout_s: timeoutS }
    // The key is ours: it stands for the whole request, not for a run in this kernel.
    const execution = executions.start(kernel, shot.owner, { ...shot.run, wishes, idempotencyKey: null }, false)
    const withdraw = (): void => executions.cancel(kernel.id, execution.id)
    shot.signal.addEventListener('abort', withdraw, { once: true })
    if (shot.signal.aborted) withdraw()
    await executions.wait(execution, timeoutS * 1_000 + limits.executeGraceMs)
    shot.signal.removeEventListener('abort', withdraw)
    if (isOver(execution)) return { model: executions.model(execution), bytes: execution.outputs.bytes }
    return this.#giveUp(kernel, execution)
  }

  #giveUp(kernel: RunKernel, execution: Execution): never {
    this.#parts.executions.cancel(kernel.id, execution.id)
    if (execution.question) {
      throw new SavepointError('not_available', 'Nobody can answer input() here. Run this in a kernel of your own.')
    }
    throw new SavepointError('timeout', 'The code did not end after its deadline, nor when it was interrupted.')
  }

  async #drop(key: string): Promise<void> {
    const kept = this.#kept.get(key)
    if (!kept) return
    this.#kept.delete(key)
    kept.stopWaiting()
    const kernel = await kept.kernel.catch(() => null)
    if (kernel) await this.#end(kernel)
  }

  async #end(kernel: RunKernel): Promise<void> {
    try {
      await kernel.shutdown()
    } catch (error) {
      this.#parts.onFault('kernel_not_ended', error)
    } finally {
      this.#parts.executions.forgetKernel(kernel.id)
    }
  }

  #boundAnswers(): void {
    const { answersKeptMax, keptBytesMax } = this.#parts.limits
    let bytes = 0
    for (const answer of this.#answers.values()) bytes += answer.bytes
    for (const [key, answer] of this.#answers) {
      if (this.#answers.size <= answersKeptMax && bytes <= keptBytesMax / 4) return
      this.#answers.delete(key)
      bytes -= answer.bytes
    }
  }
}
