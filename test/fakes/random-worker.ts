/**
 * A worker that keeps to the contract of the link and otherwise does as chance has it: it prints, asks, fails, takes
 * its time. What it may do next follows from what it was told.
 */

import type { SnapshotPermit, WorkerCommand, WorkerEvent } from '../../src/link/protocol.js'
import type { Random } from './random.js'
import { RandomSubshells } from './random-subshells.js'

/** The cell or other request that a worker is at. */
interface Task {
  readonly seq: number
  readonly parent: string
  readonly type: string
}

export interface Saying {
  readonly event: WorkerEvent
  readonly parts: readonly unknown[]
}

/** What a frozen copy knows: enough to go on where it was frozen. */
export interface Frozen {
  readonly task: Task | null
  /** The snapshot, if what is done outside of the process is noted from here on. */
  readonly recorded?: string | undefined
}

const ASKS = [
  'begin',
  'savepoint',
  'rollback',
  'release',
  'undo',
  'redo',
  'guard',
  'commit',
  'status',
  'checkpoint',
  'restore',
  'fork',
  'forked',
  'nonsense',
] as const

export class RandomWorker {
  readonly generation: number
  readonly pid: number
  readonly #random: Random
  readonly #frozen: Map<string, Frozen>
  #task: Task | null
  /** Things that it was told to do and has not done. */
  readonly #duties: (() => Saying)[] = []
  #asked: string | null = null
  #asks = 0
  readonly #questions: string[] = []
  /** Comm messages beside the cell: those that it has not begun, and those that it is at. */
  readonly #beside: number[] = []
  readonly #begun: number[] = []
  /** What it has asked for last that it will hear of when it asks again. */
  #fork = 'none'
  #leaving = false
  /** The cell that it may begin behind the one that it is at. */
  #ahead: (Task & { readonly behind: number }) | null = null
  /** A copy that it is to freeze behind the reply of what it is at. */
  #guard: SnapshotPermit | null = null
  stopping = false
  readonly #subshells: RandomSubshells
  readonly #recorded: string | undefined

  constructor(
    generation: number,
    pid: number,
    random: Random,
    frozen: Map<string, Frozen>,
    as: Frozen = { task: null },
  ) {
    this.generation = generation
    this.pid = pid
    this.#random = random
    this.#frozen = frozen
    this.#task = as.task
    this.#recorded = as.recorded
    this.#subshells = new RandomSubshells(random)
  }

