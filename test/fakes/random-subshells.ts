/** The subshells of a worker in disorder: each at a request of its own, in threads that take turns as chance has it. */

import type { WorkerCommand } from '../../src/link/protocol.js'
import type { Random } from './random.js'
import type { Saying } from './random-worker.js'

interface Thread {
  task: { readonly seq: number; readonly type: string; readonly parent: string } | null
  closing: boolean
  readonly waiting: number[]
  readonly begun: number[]
}

export class RandomSubshells {
  readonly #random: Random
  readonly #threads = new Map<string, Thread>()
  readonly #returned: number[] = []

  constructor(random: Random) {
    this.#random = random
  }

  /** Takes a command, if it is for a subshell. */
  hear(command: WorkerCommand, parts: readonly Buffer[]): boolean {
    if (command.kind === 'subshell_open') {
      if (this.#threads.has(command.subshell)) throw new Error(`${command.subshell} was opened twice`)
      this.#threads.set(command.subshell, { task: null, closing: false, waiting: [], begun: [] })
    } else if (command.kind === 'subshell_close') {
      this.#thread(command.subshell).closing = true
    } else if (command.kind === 'request' && command.subshell !== undefined) {
      const thread = this.#thread(command.subshell)
      if (command.beside === undefined) {
        if (thread.task) throw new Error(`${command.subshell} was given a second request`)
        const { msg_id } = JSON.parse(String(parts[0])) as { msg_id: string }
        thread.task = { seq: command.seq, type: command.type, parent: msg_id }
      } else if (thread.task?.seq === command.beside) thread.waiting.push(command.seq)
      else this.#returned.push(command.seq)
    } else return false
    return true
  }

  /** Says something, or null if it has nothing to say now. */
  speak(sober: boolean): Saying | null {
    const returned = this.#returned.shift()
    if (returned !== undefined) return { event: { kind: 'returned', seq: returned }, parts: [] }
    for (const [subshell, thread] of this.#threads) {
      const seq = thread.begun[0]
      if (seq !== undefined && (sober || this.#random.chance(0.3))) {
        thread.begun.shift()
        return { event: { kind: 'served', seq }, parts: [] }
      }
      if (thread.task && (sober || this.#random.chance(0.3))) return this.#reply(thread, thread.task)
      if (thread.task?.type === 'execute_request' && this.#random.chance(0.3)) {
        thread.begun.push(...thread.waiting.splice(0, 1))
        return this.#publish(thread.task.parent)
      }
      if (thread.closing && !thread.task) {
        this.#threads.delete(subshell)
        return { event: { kind: 'subshell_closed', subshell }, parts: [] }
      }
    }
    return null
  }

  #thread(id: string): Thread {
    const thread = this.#threads.get(id)
    if (!thread) throw new Error(`there is no subshell ${id}`)
    return thread
  }

  #publish(parent: string): Saying {
    const text = Buffer.from('x')
    if (this.#random.chance(0.5)) return { event: { kind: 'stream', name: 'stdout', parent }, parts: [text] }
    return { event: { kind: 'publish', type: 'comm_msg', parent, comm_id: 'w1' }, parts: [{}, {}] }
  }

  #reply(thread: Thread, { seq, type }: NonNullable<Thread['task']>): Saying {
    thread.task = null
    const beside = { returned: thread.waiting.splice(0), going_on: [...thread.begun] }
    if (type.startsWith('comm_')) return { event: { kind: 'reply', seq, status: null }, parts: [] }
    const status = this.#random.pick(['ok', 'ok', 'error'] as const)
    return { event: { kind: 'reply', seq, status, ...beside }, parts: [{ status, execution_count: 1 }, {}] }
  }
}
