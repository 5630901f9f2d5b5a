/**
 * A kernel without anything around it: events go in by hand, effects come out as lists.
 *
 * Time stands still unless a test moves it. Forks and wakes are answered at once by a worker that dials in, unless a
 * test wants to see what happens when none does.
 */

import { deserialize, serialize } from 'node:v8'
import { NO_POLICY, type CheckpointPolicy } from '../../src/kernel/auto-checkpoints.js'
import type { RecordingBounds, WorkerCommand, WorkerEvent } from '../../src/link/protocol.js'
import type { DeathCause, Effect, Head, KernelEvent, StoreCall } from '../../src/kernel/effects.js'
import type { Forked } from '../../src/kernel/forked.js'
import type { KernelLimits, KernelOptions, KernelState } from '../../src/kernel/state.js'
import { keep, revive, type KeptState } from '../../src/kernel/keeping.js'
import { start, step } from '../../src/kernel/step.js'
import type { RequestChannel } from '../../src/wire/message.js'
import { bytes, incoming, msgIdOf, parsed } from './messages.js'

export const LIMITS: KernelLimits = {
  queueLengthMax: 100,
  subshellsMax: 3,
  transactionDepthMax: 4,
  snapshotsMax: 8,
  snapshotBytesMax: 1_000_000,
  guardMomentsMax: 4,
  guardSettleMs: 100,
  youngMs: 100,
  fallsMax: 2,
  interruptNoticeMs: 20,
  interruptGraceMs: 100,
  parentsMax: 50,
  handOverMs: 200,
  wakeMs: 1_000,
  objectsMs: 2_000,
  forksMax: 3,
  forkMs: 1_000,
  undoMs: 1_000,
  stopMs: 100,
  settleMs: 50,
  checkpointMs: 60_000,
  restoreMs: 30_000,
  writersWaitingMax: 2,
  transferBytesMax: 100,
  namespaceMs: 500,
  saveLastMs: 3_000,
  saveAtEndMs: 2_000,
  restoreLastMs: 5_000,
  usageMs: 100,
  infoPatienceMs: 200,
  bufferedBytesMax: 1_000,
  aheadBytesMax: 1_000,
  debuggerUpMs: 1_000,
  debugRequestMs: 60_000,
}

/** Something that a client can see. */
export interface Heard {
  readonly channel: RequestChannel | 'iopub'
  /** Whom it was sent to; null: everybody. */
  readonly client: string | null
  readonly type: string
  readonly content: Readonly<Record<string, unknown>>
  readonly metadata: Readonly<Record<string, unknown>>
  readonly buffers: readonly Buffer[]
  /** msg_id of the request that it belongs to. */
  readonly parent: string | null
  readonly id: string
}

export interface Told {
  readonly command: WorkerCommand
  readonly parts: readonly Buffer[]
}

export interface Asked {
  readonly id: string
  readonly call: StoreCall
}

interface Options {
  readonly limits?: Partial<KernelLimits>
  readonly recover?: boolean
  readonly guard?: boolean
  /** false: the test says when the zygote is warm and who dials in. */
  readonly dials?: boolean
  /** Start Python with the first request that needs it; what to say to kernel_info until then. */
  readonly restoreLast?: boolean
  readonly records?: RecordingBounds
  readonly lazy?: { readonly kernelInfo: object | null }
  /** It can be forked, as in a gateway. */
  readonly forks?: boolean
  /** It is a fork. */
  readonly forked?: Forked
  /** Which checkpoints are made without being asked for. */
  readonly policy?: Partial<CheckpointPolicy>
  /** What the store says of the kernel's head, when it is asked. */
  readonly head?: Head | null
  readonly comeBackTo?: string
}

/** Each state that can be is written down and read back before it goes on: nothing but what is written may count. */
const KEEPS = process.env['KEEPS'] !== '0'

export class TestKernel {
  state: KernelState
  /** Milliseconds since the epoch. */
  now = 1_900_000_000_000
  dials: boolean
  /** false: the test says when all is read that clients had sent. */
  settles = true
  readonly heard: Heard[] = []
  readonly told: Told[] = []
  /** Cells that it may begin behind the one that it is at, and what was taken back of them. */
  readonly ahead: Told[] = []
  readonly asked: Asked[] = []
  readonly effects: Effect[] = []
  /** Pending deadlines by id. */
  readonly deadlines = new Map<string, number>()
  exit: number | null = null
  /** Where the store was told that the kernel stands. */
  readonly heads: Head[] = []
  readonly #head: Head | null
  #heads: string[] = []
  #sent = 0
  #pid = 100

