/**
 * The Python side of one kernel: its workers and its checkpoint writers, as commands and events.
 *
 * Duties: take in who dials with an expected token; tie pids to generations; deliver what a worker printed before its
 * reply, and before the news of its death. What it stands on, a zygote of its own or one that serves many kernels, is
 * its backing.
 */

import { constants } from 'node:os'
import type { DebuggerCommand, Hello, Numbered, WorkerCommand, WorkerEvent } from '../link/protocol.js'
import type { Backing, Resident, WorkersListener } from './backing.js'
import { Births } from './births.js'
import type { Death } from './death.js'
import { DebuggerLine } from './debugger-line.js'
import type { Admission } from './door.js'
import type { Held, Outstanding, Placement, WorkerMemory } from './memory.js'
import type { WorkersOptions } from './options.js'
import { Processes, type Connect } from './processes.js'
import { marked } from './fifo.js'
import { newRunning, ring, type Running } from './running.js'
import type { Seat, SeatPaths } from './seat.js'
import { Seats } from './seats.js'
import { TakeUp } from './take-up.js'
import { WriterLine } from './writer-line.js'

export class Workers implements Resident {
  readonly #options: WorkersOptions
  readonly #listener: WorkersListener
  readonly #backing: Backing
  readonly #debugger: DebuggerLine
  readonly #seats: Seats
  readonly #births: Births
  readonly #writers: WriterLine
  readonly #processes: Processes
  #current: Running | null = null
  #takeUp: TakeUp | null = null
  #started = false
  #stopped = false