  /** Takes a command. */
  hear(command: WorkerCommand, parts: readonly Buffer[]): void {
    if (this.#subshells.hear(command, parts)) return
    switch (command.kind) {
      case 'welcome':
        if (command.woken?.resume !== true) this.#task = null
        this.#sayUndone()
        if (command.woken && this.#random.chance(0.2)) {
          this.#do(() => ({ event: { kind: 'hangs', libraries: ['polars'] }, parts: [] }))
        }
        if (command.woken?.permit) this.#take(command.woken.permit, command.woken.resume ? this.#task : null)
        return
      case 'request': {
        if (command.beside !== undefined) return this.#hearBeside(command.seq, command.beside)
        const { msg_id } = JSON.parse(String(parts[0])) as { msg_id: string }
        if (command.behind !== undefined) {
          this.#ahead = { seq: command.seq, parent: msg_id, type: command.type, behind: command.behind }
          return
        }
        if (this.#task) throw new Error(`${command.seq} was handed over while ${this.#task.seq} was at work`)
        this.#task = { seq: command.seq, parent: msg_id, type: command.type }
        if (command.refresh) this.#take(command.refresh, null)
        if (command.permit) this.#take(command.permit, null)
        this.#guard = command.guard ?? null
        return
      }
      case 'withdraw':
        this.#ahead = null
        return
      case 'snapshot':
        return this.#take(command.permit, null)
      case 'hand_over':
        this.#leaving = true
        this.#duties.length = 0
        this.#do(() => ({ event: { kind: 'handed_over', snapshot: command.snapshot, limits: [] }, parts: [] }))
        return
      case 'answer':
        if (command.id !== this.#asked) return
        this.#asked = null
        if (command.ok && command.permit?.apart) this.#fork = command.permit.snapshot
        if (command.ok && command.permit) this.#take(command.permit, this.#task)
        return
      case 'checkpoint': {
        const error = this.#random.chance(0.2) ? { error: 'no memory' } : {}
        const event = { kind: 'forked_writer', checkpoint: command.checkpoint, pid: 9, pause_ms: 1, ...error } as const
        return this.#do(() => ({ event, parts: [] }))
      }
      case 'restore': {
        if (command.permit) this.#take(command.permit, this.#asked === null ? null : this.#task)
        const lost = this.#random.chance(0.2) ? [{ name: 'x', type: 'y', reason: 'z' }] : []
        const code = this.#random.pick(['restore_failed', 'damaged_checkpoint'])
        const error = this.#random.chance(0.2) ? { error: { code, message: 'no', details: {} } } : {}
        const event = { kind: 'restored', id: command.id, restored: 1, lost, warnings: [], ms: 1, ...error } as const
        return this.#do(() => ({ event, parts: [] }))
      }
      case 'namespace':
        return this.#do(() => ({ event: { kind: 'namespace', id: command.id }, parts: [Buffer.from('{}')] }))
      case 'input': {
        const index = this.#questions.indexOf(command.id)
        if (index >= 0) this.#questions.splice(index, 1)
        return
      }
      case 'stop':
        this.stopping = true
        return
      default:
    }
  }

  /** Says something, or null if it has nothing to say now. `sober`: it only does what it was told to do. */
  speak(sober: boolean): Saying | null {
    const duty = this.#duties.shift()
    if (duty) return duty()
    const threads = sober || this.#random.chance(0.3) ? this.#subshells.speak(sober) : null
    if (threads) return threads
    if (this.#begun.length > 0 && !this.#leaving && (sober || this.#random.chance(0.1))) return this.#served()
    if (this.#asked !== null || this.#leaving || !this.#task) return sober ? null : this.#mumble()
    if (sober) return this.#reply(this.#task)
    return this.#work(this.#task)
  }

  #work(task: Task): Saying {
    const random = this.#random
    if (task.type !== 'execute_request' || random.chance(0.4)) return this.#reply(task)
    if (this.#beside.length > 0 && random.chance(0.5)) {
      this.#begun.push(...this.#beside.splice(0, 1))
      return this.#mumble()
    }
    if (random.chance(0.5)) return this.#ask(task.parent)
    if (this.#questions.length > 0)
      return { event: { kind: 'input_abandoned', id: this.#questions.pop() ?? '' }, parts: [] }
    if (random.chance(0.3)) return this.#question(task.parent)
    return this.#mumble()
  }

  #mumble(): Saying {
    const parent = this.#task?.parent ?? null
    if (this.#random.chance(0.7))
      return { event: { kind: 'stream', name: 'stdout', parent }, parts: [Buffer.from('x')] }
    const comm_id = `w${Math.floor(this.#random.next() * 5)}`
    const type = this.#random.pick(['comm_open', 'comm_close', 'comm_msg', 'display_data'])
    const target = type === 'comm_open' ? { target_name: 'widget' } : {}
    return { event: { kind: 'publish', type, parent, comm_id, ...target }, parts: [{}, {}] }
  }

  #reply(task: Task): Saying {
    this.#task = null
    if (this.#guard) this.#take(this.#guard, null)
    this.#guard = null
    const { seq } = task
    const beside = { returned: this.#beside.splice(0), going_on: [...this.#begun] }
    if (task.type.startsWith('comm_')) return { event: { kind: 'reply', seq, status: null }, parts: [] }
    const status = this.#random.pick(['ok', 'ok', 'error'] as const)
    const ahead = this.#ahead?.behind === seq && status === 'ok' && beside.returned.length === 0 ? this.#ahead : null
    this.#ahead = null
    const begins = ahead && this.#random.chance(0.8) ? { begins: ahead.seq } : {}
    if (begins.begins !== undefined) this.#task = ahead
    return {
      event: { kind: 'reply', seq, status, ename: 'ValueError', evalue: 'no', ...beside, ...begins, ...this.#cost() },
      parts: [{ status }, {}],
    }
  }

  /** Few cells rewrite much memory. */
  #cost(): object {
    return this.#random.chance(0.1) ? { faults: 30_000, seconds: 1, cpu_seconds: 1, system_seconds: 0.9 } : {}
  }

  /** One that comes when its cell is over goes back at once. */
  #hearBeside(seq: number, cell: number): void {
    if (this.#task?.seq !== cell) this.#do(() => ({ event: { kind: 'returned', seq }, parts: [] }))
    else if (!this.#begun.includes(seq)) this.#beside.push(seq)
  }

  #served(): Saying {
    return { event: { kind: 'served', seq: this.#begun.shift() ?? 0 }, parts: [] }
  }

  #ask(parent: string): Saying {
    this.#asks += 1
    const id = `${this.generation}.${this.#asks}`
    this.#asked = id
    const op = this.#random.pick(ASKS)
    const args = {
      begin: {
        block: this.#random.chance(0.5),
        policy: this.#random.pick(['explicit', 'rollback_on_failure', 'dry_run', 'wrong']),
      },
      savepoint: { name: this.#random.pick(['a', 'b']) },
      release: { name: 'a' },
      rollback: {
        message: true,
        reason: this.#random.pick(['error', 'requested']),
        to: this.#random.pick([null, 'a', 'b']),
      },
      restore: { checkpoint: 'some' },
      branch: { checkpoint: 'some', name: 'b' },
      diff: { from: 'some' },
      fork: { count: this.#random.pick([1, 2, 9]) },
      forked: { id: this.#fork },
      guard: { on: this.#random.chance(0.7) },
    }
    const event = { kind: 'ask', id, op, parent, args: (args as Record<string, object>)[op] ?? {} } as WorkerEvent
    return { event, parts: [] }
  }

  #question(parent: string): Saying {
    const id = `q${this.generation}.${(this.#asks += 1)}`
    this.#questions.push(id)
    return { event: { kind: 'input_request', id, parent }, parts: [{ prompt: '', password: false }] }
  }

  #sayUndone(): void {
    const snapshot = this.#recorded
    if (snapshot === undefined) return
    const effects = [{ kind: 'file_written', target: 'a', restored: this.#random.chance(0.5) } as const]
    this.#do(() => ({ event: { kind: 'undone', snapshot, effects, limits: [] }, parts: [] }))
  }

  #take({ snapshot, record }: SnapshotPermit, task: Task | null): void {
    const fails = this.#random.chance(0.1)
    this.#do(() => {
      if (!fails) this.#frozen.set(snapshot, { task, recorded: record && snapshot })
      const mode = this.#random.chance(0.2) ? ({ mode: 'transplant', hangs: ['polars'] } as const) : {}
      const outcome = fails ? { error: 'no memory' } : mode
      return { event: { kind: 'taken', snapshot, pid: 500, ms: 1, ...outcome }, parts: [] }
    })
  }

  #do(duty: () => Saying): void {
    this.#duties.push(duty)
  }
}
