/** A kernel that is nothing but its step, with the worker and the store that a transcript scripts. */

import type { WorkerCommand, WorkerEvent, WriterEvent } from '../../src/link/protocol.js'
import type { RequestChannel } from '../../src/wire/message.js'
import { mismatch, type Names } from './match.js'
import { bytes } from './messages.js'
import type { Hearing, Speech, Stage } from './perform.js'
import { isAhead, TestKernel, type Heard } from './test-kernel.js'
import type { Line } from './transcript.js'

/** What goes on between gateway and worker in any case is not written down, unless a transcript wants it so. */
const ROUTINE = ['welcome', 'forget', 'hand_over', 'stop', 'kill', 'discard', 'wake', 'fork', 'stop_workers', 'answer']
const SIGNALS: Readonly<Record<string, number>> = { SIGKILL: 9, SIGSEGV: 11 }

interface Told {
  readonly kind: string
  readonly body: unknown
}

export class PureStage implements Stage {
  readonly isOurs = true
  readonly #kernel = new TestKernel()
  #seen = 0
  #settling = false
  #stopping = false
  readonly #heard: (Heard & { readonly order: number })[] = []
  readonly #told: Told[] = []
  /** Ids that the worker would take from what it was told. */
  #seq = 0
  #parent: string | null = null
  #count = 0
  #snapshot = ''
  #checkpoint = ''
  #restore = ''

  constructor() {
    this.#watch()
    this.#kernel.settles = false
    // Everybody has heard that the kernel starts.
    this.#heard.length = 0
    this.#told.length = 0
  }

  async say(speech: Speech): Promise<string> {
    const { channel, type, content, metadata, parent, buffers, by } = speech
    const id = this.#kernel.send(channel as RequestChannel, type, content, { by, metadata, parent, buffers })
    this.#watch()
    return id
  }

  async hear(channel: string, client: string): Promise<Hearing> {
    this.#settle()
    this.#stop()
    if (channel === 'process') return this.#exit()
    const index = this.#heard.findIndex((each) => each.channel === channel && (each.client ?? client) === client)
    const [found] = index < 0 ? [] : this.#heard.splice(index, 1)
    if (!found) throw new Error(`nothing came on ${channel}`)
    return {
      type: found.type,
      content: found.content,
      metadata: found.metadata,
      buffers: found.buffers.map(String),
      header: { msg_id: found.id, msg_type: found.type },
      parent: found.parent,
      order: found.order,
    }
  }

  readonly script = (line: Line, names: Names): void => {
    this.#settle()
    const [first, ...parts] = line.values
    if (line.kind === 'worker told') this.#expectTold(line, names)
    else if (line.kind === 'worker says') this.#workerSays(line.type, (first ?? {}) as Envelope, parts)
    else if (line.kind === 'store asked') this.#expectAsked(line, names)
    else if (line.kind === 'store says') this.#kernel.stores(names.actual(first))
    else this.#kernel.storeFails(line.type)
    this.#watch()
  }

  async rest(): Promise<readonly string[]> {
    this.#settle()
    this.#stop()
    const heard = this.#heard.map(({ channel, type, content }) => `< ${channel} ${type} ${JSON.stringify(content)}`)
    const told = this.#told
      .filter(({ kind }) => !ROUTINE.includes(kind))
      .map(({ kind, body }) => `w< ${kind} ${JSON.stringify(body)}`)
    const asked = this.#kernel.asked.map(({ call }) => `s< ${call.call} ${JSON.stringify(call)}`)
    return [...heard, ...told, ...asked]
  }

  #exit(): Hearing {
    if (this.#kernel.exit === null) throw new Error('the kernel has not ended')
    const content = { code: this.#kernel.exit }
    const header = { msg_id: '', msg_type: 'exit' }
    return { type: 'exit', content, metadata: {}, buffers: [], header, parent: null, order: null }
  }

  #expectTold({ type, values }: Line, names: Names): void {
    for (let told = this.#told.shift(); told; told = this.#told.shift()) {
      if (told.kind === type) {
        const wrong = mismatch(values[0] ?? {}, names.canonical(told.body), 'command')
        if (wrong !== null) throw new Error(wrong)
        return
      }
      if (!ROUTINE.includes(told.kind)) throw new Error(`the worker was told ${told.kind} ${JSON.stringify(told.body)}`)
    }
    throw new Error('the worker was not told that')
  }

