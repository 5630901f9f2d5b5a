/**
 * The Python side of one kernel: its workers and its checkpoint writers, as commands and events.
 *
 * Duties: take in who dials with an expected token; tie pids to generations; deliver what a worker printed before its
 * reply, and before the news of its death. What it stands on, a zygote of its own or one that serves many kernels, is
 * its backing.
 */

import { constants } from 'node:os'
import type { DebuggerCommand, Hello, WorkerCommand } from '../link/protocol.js'
import { workerEvent } from '../link/shapes.js'
import type { Backing, ReadyWorker, Resident, WorkersListener } from './backing.js'
import type { Connection, ConnectionHandlers } from './connection.js'
import { DebuggerLine } from './debugger-line.js'
import type { WorkersOptions } from './options.js'
import { BROKEN, CLOSED, newRunning, ring, type Running, type Told, type Trial } from './running.js'
import type { Seat, SeatPaths } from './seat.js'
import { Seats } from './seats.js'
import { WriterLine } from './writer-line.js'
import type { Death } from './zygote.js'

export class Workers implements Resident {
  readonly #options: WorkersOptions
  readonly #listener: WorkersListener
  readonly #backing: Backing
  readonly #debugger: DebuggerLine
  readonly #seats: Seats
  /** Tokens that may dial in, with the generation that they stand for. */
  readonly #expected = new Map<string, number>()
  readonly #writers: WriterLine
  readonly #running = new Map<number, Running>()
  /** What a worker was told that did not live to hear it, and the token of the one that is forked in its place. */
  #kept: { readonly token: string; readonly told: Told[] } | null = null
  #current: Running | null = null
  #started = false
  #stopped = false

  constructor(options: WorkersOptions, backing: Backing, listener: WorkersListener) {
    this.#options = options
    this.#listener = listener
    this.#backing = backing
    this.#debugger = new DebuggerLine(listener)
    this.#writers = new WriterLine(options.clock, options.limits.writerDialMs, listener)
    this.#seats = new Seats(options.clock, options.limits, (name, text) => listener.output(name, text))
  }

  /** Gets a zygote; see `Backing.start`. */
  async start(): Promise<void> {
    this.#started = true
    await this.#backing.start(this)
  }

  /** `start`, for a kernel that did not need Python until now; that it fails is told as the zygote's end. */
  awaken(): void {
    this.start().catch((error: unknown) => {
      this.#options.log('error', 'zygote_failed', { reason: error instanceof Error ? error.message : String(error) })
      this.#listener.zygoteDied()
    })
  }

