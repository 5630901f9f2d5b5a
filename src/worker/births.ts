/** How the workers of one kernel come to be: leased, forked, or woken; and who may dial in as which. */

import type { Numbered, WorkerCommand } from '../link/protocol.js'
import type { Backing, ReadyWorker, WorkersListener } from './backing.js'
import type { WorkersOptions } from './options.js'
import type { Processes } from './processes.js'
import { newRunning, type Running, type Trial } from './running.js'
import type { SeatPaths } from './seat.js'
import type { Seats } from './seats.js'
import type { Told } from './worker-line.js'

export interface BirthsParts {
  readonly options: WorkersOptions
  readonly backing: Backing
  readonly seats: Seats
  readonly processes: Processes
  readonly listener: WorkersListener
  /** From now on commands go to it; null: to nobody. */
  employ(running: Running | null): void
  isEmployed(running: Running): boolean
  /** It is there; the kernel knows it by that token. */
  up(running: Running, token: string): void
}

export class Births {
  readonly #parts: BirthsParts
  /** Tokens that may dial in, with the generation that they stand for. */
  readonly #expected = new Map<string, number>()
  /** What a worker was told that did not live to hear it, and the token of the one that is forked in its place. */
  #kept: { readonly token: string; readonly told: Told[] } | null = null

  constructor(parts: BirthsParts) {
    this.#parts = parts
  }

  /** A ready worker, else a new one. */
  fork(token: string, generation: number): void {
    const ready = this.#parts.backing.takeReady?.(null) ?? null
    if (ready) this.#lease(ready, token, generation)
    else this.#fork(token, generation)
  }

  /** A frozen copy of the worker that sits in `place`. */
  wake(place: string, snapshot: string, token: string, generation: number): void {
    this.#expected.set(token, generation)
    this.#parts.backing.tell({ kind: 'wake', kernel: place, snapshot })
  }

  /** A frozen copy of another kernel's. */
  become(snapshot: string, token: string, generation: number): void {
    const { copiesAt = '', connectionFile: connection_file = null, workerEnvironment } = this.#parts.options
    try {
      const { place, ...pipes } = this.#seat(token, generation)
      // All else is as the other kernel's code has left it.
      const env = { KERNEL_ID: workerEnvironment['KERNEL_ID'] ?? null }
      const as = { kernel: place, token, ...pipes, connection_file, env }
      this.#parts.backing.tell({ kind: 'wake', kernel: copiesAt, snapshot, as })
    } catch (error) {
      // Its zygote has gone.
      this.#failed(token, error)
    }
  }

  /** From now on who has this token may dial in, once, as the worker of that generation. */
  expect(token: string, generation: number): void {
    this.#expected.set(token, generation)
  }

  /** The generation of who dials in with this token. */
  expects(token: string): number | undefined {
    return this.#expected.get(token)
  }

  /** It dialled in: what the one before was told that it takes the place of. */
  arrived(token: string): readonly Told[] {
    this.#expected.delete(token)
    const told = this.#kept?.token === token ? this.#kept.told : []
    this.#kept = null
    return told
  }

  /** There is no worker at the moment. */
  keep(command: Numbered<WorkerCommand>, parts: readonly Buffer[]): void {
    this.#kept?.told.push([command, parts])
  }

  forked(token: string, pid: number): void {
    const generation = this.#expected.get(token)
    if (generation !== undefined) this.#parts.processes.add(newRunning(generation, pid, token))
  }

  forkFailed(token: string, reason: string): void {
    if (this.#expected.delete(token)) this.#parts.listener.workerFailed(token, reason)
  }

  /** A worker of that generation has ended; whoever was to be it does not come. */
  ended(generation: number): void {
    for (const [token, each] of this.#expected)
      if (each === generation) this.forkFailed(token, 'it ended before it was ready')
  }

  /** It died before it was leased, so that it has done nothing yet: another takes its place. */
  replace({ ready, token, told }: Trial, running: Running): void {
    const { backing, seats, isEmployed, employ } = this.#parts
    if (isEmployed(running)) employ(null)
    const { generation } = running
    seats.leave(ready.seat.place)
    const next = backing.takeReady?.(ready) ?? null
    if (next) this.#lease(next, token, generation, told)
    else this.forkAgain(token, generation, told)
  }

  /** Another one for one that has done nothing yet, with what that was told. */
  forkAgain(token: string, generation: number, told: Told[]): void {
    this.#kept = { token, told }
    try {
      this.#fork(token, generation)
    } catch (error) {
      // Its zygote has gone, too. Nobody is there who could catch this.
      this.#failed(token, error)
    }
  }

  #fork(token: string, generation: number): void {
    const { cwd, workerEnvironment, connectionFile, ownLimits } = this.#parts.options
    const { place, ...pipes } = this.#seat(token, generation)
    this.#parts.backing.tell({
      kind: 'fork',
      kernel: place,
      token,
      env: workerEnvironment,
      cwd,
      ...pipes,
      ...(connectionFile === undefined ? {} : { connection_file: connectionFile }),
      ...(ownLimits ? { limits: ownLimits } : {}),
    })
  }

  /** One command, and nobody waits for its answer: if the process is dead, what it was told is told to another. */
  #lease(ready: ReadyWorker, token: string, generation: number, again: readonly Told[] = []): void {
    const { options, processes, seats, employ, isEmployed, up } = this.#parts
    const { cwd, workerEnvironment: env, connectionFile: connection_file = null, ownLimits } = options
    const limits = ownLimits ? { limits: ownLimits } : {}
    const running = newRunning(generation, ready.pid, ready.token)
    running.place = ready.seat.place
    running.trial = { ready, token, told: [...again] }
    processes.add(running)
    seats.adopt(ready.seat)
    employ(running)
    processes.connect(running, (handlers) => ready.attach(handlers))
    const { line } = running
    // Whoever asked for it is in the middle of that, and hears of it as of a worker that dials in.
    queueMicrotask(() => {
      if (!isEmployed(running)) return
      line.together(() => {
        line.send({ kind: 'lease', env, cwd, connection_file, ...limits }, [])
        up(running, token)
        for (const [command, parts] of again) line.send(command, parts)
      })
    })
  }

  /** A seat for a worker that is on its way. */
  #seat(token: string, generation: number): SeatPaths {
    const { place, stdout, stderr, interrupts } = this.#parts.backing.place()
    const seat = { place, stdout, stderr, interrupts }
    this.#parts.seats.expect(seat)
    this.#expected.set(token, generation)
    return seat
  }

  #failed(token: string, error: unknown): void {
    this.#expected.delete(token)
    this.#parts.listener.workerFailed(token, error instanceof Error ? error.message : String(error))
  }
}
