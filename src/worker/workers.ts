/**
 * The Python side of one kernel: its zygote, its workers and its checkpoint writers, as commands and events.
 *
 * Duties: start a zygote or take over one that lingers; take in who dials with an expected token; tie pids to
 * generations; deliver what a worker printed before its reply, and before the news of its death; end everything.
 */

import { constants } from 'node:os'
import type {
  DebuggerCommand,
  Envelope,
  Frame,
  Hello,
  WorkerCommand,
  WorkerEvent,
  WriterEvent,
  ZygoteCommand,
  ZygoteEvent,
} from '../link/protocol.js'
import { workerEvent, writerEvent } from '../link/shapes.js'
import type { Connection, ConnectionHandlers } from './connection.js'
import { DebuggerLine, type DebuggerListener } from './debugger-line.js'
import { openDoor, type Door } from './door.js'
import { makeFifos, readFifo, type Fifo } from './fifo.js'
import { Interrupter } from './interrupter.js'
import type { RuntimeDir } from './runtime-dir.js'
import { ZygoteProcess, type ZygoteOptions } from './zygote-process.js'

export interface WorkersOptions extends Omit<ZygoteOptions, 'link'> {
  readonly kernel: string
  readonly dir: RuntimeDir
  /** For IPython: traitlets arguments. */
  readonly kernelArguments: readonly string[]
  readonly lingerS: number
  readonly cwd: string | null
  readonly workerEnvironment: Readonly<Record<string, string | null>>
  readonly limits: ZygoteOptions['limits'] & {
    readonly helloMs: number
    readonly deathMs: number
    readonly zygoteStopMs: number
    readonly writerDialMs: number
    readonly interruptRepeatMs: number
    readonly interruptsMax: number
  }
}

/** What happens on the Python side; `generation` is that given to `fork` or `wake`. */
export interface WorkersListener extends DebuggerListener {
  zygoteReady(kernelInfo: Buffer): void
  zygoteDied(): void
  workerUp(token: string, pid: number): void
  workerSaid(generation: number, event: WorkerEvent, parts: readonly Buffer[]): void
  workerDied(generation: number, cause: Death): void
  workerFailed(token: string, reason: string): void
  writerSaid(event: WriterEvent, parts: readonly Buffer[]): void
  snapshotGone(snapshot: string): void
  output(name: 'stdout' | 'stderr', text: Buffer): void
  stopped(): void
}

export interface Death {
  readonly code: number | null
  readonly signal: { readonly name: string; readonly number: number } | null
  /** Why it was ended by us, where that is the reason. */
  readonly why?: string
}

interface Running {
  readonly generation: number
  readonly pid: number
  connection: Connection | null
  death: Death | null
  /** Why we ended it, if we did because it could not be talked to. */
  why: string | null
  cancel: (() => void) | null
}

export class Workers {
  readonly #options: WorkersOptions
  readonly #listener: WorkersListener
  #door: Door | null = null
  #zygote: Connection | null = null
  readonly #zygoteProcess: ZygoteProcess
  readonly #interrupter: Interrupter
  readonly #debugger: DebuggerLine
  #fifos: Fifo[] = []
  /** Tokens that may dial in, with the generation that they stand for. */
  readonly #expected = new Map<string, number>()
  /** Tokens of checkpoint writers that have not dialled in, with their checkpoints. */
  readonly #writers = new Map<string, string>()
  readonly #running = new Map<number, Running>()
  #current: Running | null = null
  #stopping = false
  #stopped = false

  constructor(options: WorkersOptions, listener: WorkersListener) {
    this.#options = options
    this.#listener = listener
    this.#debugger = new DebuggerLine(listener)
    this.#interrupter = new Interrupter(options.clock, options.limits, options.dir.interrupts)
    this.#zygoteProcess = new ZygoteProcess({ ...options, link: options.dir.link }, () => listener.zygoteDied())
  }

