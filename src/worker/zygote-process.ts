/**
 * How a kernel gets its zygote: one that was started along with us, one that lingers from before a restart, or a new
 * process. Whatever does not come is replaced by a new one; if that fails too, `onLost` is told.
 */

import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import type { Clock } from '../clock.js'
import { encodeFrame } from '../link/framing.js'
import type { Envelope } from '../link/protocol.js'
import type { Log } from '../log.js'
import { runs, signal, type KnownProcess } from './pids.js'

export interface ZygoteOptions {
  readonly python: string
  /** The file that it runs. */
  readonly starter: string
  /** Folder that IPython and ipykernel are imported from; null: the interpreter has its own. */
  readonly stack: string | null
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Program and arguments that it is started by; absent: it is in no sandbox. */
  readonly sandbox?: readonly string[]
  /** The socket that it is to dial, and what it is to say there. */
  readonly link: string
  readonly token: string
  /** Socket at which a zygote waits for the next process of a kernel after a restart, or null. */
  readonly rendezvous: string | null
  /** A zygote that was started at the same time as this process and will dial in; null: there is none. */
  readonly early: { readonly pid: number } | null
  /** One that another gateway started, and that is to dial in by itself. Of its process only this is needed. */
  readonly away?: KnownProcess
  readonly clock: Clock
  readonly log: Log
  readonly limits: {
    readonly earlyPollMs: number
    readonly adoptMs: number
    /** For one that is `away`. */
    readonly takeUpMs?: number
  }
}

export class ZygoteProcess {
  readonly #options: ZygoteOptions
  readonly #onLost: () => void
  #child: ChildProcess | null = null
  /** It dialled in, or is not wanted any more. */
  #settled = false
  #adopted = false
  /** Of the zygote, which is not the child that was started where that is a sandbox. */
  #pid: number | null = null

  constructor(options: ZygoteOptions, onLost: () => void) {
    this.#options = options
    this.#onLost = onLost
  }

  /** The zygote has been built for a kernel before, and keeps its settings. */
  get adopted(): boolean {
    return this.#adopted
  }

  async start(): Promise<void> {
    const { early, away, limits, clock, log } = this.#options
    if (away) {
      this.#await(away, Math.ceil((limits.takeUpMs ?? 0) / limits.earlyPollMs))
      return
    }
    if (early !== null) {
      this.#watch(early.pid)
      return
    }
    this.#adopted = await this.#adopt()
    if (this.#settled) return
    if (!this.#adopted) {
      this.#spawn()
      return
    }
    clock.after(limits.adoptMs, () => {
      if (this.#settled) return
      log('warn', 'lingering_zygote_failed')
      this.#adopted = false
      this.#spawn()
    })
  }

  /** It dialled in: from here on its connection tells of its end. */
  arrived(pid: number): void {
    this.#settled = true
    this.#pid = pid
  }

  /** Ends the process, and with it every worker and every snapshot. */
  kill(): void {
    this.#settled = true
    const { away } = this.#options
    if (away) {
      signal(away, 'SIGKILL')
    } else if (this.#child !== null) {
      const inside = this.#pid ?? (this.#options.sandbox ? childOf(this.#child.pid) : null)
      this.#child.kill('SIGKILL')
      if (inside !== null && inside !== this.#child.pid) killQuietly(inside)
    } else if (this.#options.early !== null) {
      try {
        process.kill(this.#options.early.pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    }
  }

  /**
   * Looks so many times whether it lives, until it dials in. One that lives and does not is of no use to anybody. Looks
   * are counted, and not time: while this process is busy it cannot hear who dials.
   */
  #await(away: KnownProcess, looks: number): void {
    const { clock, limits } = this.#options
    if (this.#settled) return
    const isLate = looks <= 0
    if (isLate || !runs(away)) {
      if (isLate) signal(away, 'SIGKILL')
      this.#lost(isLate ? 'it did not come back in time' : 'it ended while the gateway was away')
      return
    }
    clock.after(limits.earlyPollMs, () => this.#await(away, looks - 1))
  }

  /** Asks a lingering zygote to serve this kernel. False if there is none. */
  async #adopt(): Promise<boolean> {
    const { rendezvous, link, token, log } = this.#options
    if (rendezvous === null || !existsSync(rendezvous)) return false
    return await new Promise((resolve) => {
      const socket = createConnection(rendezvous)
      socket.once('error', () => resolve(false))
      socket.once('connect', () => {
        for (const chunk of encodeFrame({ kind: 'adopt', link, token } as Envelope)) socket.write(chunk)
        socket.end()
        log('debug', 'zygote_adopted')
        resolve(true)
      })
    })
  }

  /** Starts a zygote after all if the one that is on its way ends before it comes. */
  #watch(pid: number): void {
    const { clock, log, limits } = this.#options
    clock.after(limits.earlyPollMs, () => {
      if (this.#settled) return
      if (isRunning(pid)) {
        this.#watch(pid)
        return
      }
      log('warn', 'early_zygote_failed', { pid })
      this.#spawn()
    })
  }

  #spawn(): void {
    const { python, starter, environment, link, token, stack, sandbox = [] } = this.#options
    const own = [starter, 'zygote', '--link', link, '--token', '-', '--stack', stack ?? '-', '--settings-follow']
    const confined = sandbox.length > 0 ? ['--confined'] : []
    const [program = python, ...args] = [...sandbox, python, ...own, '--starter', String(process.pid), ...confined]
    // Its own process group: signals to ours (Ctrl-C, killpg of a client) are for us to pass on.
    // By the time that it could look for its parent we may have ended.
    const child = spawn(program, args, {
      // Command lines can be read by everybody on the machine.
      env: { ...environment, SAVEPOINT_LINK_TOKEN: token },
      detached: true,
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    child.once('error', (error) => this.#lost(`it could not be started: ${error.message}`))
    child.once('exit', (code, signal) => this.#lost(`it ended with ${signal ?? `exit code ${code}`}`))
    child.unref()
    this.#child = child
  }

  #lost(reason: string): void {
    this.#child = null
    if (this.#settled) return
    this.#options.log('error', 'zygote_failed', { reason })
    this.#onLost()
  }
}

/** A process that has ended but whose parent has not asked for its status (we are that parent) does not run. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** What a sandbox has started; null: nothing yet. */
function childOf(pid: number | undefined): number | null {
  try {
    return Number.parseInt(readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1'), 10) || null
  } catch {
    return null
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