  constructor(options: WorkersOptions, backing: Backing, listener: WorkersListener) {
    this.#options = options
    this.#listener = listener
    this.#backing = backing
    this.#debugger = new DebuggerLine(listener)
    this.#writers = new WriterLine(options.clock, options.limits.writerDialMs, listener)
    this.#seats = new Seats(options.clock, options.limits, (...read) => listener.output(...read))
    this.#processes = new Processes({
      ...options,
      redial: (options.orphanMs ?? 0) > 0,
      kill: (pid) => this.kill(pid),
      heard: (running, event, parts, frame) => this.#heard(running, event, parts, frame),
      stillborn: (running, trial) => this.#births.replace(trial, running),
      back: (running) => this.#back(running),
      gone: (running, death) => this.#gone(running, death),
    })
    this.#births = new Births({
      options,
      backing,
      seats: this.#seats,
      processes: this.#processes,
      listener,
      employ: (running) => (this.#current = running),
      isEmployed: (running) => this.#current === running && !this.#stopped,
      up: (running, token) => this.#up(running, token),
    })
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

  /**
   * Instead of `start`: goes on with the processes that the kernel had when its gateway was killed. Resolves when it is
   * known what became of the worker: it is back, or its end was told. Never rejects.
   */
  async takeUp(memory: WorkerMemory): Promise<void> {
    this.#started = true
    if (memory.current?.pid) this.#options.onTakenUp?.(memory.current.pid)
    this.#takeUp = new TakeUp(memory, {
      clock: this.#options.clock,
      log: this.#options.log,
      backing: this.#backing,
      resident: this,
      processes: this.#processes,
      listener: this.#listener,
      limits: { ...this.#options.limits, orphanMs: this.#options.orphanMs ?? 0 },
      isStopped: () => this.#stopped,
      begin: async () => await this.start(),
      sit: (placement, held, cell) => this.#sitAgain(placement, held, cell),
      employ: (running) => (this.#current = running),
      expect: (token, generation) => this.#births.expect(token, generation),
      again: (what) => this.#again(what),
    })
    void this.#takeUp.run()
    await this.#takeUp.known
  }

  sit(paths: SeatPaths): void {
    if (!this.#stopped) this.#seats.open(paths)
  }

  fork(token: string, generation: number): void {
    this.#births.fork(token, generation)
  }

  wake(snapshot: string, token: string, generation: number): void {
    this.#takeUp?.touch(snapshot)
    this.#births.wake(this.place ?? '', snapshot, token, generation)
  }

  /** Where frozen copies of the worker wait; null: there was no worker yet. */
  get place(): string | null {
    return this.#seats.present?.place ?? null
  }

  /** Has a frozen copy make another one, `name`; the listener hears of it. */
  copy(snapshot: string, name: string): void {
    this.#takeUp?.touch(name)
    this.#backing.tell({ kind: 'copy', kernel: this.place ?? '', snapshot, name })
  }

  /** The first worker is a frozen copy of another kernel's. */
  become(snapshot: string, token: string, generation: number): void {
    this.#births.become(snapshot, token, generation)
  }

  discard(snapshots: readonly string[]): void {
    for (const snapshot of snapshots) this.#takeUp?.touch(snapshot)
    for (const kernel of this.#seats.places) this.#backing.tell({ kind: 'discard', kernel, snapshots })
  }

  cancelWriter(checkpoint: string): void {
    this.#writers.cancel(checkpoint)
  }

  kill(pid: number): void {
    this.#backing.tell({ kind: 'kill', pid, signal: constants.signals.SIGKILL })
  }

  /** A worker that is on its way back reads all when it is there; until then its pid may be somebody else's. */
  nudge(pid: number): void {
    if (this.#processes.at(pid)?.line.isOpen) ring(pid)
  }

  interrupt(pid: number, seq: number): void {
    const running = this.#processes.at(pid)
    if (running?.line.isOpen) this.#seatOf(running)?.interrupter.interrupt(pid, seq)
    else if (running) running.interrupt = seq
  }

  callDebugger(pid: number, token: string): void {
    this.#debugger.call(token)
    this.command({ kind: 'debug', token }, [])
    this.nudge(pid)
  }

  tellDebugger(command: DebuggerCommand, parts: readonly Buffer[]): void {
    this.#debugger.tell(command, parts)
  }

  dismissDebugger(): void {
    this.#debugger.dismiss()
  }

  command(command: Numbered<WorkerCommand>, parts: readonly Buffer[]): void {
    if (command.kind === 'checkpoint') this.#writers.expect(command.token, command.checkpoint)
    const current = this.#current
    if (current === null) this.#births.keep(command, parts)
    else current.trial?.told.push([command, parts])
    current?.line.send(marked(command, this.#seatOf(current)?.mark), parts)
  }

  /** Frames of that generation up to this one are safe. */
  durable(generation: number, frame: number): void {
    const running = this.#current?.generation === generation ? this.#current : this.#processes.of(generation)
    running?.line.durable(frame)
  }

  /** Stops reading from the worker, which then waits as soon as the sockets' buffers are full. */
  pause(): void {
    this.#current?.line.pause()
    this.#debugger.pause()
    this.#seats.pause()
  }

  resume(): void {
    this.#current?.line.resume()
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
    if (!this.#stopped && !this.#takeUp?.knowsZygote) this.#listener.zygoteReady(kernelInfo)
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
    this.#births.forked(token, pid)
  }

  forkFailed(token: string, reason: string): void {
    this.#births.forkFailed(token, reason)
  }

  died(pid: number, death: Death): void {
    const running = this.#processes.at(pid)
    if (!running) return
    if (this.#current === running) this.#seatOf(running)?.interrupter.noticed()
    this.#processes.died(running, this.#options.explain?.(pid, death) ?? death)
  }

  snapshotGone(snapshot: string): void {
    this.#takeUp?.touch(snapshot)
    this.#listener.snapshotGone(snapshot)
  }

  copied(name: string, error: string | null): void {
    this.#listener.copied(name, error)
  }

  admit(hello: Hello, connect: Connect): Admission {
    if (hello.role === 'writer') return this.#writers.admit(hello, connect)
    if (hello.role === 'debugger') return this.#debugger.admit(hello, connect)
    if (this.#takeUp?.isUnderWay) return 'later'
    const generation = this.#births.expects(hello.token)
    if (generation === undefined) {
      const known = this.#processes.withToken(hello.token)
      return known !== null && hello.resumed !== undefined && this.#processes.reconnect(known, hello, connect)
    }
    const told = this.#births.arrived(hello.token)
    const running = this.#processes.at(hello.pid) ?? newRunning(generation, hello.pid, hello.token)
    this.#processes.add(running)
    running.place = hello.kernel
    this.#seats.arrive(hello.kernel)
    this.#seatOf(running)?.reset()
    this.#current = running
    this.#processes.connect(running, connect)
    // It had dialled in at a gateway that was killed before it took it in.
    if (hello.resumed) running.line.greet()
    this.#up(running, hello.token)
    this.#takeUp?.settled()
    for (const [command, parts] of told) running.line.send(command, parts)
    return true
  }

  // ------------------------------------------------------------------------------------------------------- internal

  #up(running: Running, token: string): void {
    const { generation, pid } = running
    const seat = this.#seatOf(running)
    if (seat) {
      const { paths, mark } = seat
      this.#listener.placed({ generation, token: running.token, pid, ...paths, mark, zygote: this.#backing.zygote })
    }
    this.#listener.workerUp(token, pid)
  }

  #heard(running: Running, event: WorkerEvent, parts: readonly Buffer[], frame: number): void {
    const interrupter = this.#seatOf(running)?.interrupter
    if (event.kind === 'reply') interrupter?.answered(event.seq)
    if (event.kind === 'interrupted') {
      interrupter?.noticed()
      running.interrupt = null
    }
    if (event.kind === 'taken') this.#takeUp?.touch(event.snapshot)
    this.#interruptLate(running)
    // What C code and child processes wrote before the cell ended must not come after its reply.
    if (event.kind === 'reply') this.#seats.drain(event.seq, event.begins)
    if (event.kind === 'input_request') this.#seats.drain()
    this.#listener.workerSaid(running.generation, event, parts, frame)
    if (event.kind === 'reply' && event.begins !== undefined) this.#seatOf(running)?.passed(event.begins)
  }

  #back(running: Running): void {
    this.#takeUp?.settled()
    this.#interruptLate(running)
  }

  /** What was to be interrupted while the worker was away, unless it says that this has been noticed. */
  #interruptLate(running: Running): void {
    if (running.interrupt === null || !running.line.isCaughtUp) return
    this.#seatOf(running)?.interrupter.interrupt(running.pid, running.interrupt)
    running.interrupt = null
  }

  #gone(running: Running, death: Death): void {
    const unheard = this.#takeUp?.unheard(running, death) ?? null
    this.#takeUp?.settled()
    if (this.#current === running) {
      this.#current = null
      this.#seats.drain()
      // Whatever reply was to come first will not come.
      this.#seatOf(running)?.reset()
    }
    if (unheard) {
      this.#births.forkAgain(unheard.token, running.generation, unheard.told)
      return
    }
    this.#births.ended(running.generation)
    this.#listener.workerDied(running.generation, death)
  }

  #sitAgain({ place, stdout, stderr, interrupts, mark }: Placement, held: readonly Held[], cell: number): boolean {
    try {
      this.#seats.open({ place, stdout, stderr, interrupts }, mark).takeUp(held, cell)
      return true
    } catch (error) {
      // Somebody removed its pipes: what is printed there is lost, and the rest goes on.
      this.#options.log('error', 'pipes_lost', {
        place,
        reason: error instanceof Error ? error.message : String(error),
      })
      return false
    }
  }

  /** What was asked for before, and not done. */
  #again(what: Outstanding): void {
    switch (what.do) {
      case 'fork':
        return this.fork(what.token, what.generation)
      case 'wake':
        return this.wake(what.snapshot, what.token, what.generation)
      case 'become':
        return this.become(what.snapshot, what.token, what.generation)
      case 'copy':
        return this.copy(what.snapshot, what.name)
      case 'discard':
        return this.discard(what.snapshots)
      case 'kill':
        return this.kill(what.pid)
      case 'interrupt':
        return this.interrupt(what.pid, what.seq)
      case 'stop':
        return this.stop(what.linger)
    }
  }

  #seatOf(running: Running | null): Seat | null {
    return this.#seats.at(running?.place ?? null)
  }

  #letGo(): void {
    this.#debugger.dismiss()
    this.#processes.close()
    this.#seats.close()
  }
}