  /** Opens the door and gets a zygote: one that lingers from before a restart, else a new process. */
  async start(): Promise<void> {
    const { dir, limits, log } = this.#options
    const fifos = makeFifos(dir.stdout, dir.stderr)
    this.#door = await openDoor(dir.link, (hello, connect) => this.#admit(hello, connect), log, limits.helloMs)
    await this.#zygoteProcess.start()
    await fifos
    if (this.#stopped) return
    this.#fifos = (['stdout', 'stderr'] as const).map((name) =>
      readFifo(dir[name], (text) => this.#listener.output(name, text)),
    )
  }

  /** `start`, for a kernel that did not need Python until now; that it fails is told as the zygote's end. */
  awaken(): void {
    this.start().catch((error: unknown) => {
      this.#options.log('error', 'zygote_failed', { reason: error instanceof Error ? error.message : String(error) })
      this.#listener.zygoteDied()
    })
  }

  fork(token: string, generation: number): void {
    const { kernel, cwd, workerEnvironment, dir } = this.#options
    this.#expected.set(token, generation)
    this.#tell({ kind: 'fork', kernel, token, env: workerEnvironment, cwd, stdout: dir.stdout, stderr: dir.stderr })
  }

  wake(snapshot: string, token: string, generation: number): void {
    this.#expected.set(token, generation)
    this.#tell({ kind: 'wake', snapshot })
  }

  discard(snapshots: readonly string[]): void {
    this.#tell({ kind: 'discard', snapshots })
  }

  kill(pid: number): void {
    this.#tell({ kind: 'kill', pid, signal: constants.signals.SIGKILL })
  }

  nudge(pid: number): void {
    ring(pid)
  }

  interrupt(pid: number, seq: number): void {
    this.#interrupter.interrupt(pid, seq)
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
    if (command.kind === 'checkpoint') this.#expectWriter(command.token, command.checkpoint)
    this.#current?.connection?.send(command, parts)
  }

  #expectWriter(token: string, checkpoint: string): void {
    this.#writers.set(token, checkpoint)
    this.#options.clock.after(this.#options.limits.writerDialMs, () => {
      if (this.#writers.delete(token)) this.#writerFailed(checkpoint, 'its process did not start')
    })
  }

  #writerFailed(checkpoint: string, reason: string): void {
    this.#listener.writerSaid({ kind: 'write_failed', checkpoint, reason }, [])
  }

  /** Stops reading from the worker, which then waits as soon as the sockets' buffers are full. */
  pause(): void {
    this.#current?.connection?.pause()
    this.#debugger.pause()
    for (const fifo of this.#fifos) fifo.pause()
  }

  resume(): void {
    this.#current?.connection?.resume()
    this.#debugger.resume()
    for (const fifo of this.#fifos) fifo.resume()
  }

  /** Ends workers and snapshots; the zygote too, unless it lingers for a successor. `stopped` follows. */
  stop(linger: boolean): void {
    this.#stopping = true
    if (this.#zygote === null) {
      this.#zygoteProcess.kill()
      this.#finish()
      return
    }
    this.#tell({ kind: 'stop', linger })
    this.#options.clock.after(this.#options.limits.zygoteStopMs, () => {
      if (!this.#stopped) this.#zygoteProcess.kill()
      this.#finish()
    })
  }

  /** Ends what may still run, by force. Nothing is told any more; after an orderly stop there is nothing to do. */
  abandon(): void {
    if (this.#stopped) return
    this.#stopping = this.#stopped = true
    this.#zygoteProcess.kill()
    this.#letGo()
  }

  #finish(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#letGo()
    this.#listener.stopped()
  }

  #letGo(): void {
    this.#interrupter.close()
    this.#debugger.dismiss()
    this.#door?.close()
    for (const { connection, cancel } of this.#running.values()) {
      cancel?.()
      connection?.close()
    }
    this.#zygote?.close()
    for (const fifo of this.#fifos) fifo.close()
  }

  #tell(command: ZygoteCommand): void {
    // Without a zygote there is nobody left below it either: its end has been told, or will be.
    this.#zygote?.send(command)
  }

  #admit(hello: Hello, connect: (handlers: ConnectionHandlers) => Connection): boolean {
    if (hello.role === 'zygote') return this.#admitZygote(hello, connect)
    if (hello.role === 'writer') return this.#admitWriter(hello, connect)
    if (hello.role === 'debugger') return this.#debugger.admit(hello, connect)
    const generation = this.#expected.get(hello.token)
    if (generation === undefined) return false
    this.#expected.delete(hello.token)
    const running = this.#running.get(hello.pid) ?? newRunning(generation, hello.pid)
    this.#running.set(hello.pid, running)
    this.#current = running
    running.connection = connect({
      onFrame: ({ envelope, parts }) => {
        if (running.why !== null) return
        const event = workerEvent(envelope, parts)
        if (event === null) {
          this.#options.log('error', 'link_bad_event', { kind: envelope.kind.slice(0, 100) })
          this.#endBroken(running, BROKEN)
          return
        }
        if (event.kind === 'interrupted' || event.kind === 'reply') this.#interrupter.noticed()
        if (event.kind === 'interrupted') return
        // What C code and child processes wrote before the cell ended must not come after its reply.
        if (event.kind === 'reply' || event.kind === 'input_request') this.#drain()
        this.#listener.workerSaid(generation, event, parts)
      },
      onBroken: () => this.#endBroken(running, BROKEN),
      onClose: () => {
        running.connection = null
        this.#bury(running)
        // Its end is on the way. If it is not, user code closed the connection, and nobody can hear of it any more.
        this.#options.clock.after(this.#options.limits.deathMs, () => this.#endBroken(running, CLOSED))
      },
    })
    this.#listener.workerUp(hello.token, hello.pid)
    return true
  }

  /** Ends a worker that cannot be talked to. */
  #endBroken(running: Running, why: string): void {
    if (running.death !== null || running.why !== null || this.#stopped) return
    running.why = why
    this.kill(running.pid)
    running.connection?.close()
  }

  #drain(): void {
    for (const fifo of this.#fifos) fifo.drain()
  }

  #admitZygote(hello: Hello, connect: (handlers: ConnectionHandlers) => Connection): boolean {
    const { token, kernel, kernelArguments, rendezvous, lingerS } = this.#options
    if (hello.token !== token || this.#zygote !== null) return false
    this.#zygoteProcess.arrived()
    this.#zygote = connect({
      onFrame: (frame) => this.#hearZygote(frame),
      onClose: () => {
        this.#zygote = null
        if (this.#stopping) this.#finish()
        else this.#listener.zygoteDied()
      },
    })
    // One that was taken over keeps what it was built with.
    if (!this.#zygoteProcess.adopted)
      this.#tell({ kind: 'settings', kernel, arguments: kernelArguments, rendezvous, linger_s: lingerS })
    return true
  }

  #admitWriter(hello: Hello, connect: (handlers: ConnectionHandlers) => Connection): boolean {
    const checkpoint = this.#writers.get(hello.token)
    if (checkpoint === undefined) return false
    this.#writers.delete(hello.token)
    let told = false
    const connection = connect({
      onFrame: ({ envelope, parts }) => {
        const event = writerEvent(envelope, parts)
        told = event !== null
        if (event) this.#listener.writerSaid(event, parts)
        connection.close()
      },
      onClose: () => {
        if (!told) this.#writerFailed(checkpoint, 'its process ended before it was done')
      },
    })
    return true
  }

  #hearZygote({ envelope, parts }: Frame): void {
    const event = envelope as ZygoteEvent
    switch (event.kind) {
      case 'ready':
        return this.#listener.zygoteReady(parts[0] ?? Buffer.from('{}'))
      case 'forked': {
        const generation = this.#expected.get(event.token)
        if (generation !== undefined) this.#running.set(event.pid, newRunning(generation, event.pid))
        return
      }
      case 'fork_failed':
        this.#expected.delete(event.token)
        return this.#listener.workerFailed(event.token, event.reason)
      case 'died':
        return this.#died(event.pid, { code: event.code, signal: signalOf(event.signal) })
      case 'snapshot_gone':
        return this.#listener.snapshotGone(event.snapshot)
      default:
        this.#options.log('warn', 'zygote_says', { kind: (event as Envelope).kind })
    }
  }

  #died(pid: number, death: Death): void {
    const running = this.#running.get(pid)
    if (!running) return
    running.death = death
    if (this.#current === running) this.#interrupter.noticed()
    // Its last words are still in the socket; a closed connection says that all of them were heard.
    running.cancel = this.#options.clock.after(this.#options.limits.deathMs, () => {
      running.connection?.close()
      running.connection = null
      this.#bury(running)
    })
    this.#bury(running)
  }

  /** Tells of a death once, when both the process and its connection are gone. */
  #bury(running: Running): void {
    if (running.death === null || running.connection !== null || !this.#running.has(running.pid)) return
    running.cancel?.()
    this.#running.delete(running.pid)
    if (this.#current === running) {
      this.#current = null
      this.#drain()
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

const BROKEN = 'something wrote to its connection with the kernel'
const CLOSED = 'something closed its connection with the kernel'

function newRunning(generation: number, pid: number): Running {
  return { generation, pid, connection: null, death: null, why: null, cancel: null }
}

/** Makes a worker read its link although user code holds its main thread. */
function ring(pid: number): void {
  try {
    process.kill(pid, 'SIGURG')
  } catch {
    // A worker that is gone by now is no error: its death is on its way.
  }
}

function signalOf(number: number | null): Death['signal'] {
  if (number === null) return null
  const name = Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`
  return { name, number }
}