  constructor({
    limits = {},
    recover = false,
    guard = false,
    dials = true,
    lazy,
    records,
    restoreLast = false,
    forks = false,
    forked,
    policy = {},
    head = null,
    comeBackTo,
  }: Options = {}) {
    this.dials = dials
    this.#head = head
    const options: KernelOptions = {
      session: 'kernel-session',
      seed: 'a seed for tests',
      ports: { shell_port: 1, iopub_port: 2, stdin_port: 3, control_port: 4, hb_port: 5 },
      recover,
      guard,
      linger: false,
      restoreLast,
      lazy: lazy !== undefined,
      kernelInfo: lazy?.kernelInfo ? bytes(lazy.kernelInfo) : null,
      checkpoints: { ...NO_POLICY, ...policy },
      ...(comeBackTo === undefined ? {} : { lost: { head: comeBackTo, cells: [] } }),
      offersSubshells: true,
      forks,
      ...(forked ? { forked } : {}),
      records: records ?? null,
      limits: { ...LIMITS, ...limits },
    }
    const { state, effects } = start(options, this.now)
    this.state = state
    for (const effect of effects) this.#see(effect)
    if (dials && !lazy)
      this.deliver({ on: 'zygote_ready', kernelInfo: bytes({ status: 'ok', implementation: 'ipython' }) })
  }

  // ------------------------------------------------------------------------------------------ what happens to it

