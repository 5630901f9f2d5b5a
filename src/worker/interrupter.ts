/**
 * SIGINT, as Ctrl-C, until the worker has noticed it: one that comes in the instant before a system call would wait for
 * the end of that call, and `time.sleep(60)` is one.
 *
 * A signal says nothing but that it came. So that one that is repeated because the notice is late does not interrupt
 * twice, nor anything but the request that it was meant for, a file tells the worker's signal handler which interrupt
 * this is, how often it was sent, and the request's seq. What is sent by others leaves the file as it is.
 */

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import type { Clock } from '../clock.js'

interface Interrupt {
  readonly pid: number
  readonly seq: number
  readonly number: number
}

export interface InterruptLimits {
  readonly interruptRepeatMs: number
  readonly interruptsMax: number
}

export class Interrupter {
  readonly #clock: Clock
  readonly #limits: InterruptLimits
  readonly #path: string
  #file: number | null = null
  /** null: nobody was interrupted by this process. */
  #number: number | null = null
  /** What the latest interrupt is meant for. */
  #seq: number | null = null
  #cancel: (() => void) | null = null

  /** `path`: the file for the worker, made with the first interrupt. */
  constructor(clock: Clock, limits: InterruptLimits, path: string) {
    this.#clock = clock
    this.#limits = limits
    this.#path = path
  }

  /** Interrupts the worker `pid` while it serves the request `seq`. */
  interrupt(pid: number, seq: number): void {
    // A gateway before may have interrupted it, and what the worker knows by a number is not repeated.
    this.#number = (this.#number ?? latestIn(this.#path)) + 1
    this.#seq = seq
    this.#send({ pid, seq, number: this.#number }, 1)
  }

  /** The worker noticed it, or is gone: no need to go on. */
  noticed(): void {
    this.#cancel?.()
    this.#cancel = null
  }

  /** The request `seq` was answered. Those that subshells serve end while another one is being interrupted. */
  answered(seq: number): void {
    if (seq === this.#seq) this.noticed()
  }

  /** Nothing is interrupted any more. */
  close(): void {
    this.noticed()
    if (this.#file !== null) closeSync(this.#file)
    this.#file = null
  }

  #send(interrupt: Interrupt, times: number): void {
    this.noticed()
    this.#note(interrupt, times)
    try {
      process.kill(interrupt.pid, 'SIGINT')
    } catch {
      // A worker that is gone by now is no error: its death is on its way.
      return
    }
    const { interruptRepeatMs, interruptsMax } = this.#limits
    if (times < interruptsMax) {
      this.#cancel = this.#clock.after(interruptRepeatMs, () => this.#send(interrupt, times + 1))
    }
  }

  #note({ seq, number }: Interrupt, times: number): void {
    // Twice the same, so that what is read while it is written can be told.
    const line = `${[number, times, seq].map((each) => String(each).padStart(LENGTH)).join(' ')}\n`
    try {
      this.#file ??= openSync(this.#path, 'w', 0o600)
      writeSync(this.#file, line + line, 0)
    } catch {
      // The disk is full, or somebody removed the folder: the interrupt is taken for one of the user's own.
    }
  }
}

/** Digits of the largest integer. */
const LENGTH = 16

/** The number of the latest interrupt that was noted there; 0: none was. */
function latestIn(path: string): number {
  try {
    const number = Number(readFileSync(path, 'latin1').slice(0, LENGTH))
    return Number.isSafeInteger(number) ? number : 0
  } catch {
    return 0
  }
}
