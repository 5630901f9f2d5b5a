/**
 * A zygote as seen from Node: its process, its end of the link, and the kernels whose workers it forks.
 *
 * One may serve many kernels. On the link each of their places has a name (see `seat`), and what the zygote reports is
 * passed on to whoever holds the place: nobody hears of another kernel's processes.
 */

import { constants } from 'node:os'
import type { Envelope, Frame, Hello, Inventory, ZygoteCommand, ZygoteEvent } from '../link/protocol.js'
import type { Connection, ConnectionHandlers } from './connection.js'
import { deathOf, type Death } from './death.js'
import { ZygoteProcess, type ZygoteOptions as ProcessOptions } from './zygote-process.js'

export interface ZygoteOptions extends ProcessOptions {
  readonly limits: ProcessOptions['limits'] & { readonly zygoteStopMs: number }
  /** Its name in what it says first. */
  readonly kernel: string
  /** For IPython: traitlets arguments. */
  readonly kernelArguments: readonly string[]
  readonly lingerS: number
  /** Modules that it imports before it is ready. */
  readonly preload?: readonly string[]
  /** It uses the kernel once before it says that it is ready, so that its first worker is as quick as all others. */
  readonly warm?: boolean
  /** How long it goes on without a gateway, and how much each of its workers keeps on disk meanwhile. */
  readonly orphanMs?: number
  readonly spoolBytesMax?: number
}

/** What it is told of the zygote itself. */
export interface ZygoteListener {
  ready(kernelInfo: Buffer, facts: ZygoteFacts): void
  /** It is gone, and every process below it; nobody had asked for that. */
  died(): void
  /** One that another gateway started is back. */
  returned?(inventory: Inventory, kernelInfo: Buffer): void
}

export type ZygoteFacts = Extract<ZygoteEvent, { readonly kind: 'ready' }>

/** Whoever holds a place hears what becomes of the processes there. */
export interface Holder {
  forked(token: string, pid: number): void
  forkFailed(token: string, reason: string): void
  died(pid: number, death: Death): void
  snapshotGone(snapshot: string): void
  /** Under `name` there is a copy of a snapshot now; null: no error. */
  copied(name: string, error: string | null): void
  /** After `end`: nothing is left of that place. */
  ended?(place: string): void
}

export type { Death } from './death.js'

export class Zygote {
  readonly #options: ZygoteOptions
  readonly #listener: ZygoteListener
  readonly #process: ZygoteProcess
  readonly #holders = new Map<string, Holder>()
  #connection: Connection | null = null
  #pid: number | null = null
  #onEnd: (() => void) | null = null
  /** What one that is away is to be told when it is back; null: it is not away. */
  #waiting: ZygoteCommand[] | null

  constructor(options: ZygoteOptions, listener: ZygoteListener) {
    this.#options = options
    this.#listener = listener
    this.#waiting = options.away ? [] : null
    this.#process = new ZygoteProcess(options, () => listener.died())
  }

  /** Of its process, once it has dialled in. */
  get pid(): number | null {
    return this.#pid
  }

  /** Gets a process: one that lingers from before a restart, else a new one. */
  async start(): Promise<void> {
    await this.#process.start()
  }

  /** From now on `holder` hears what becomes of the processes in that place. */
  hold(place: string, holder: Holder): void {
    this.#holders.set(place, holder)
  }

  /** Nobody is interested in that place any more. */
  release(place: string): void {
    this.#holders.delete(place)
  }