  sit(paths: SeatPaths): void {
    if (!this.#stopped) this.#seats.open(paths)
  }

  fork(token: string, generation: number): void {
    const ready = this.#backing.takeReady?.(null) ?? null
    if (ready) this.#lease(ready, token, generation)
    else this.#fork(token, generation)
  }

  #fork(token: string, generation: number): void {
    const { cwd, workerEnvironment, connectionFile } = this.#options
    const { place, ...pipes } = this.#expect(token, generation)
    this.#backing.tell({
      kind: 'fork',
      kernel: place,
      token,
      env: workerEnvironment,
      cwd,
      ...pipes,
      ...(connectionFile === undefined ? {} : { connection_file: connectionFile }),
    })
  }

  /** A seat for a worker that is on its way. */
  #expect(token: string, generation: number): SeatPaths {
    const { place, stdout, stderr, interrupts } = this.#backing.place()
    const seat = { place, stdout, stderr, interrupts }
    this.#seats.expect(seat)
    this.#expected.set(token, generation)
    return seat
  }

  /** One command, and nobody waits for its answer: if the process is dead, what it was told is told to another. */
  #lease(ready: ReadyWorker, token: string, generation: number, again: readonly Told[] = []): void {
    const { cwd, workerEnvironment: env, connectionFile = null } = this.#options
    const running = newRunning(generation, ready.pid)
    running.place = ready.seat.place
    running.trial = { ready, token, told: [...again] }
    this.#running.set(ready.pid, running)
    this.#seats.adopt(ready.seat)
    this.#current = running
    const connection = ready.attach(this.#handlersFor(running))
    running.connection = connection
    // Whoever asked for it is in the middle of that, and hears of it as of a worker that dials in.
    queueMicrotask(() => {
      if (this.#current !== running || this.#stopped) return
      connection.together(() => {
        connection.send({ kind: 'lease', env, cwd, connection_file: connectionFile } as WorkerCommand)
        this.#listener.workerUp(token, ready.pid)
        for (const [command, parts] of again) connection.send(command, parts)
      })
    })
  }

  /** It died before it was leased, so that it has done nothing yet: another takes its place. */
  #replace({ ready, token, told }: Trial, { generation }: Running): void {
    this.#seats.leave(ready.seat.place)
    const next = this.#backing.takeReady?.(ready) ?? null
    if (next) {
      this.#lease(next, token, generation, told)
      return
    }
    this.#kept = { token, told }
    try {
      this.#fork(token, generation)
    } catch (error) {
      // Its zygote has gone, too. Nobody is there who could catch this.
      this.#failed(token, error)
    }
  }

  #failed(token: string, error: unknown): void {
    this.#expected.delete(token)
    this.#listener.workerFailed(token, error instanceof Error ? error.message : String(error))
  }

  wake(snapshot: string, token: string, generation: number): void {
    this.#expected.set(token, generation)
    this.#backing.tell({ kind: 'wake', kernel: this.place ?? '', snapshot })
  }

  /** Where frozen copies of the worker wait; null: there was no worker yet. */
  get place(): string | null {
    return this.#seats.present?.place ?? null
  }

  /** Has a frozen copy make another one, `name`; the listener hears of it. */
  copy(snapshot: string, name: string): void {
    this.#backing.tell({ kind: 'copy', kernel: this.place ?? '', snapshot, name })
  }

  /** The first worker is a frozen copy of another kernel's. */
  become(snapshot: string, token: string, generation: number): void {
    const { copiesAt = '', connectionFile: connection_file = null, workerEnvironment } = this.#options
    try {
      const { place, ...pipes } = this.#expect(token, generation)
      // All else is as the other kernel's code has left it.
      const env = { KERNEL_ID: workerEnvironment['KERNEL_ID'] ?? null }
      const as = { kernel: place, token, ...pipes, connection_file, env }
      this.#backing.tell({ kind: 'wake', kernel: copiesAt, snapshot, as })
    } catch (error) {
      // Its zygote has gone.
      this.#failed(token, error)
    }
  }

  discard(snapshots: readonly string[]): void {
    for (const kernel of this.#seats.places) this.#backing.tell({ kind: 'discard', kernel, snapshots })
  }

  cancelWriter(checkpoint: string): void {
    this.#writers.cancel(checkpoint)
  }

  kill(pid: number): void {
    this.#backing.tell({ kind: 'kill', pid, signal: constants.signals.SIGKILL })
  }

  nudge(pid: number): void {
    ring(pid)
  }

  interrupt(pid: number, seq: number): void {
    this.#seatOf(this.#running.get(pid))?.interrupter.interrupt(pid, seq)
  }

  callDebugger(pid: number, token: string): void {
    this.#debugger.call(token)
    this.command({ kind: 'debug', token }, [])
    ring(pid)
  }

  tellDebugger(command: DebuggerCommand, parts: readonly Buffer[]): void {
    this.#debugger.tell(command, parts)
  }

  dismissDebugger(): void {
    this.#debugger.dismiss()
  }

  command(command: WorkerCommand, parts: readonly Buffer[]): void {
    if (command.kind === 'checkpoint') this.#writers.expect(command.token, command.checkpoint)
    const current = this.#current
    const told = current === null ? this.#kept?.told : current.trial?.told
    told?.push([command, parts])
    if (command.kind === 'request' && command.behind !== undefined) {
      const mark = this.#seatOf(current ?? undefined)?.mark
      const marked: WorkerCommand = { ...command, ...(mark === undefined ? {} : { mark }) }
      current?.connection?.send(marked, parts)
      return
    }
    current?.connection?.send(command, parts)
  }

  /** Stops reading from the worker, which then waits as soon as the sockets' buffers are full. */
  pause(): void {
    this.#current?.connection?.pause()
    this.#debugger.pause()
    this.#seats.pause()
  }

  resume(): void {
    this.#current?.connection?.resume()
    this.#debugger.resume()
    this.#seats.resume()
  }

  /** Ends workers and snapshots, and the zygote as the backing sees fit. `stopped` follows. */
  stop(linger: boolean): void {
    if (this.#started) {
      this.#backing.stop(linger)
      return
    }
    // A lazy kernel that nobody has woken: below, there is nobody yet who would tell that all has ended.
    this.#backing.abandon()
    this.ended()
  }

  /** Ends what may still run, by force. Nothing is told any more; after an orderly stop there is nothing to do. */
  abandon(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#backing.abandon()
    this.#letGo()
  }

  // ---------------------------------------------------------------------------------------- what the backing tells

  zygoteReady(kernelInfo: Buffer): void {
    if (!this.#stopped) this.#listener.zygoteReady(kernelInfo)
  }

  zygoteDied(): void {
    if (!this.#stopped) this.#listener.zygoteDied()
  }

  ended(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#letGo()
    this.#listener.stopped()
  }

  forked(token: string, pid: number): void {
    const generation = this.#expected.get(token)
    if (generation !== undefined) this.#running.set(pid, newRunning(generation, pid))
  }

  forkFailed(token: string, reason: string): void {
    if (this.#expected.delete(token)) this.#listener.workerFailed(token, reason)
  }

  died(pid: number, death: Death): void {
    const running = this.#running.get(pid)
    if (!running) return
    running.death = death
    if (this.#current === running) this.#seatOf(running)?.interrupter.noticed()
    // Its last words are still in the socket; a closed connection says that all of them were heard.
    running.cancel = this.#options.clock.after(this.#options.limits.deathMs, () => {
      running.connection?.close()
      running.connection = null
      this.#bury(running)
    })
    this.#bury(running)
  }

  snapshotGone(snapshot: string): void {
    this.#listener.snapshotGone(snapshot)
  }

  copied(name: string, error: string | null): void {
    this.#listener.copied(name, error)
  }

  admit(hello: Hello, connect: (handlers: ConnectionHandlers) => Connection): boolean {
    if (hello.role === 'writer') return this.#writers.admit(hello, connect)
    if (hello.role === 'debugger') return this.#debugger.admit(hello, connect)
    const generation = this.#expected.get(hello.token)
    if (generation === undefined || hello.role !== 'worker') return false
    this.#expected.delete(hello.token)
    const running = this.#running.get(hello.pid) ?? newRunning(generation, hello.pid)
    this.#running.set(hello.pid, running)
    running.place = hello.kernel
    this.#seats.arrive(hello.kernel)
    this.#seatOf(running)?.reset()
    this.#current = running
    running.connection = connect(this.#handlersFor(running))
    this.#listener.workerUp(hello.token, hello.pid)
    const told = this.#kept?.token === hello.token ? this.#kept.told : []
    this.#kept = null
    for (const [command, parts] of told) running.connection.send(command, parts)
    return true
  }

  // ------------------------------------------------------------------------------------------------------- internal

  #handlersFor(running: Running): ConnectionHandlers {
    return {
      onFrame: ({ envelope, parts }) => {
        if (running.why !== null) return
        const event = workerEvent(envelope, parts)
        if (event === null) {
          this.#options.log('error', 'link_bad_event', { kind: envelope.kind.slice(0, 100) })
          this.#endBroken(running, BROKEN)
          return
        }
        if (event.kind === 'reply') this.#seatOf(running)?.interrupter.answered(event.seq)
        if (event.kind === 'interrupted') this.#seatOf(running)?.interrupter.noticed()
        if (event.kind === 'leased') {
          running.trial = null
          return
        }
        // What C code and child processes wrote before the cell ended must not come after its reply.
        if (event.kind === 'reply' || event.kind === 'input_request') this.#seats.drain()
        this.#listener.workerSaid(running.generation, event, parts)
        if (event.kind === 'reply' && event.begins !== undefined) this.#seatOf(running)?.passed()
      },
      onBroken: () => this.#endBroken(running, BROKEN),
      onClose: () => {
        running.connection = null
        if (running.trial && !this.#stopped) {
          running.cancel?.()
          this.#running.delete(running.pid)
          if (this.#current === running) this.#current = null
          this.#replace(running.trial, running)
          return
        }
        this.#bury(running)
        // Its end is on the way. If it is not, user code closed the connection, and nobody can hear of it any more.
        this.#options.clock.after(this.#options.limits.deathMs, () => this.#endBroken(running, CLOSED))
      },
    }
  }

  /** Ends a worker that cannot be talked to. */
  #endBroken(running: Running, why: string): void {
    if (running.death !== null || running.why !== null || this.#stopped) return
    running.why = why
    this.kill(running.pid)
    running.connection?.close()
  }

  #seatOf(running: Running | undefined): Seat | null {
    return this.#seats.at(running?.place ?? null)
  }

  #letGo(): void {
    this.#debugger.dismiss()
    for (const { connection, cancel } of this.#running.values()) {
      cancel?.()
      connection?.close()
    }
    this.#seats.close()
  }

  /** Tells of a death once, when both the process and its connection are gone. */
  #bury(running: Running): void {
    if (running.death === null || running.connection !== null || !this.#running.has(running.pid)) return
    running.cancel?.()
    this.#running.delete(running.pid)
    if (this.#current === running) {
      this.#current = null
      this.#seats.drain()
    }
    for (const [token, generation] of this.#expected) {
      if (generation !== running.generation) continue
      this.#expected.delete(token)
      this.#listener.workerFailed(token, 'it ended before it was ready')
    }
    const { death, why } = running
    this.#listener.workerDied(running.generation, why === null ? death : { ...death, why })
  }
}