  deliver(event: KernelEvent): void {
    const kept = KEEPS ? keep(this.state) : null
    if (kept) this.state = revive(deserialize(serialize(kept)) as KeptState)
    const effects = step(this.state, event, this.now)
    for (const effect of effects) this.#see(effect)
    if (this.dials) this.#dial(effects)
    for (const id of this.#heads.splice(0)) {
      this.deliver({ on: 'store', id, outcome: { ok: true, value: this.#head } })
    }
    for (const effect of effects) {
      if (effect.do !== 'settle' || !this.settles) continue
      this.deliver({ on: 'settled', ...(effect.seq === undefined ? {} : { seq: effect.seq }) })
    }
  }

  /** A client's message; its msg_id. */
  send(
    channel: RequestChannel,
    type: string,
    content: unknown = {},
    more: {
      by?: string
      metadata?: unknown
      parent?: unknown
      buffers?: readonly string[]
      subshell?: string
      withdraws?: boolean
      misses?: boolean
    } = {},
  ): string {
    this.#sent += 1
    const { by = 'ann', withdraws = false, misses = false, ...rest } = more
    const id = `m${this.#sent}`
    const message = incoming({ id, type, content, session: by, ...rest })
    this.deliver({ on: 'message', channel, client: { routing: [Buffer.from(by)], withdraws, misses }, message })
    return id
  }

  execute(
    code: string,
    more: {
      content?: object
      metadata?: unknown
      by?: string
      subshell?: string
      withdraws?: boolean
      misses?: boolean
    } = {},
  ): string {
    const { content, ...rest } = more
    return this.send('shell', 'execute_request', { code, ...content }, rest)
  }

  /** The worker says something; `seq` of a reply is that of the running request unless given. */
  says(event: WorkerEvent, ...parts: unknown[]): void {
    this.saysAs(this.state.generation, event, ...parts)
  }

  saysAs(generation: number, event: WorkerEvent, ...parts: unknown[]): void {
    this.deliver({ on: 'worker', generation, event, parts: parts.map(bytes) })
  }

  /** The worker answers the request that it was given last. */
  replies(
    status: 'ok' | 'error' | null = 'ok',
    content: object = {},
    more: { ename?: string; evalue?: string } = {},
  ): void {
    const seq = this.lastRequest().seq
    this.says({ kind: 'reply', seq, status, ...more }, { status, ...content }, {})
  }

  dies(
    cause: Partial<DeathCause> = { signal: { name: 'SIGKILL', number: 9 } },
    generation = this.state.generation,
  ): void {
    this.deliver({ on: 'worker_died', generation, cause: { code: null, signal: null, ...cause } })
  }

  /** The store answers the oldest call that it was asked. */
  stores(value: unknown): void {
    this.#answerStore({ ok: true, value })
  }

  storeFails(code: string, message = 'It did not work.'): void {
    this.#answerStore({ ok: false, error: { code, message, details: {} } })
  }

  /** Lets the deadline of that name pass. */
  expires(id: string): void {
    const found = [...this.deadlines.keys()].find((each) => each === id || each.startsWith(id))
    if (found === undefined) throw new Error(`No deadline ${id}; there are: ${[...this.deadlines.keys()].join(', ')}.`)
    this.now += this.deadlines.get(found) ?? 0
    this.deadlines.delete(found)
    this.deliver({ on: 'deadline', id: found })
  }

  // --------------------------------------------------------------------------------------------- what came of it

  /** The command of that kind that the worker was given last. */
  lastCommand<K extends WorkerCommand['kind']>(kind: K): Extract<WorkerCommand, { kind: K }> {
    const found = this.told.findLast(({ command }) => command.kind === kind)
    if (!found)
      throw new Error(`No ${kind} was sent; there were: ${this.told.map(({ command }) => command.kind).join(', ')}.`)
    return found.command as Extract<WorkerCommand, { kind: K }>
  }

  lastRequest(): Extract<WorkerCommand, { kind: 'request' }> {
    return this.lastCommand('request')
  }

  /** `type content.status|execution_state` of all that belongs to a request, in order. */
  conversation(parent: string): string[] {
    return this.heard.filter((each) => each.parent === parent).map(inShort)
  }

  reply(parent: string): Heard {
    const found = this.heard.find(
      (each) => each.parent === parent && each.type.endsWith('_reply') && each.channel !== 'iopub',
    )
    if (!found) throw new Error(`No reply to ${parent}.`)
    return found
  }

  /** `metadata.savepoint` of a cell's reply. */
  report(parent: string): Readonly<Record<string, unknown>> {
    return this.reply(parent).metadata['savepoint'] as Readonly<Record<string, unknown>>
  }

  did<D extends Effect['do']>(kind: D): Extract<Effect, { do: D }>[] {
    return this.effects.filter((effect) => effect.do === kind) as Extract<Effect, { do: D }>[]
  }

  #answerStore(outcome: Extract<KernelEvent, { on: 'store' }>['outcome']): void {
    const call = this.asked.shift()
    if (!call) throw new Error('The store was not asked for anything.')
    this.deliver({ on: 'store', id: call.id, outcome })
  }

  #see(effect: Effect): void {
    this.effects.push(effect)
    switch (effect.do) {
      case 'publish':
        this.#hear('iopub', null, effect.message, `k${this.effects.length}`)
        return
      case 'publish_stream': {
        const content = bytes({ name: effect.name, text: JSON.parse(`"${effect.text.toString()}"`) })
        const message = {
          type: 'stream',
          parentBytes: effect.parentBytes,
          metadataBytes: bytes({}),
          contentBytes: content,
          buffers: [],
        }
        this.#hear('iopub', null, message, `k${this.effects.length}`)
        return
      }
      case 'reply':
        this.#hear(effect.channel, nameOf(effect.client.routing), effect.message, `k${this.effects.length}`)
        return
      case 'ask_client':
        this.#hear('stdin', nameOf(effect.client.routing), effect.message, effect.messageId)
        return
      case 'command':
        if (isAhead(effect.command)) this.ahead.push({ command: effect.command, parts: effect.parts })
        else this.told.push({ command: effect.command, parts: effect.parts })
        return
      case 'store':
        if (effect.call.call === 'set_head') this.heads.push({ head: effect.call.head, branch: effect.call.branch })
        else if (effect.call.call === 'head') this.#heads.push(effect.id)
        else this.asked.push({ id: effect.id, call: effect.call })
        return
      case 'deadline':
        this.deadlines.set(effect.id, effect.afterMs)
        return
      case 'cancel_deadline':
        this.deadlines.delete(effect.id)
        return
      case 'exit':
        this.exit = effect.code
        return
      default:
    }
  }

  #hear(channel: Heard['channel'], client: string | null, message: Sent, id: string): void {
    this.heard.push({
      channel,
      client,
      type: message.type,
      content: objectOf(message.contentBytes),
      metadata: objectOf(message.metadataBytes),
      buffers: message.buffers,
      parent: msgIdOf(message.parentBytes),
      id,
    })
  }

  #dial(effects: readonly Effect[]): void {
    for (const effect of effects) {
      const token = effect.do === 'fork' ? effect.token : effect.do === 'wake' ? this.state.worker?.token : undefined
      if (token === undefined) continue
      this.#pid += 1
      this.deliver({ on: 'worker_up', token, pid: this.#pid })
    }
  }
}

type Sent = Extract<Effect, { do: 'publish' }>['message']

function inShort({ channel, type, content }: Heard): string {
  const detail = content['execution_state'] ?? content['status'] ?? content['text'] ?? ''
  return `${channel} ${type} ${typeof detail === 'string' ? detail : ''}`.trim()
}

function objectOf(value: Buffer): Readonly<Record<string, unknown>> {
  return parsed(value) as Readonly<Record<string, unknown>>
}

function nameOf(routing: readonly Buffer[]): string {
  return routing.map((each) => each.toString()).join('/')
}

/** It is about a cell that may be begun behind the one that runs. */
export function isAhead(command: WorkerCommand): boolean {
  return command.kind === 'withdraw' || (command.kind === 'request' && command.behind !== undefined)
}