  #expectAsked({ type, values }: Line, names: Names): void {
    const asked = this.#kernel.asked[0]?.call
    if (asked?.call !== type) throw new Error(`the store was asked ${asked?.call ?? 'nothing'}`)
    const wrong = mismatch(values[0] ?? {}, names.canonical(asked), 'call')
    if (wrong !== null) throw new Error(wrong)
  }

  #workerSays(kind: string, envelope: Envelope, parts: readonly unknown[]): void {
    const kernel = this.#kernel
    if (kind === 'died') {
      const name = String(envelope['signal'])
      kernel.dies({ signal: { name, number: SIGNALS[name] ?? 1 } })
    } else if (kind === 'written' || kind === 'write_failed') {
      const event = { kind, checkpoint: this.#checkpoint, ms: 3, reason: '', ...envelope } as WriterEvent
      kernel.deliver({ on: 'writer', event, parts: parts.map(bytes) })
    } else {
      const event = { kind, ...this.#defaults(kind), ...envelope } as WorkerEvent
      kernel.says(event, ...this.#parts(event, parts))
    }
  }

  #defaults(kind: string): Envelope {
    switch (kind) {
      case 'reply':
        return { seq: this.#seq }
      case 'stream':
      case 'publish':
      case 'input_request':
      case 'ask':
        return { parent: this.#parent, id: 'a1', args: {} }
      case 'taken':
        return { snapshot: this.#snapshot, pid: 77, ms: 0.5 }
      case 'forked_writer':
        return { checkpoint: this.#checkpoint, pid: 78, pause_ms: 1 }
      case 'restored':
        return { id: this.#restore, restored: 1, lost: [], warnings: [], ms: 2 }
      default:
        return {}
    }
  }

  #parts(event: WorkerEvent, parts: readonly unknown[]): readonly unknown[] {
    if (event.kind === 'stream') return parts.map((text) => Buffer.from(JSON.stringify(text).slice(1, -1)))
    if (event.kind !== 'reply') return parts
    const content = { status: event.status, execution_count: this.#count, user_expressions: {}, payload: [] }
    return [parts[0] ?? content, parts[1] ?? {}]
  }

  /** Takes in what the kernel did, and does what nobody would write down. */
  #watch(): void {
    const { effects, heard } = this.#kernel
    const fresh = effects.slice(this.#seen)
    this.#seen = effects.length
    for (const each of heard.splice(0)) this.#heard.push({ ...each, order: (this.#order += 1) })
    for (const effect of fresh) {
      if (effect.do === 'command') this.#hearCommand(effect.command, effect.parts)
      else if (effect.do === 'interrupt_worker') this.#told.push({ kind: 'SIGINT', body: effect })
      else if (effect.do === 'settle') this.#settling = true
      else if (effect.do === 'stop_workers') this.#then(() => this.#kernel.deliver({ on: 'workers_stopped' }))
    }
  }
  #order = 0

  #hearCommand(command: WorkerCommand, parts: readonly Buffer[]): void {
    // This worker begins nothing before its turn, so that a transcript reads in the order of what clients see.
    if (isAhead(command)) return
    this.#told.push({ kind: command.kind, body: command })
    if (command.kind === 'request') {
      this.#seq = command.seq
      this.#parent = (JSON.parse(String(parts[0])) as { msg_id: string }).msg_id
      this.#count = command.execution_count ?? 0
    } else if (command.kind === 'checkpoint') this.#checkpoint = command.checkpoint
    else if (command.kind === 'restore') this.#restore = command.id
    else if (command.kind === 'stop') this.#stopping = true
    else if (command.kind === 'hand_over') {
      const { snapshot } = command
      this.#then(() => this.#kernel.says({ kind: 'handed_over', snapshot, limits: [] }))
    }
    const permit = command.kind === 'welcome' ? command.woken?.permit : 'permit' in command ? command.permit : undefined
    if (permit) this.#snapshot = permit.snapshot
  }

  #then(happen: () => void): void {
    happen()
    this.#watch()
  }

  /** A worker that was told to stop says its last words, then it ends. */
  #stop(): void {
    if (!this.#stopping) return
    this.#stopping = false
    this.#then(() => this.#kernel.dies({ code: 0, signal: null }))
  }

  /** All that clients said in one breath has arrived. */
  #settle(): void {
    if (!this.#settling) return
    this.#settling = false
    this.#then(() => this.#kernel.deliver({ on: 'settled' }))
  }
}

type Envelope = Readonly<Record<string, unknown>>