  admit(hello: Hello, connect: (handlers: ConnectionHandlers) => Connection): boolean {
    const { token, kernel, kernelArguments, rendezvous, lingerS, preload, warm, away } = this.#options
    const { orphanMs = 0, spoolBytesMax } = this.#options
    if (hello.token !== token || this.#connection !== null || this.#onEnd !== null) return false
    // One of ours whose connection broke was given up; one that is awaited has been here before.
    if ((hello.resumed !== undefined) !== (this.#waiting !== null)) return false
    this.#process.arrived(hello.pid)
    this.#pid = hello.pid
    this.#connection = connect({
      onFrame: (frame) => this.#hear(frame),
      onClose: () => {
        this.#connection = null
        if (this.#onEnd) this.#onEnd()
        else this.#lost()
      },
    })
    // One that was taken over keeps what it was built with.
    if (!this.#process.adopted && !away) {
      this.tell({
        kind: 'settings',
        kernel,
        arguments: kernelArguments,
        rendezvous,
        linger_s: lingerS,
        ...(preload === undefined ? {} : { preload }),
        ...(warm === undefined ? {} : { warm }),
        ...(orphanMs > 0 ? { orphan_s: orphanMs / 1_000 } : {}),
        ...(orphanMs > 0 && spoolBytesMax !== undefined ? { spool_bytes_max: spoolBytesMax } : {}),
      })
    }
    return true
  }

  /** Without a zygote there is nobody left below it either: its end has been told, or will be. */
  tell(command: ZygoteCommand): void {
    if (this.#waiting === null) this.#connection?.send(command)
    else if (this.#waiting.length < WAITING_MAX) this.#waiting.push(command)
  }

  kill(pid: number): void {
    this.tell({ kind: 'kill', pid, signal: constants.signals.SIGKILL })
  }

  /** Ends every process below it and then itself, unless it lingers for a successor; `onEnd` follows, once. */
  stop(linger: boolean, onEnd: () => void): void {
    let cancel = (): void => {}
    const end = (): void => {
      cancel()
      this.#onEnd = (): void => {}
      onEnd()
    }
    this.#onEnd = end
    if (this.#connection === null || this.#waiting !== null) {
      this.#process.kill()
      end()
      return
    }
    this.tell({ kind: 'stop', linger })
    cancel = this.#options.clock.after(this.#options.limits.zygoteStopMs, () => {
      this.#process.kill()
      end()
    })
  }

  /** Ends it by force; nothing is told any more. */
  abandon(): void {
    this.#onEnd = (): void => {}
    this.#process.kill()
    this.close()
  }

  /** Hangs up. */
  close(): void {
    this.#onEnd ??= (): void => {}
    this.#connection?.close()
  }

  /** Nobody had asked for it. It goes on without us unless it has ended. */
  #lost(): void {
    this.#onEnd = (): void => {}
    if ((this.#options.orphanMs ?? 0) > 0) this.#process.kill()
    this.#listener.died()
  }

  #hear({ envelope, parts }: Frame): void {
    const event = envelope as ZygoteEvent
    switch (event.kind) {
      case 'inventory': {
        const waiting = this.#waiting ?? []
        this.#waiting = null
        for (const command of waiting) this.tell(command)
        return this.#listener.returned?.(event, parts[0] ?? Buffer.from('{}'))
      }
      case 'ready':
        return this.#listener.ready(parts[0] ?? Buffer.from('{}'), event)
      case 'forked':
        return this.#holders.get(event.kernel)?.forked(event.token, event.pid)
      case 'fork_failed':
        return this.#holders.get(event.kernel)?.forkFailed(event.token, event.reason)
      case 'died':
        if (event.kernel === null) return
        return this.#holders.get(event.kernel)?.died(event.pid, deathOf(event))
      case 'snapshot_gone':
        return this.#holders.get(event.kernel)?.snapshotGone(event.snapshot)
      case 'copied':
        return this.#holders.get(event.kernel)?.copied(event.name, event.error ?? null)
      case 'ended':
        return this.#holders.get(event.kernel)?.ended?.(event.kernel)
      default:
        this.#options.log('warn', 'zygote_says', { kind: (event as Envelope).kind })
    }
  }
}

/** More than kernels can ask for in the seconds that it may be away. */
const WAITING_MAX = 10_000
