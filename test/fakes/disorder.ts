/**
 * A kernel in a world where everything happens in any order: clients, workers, stores and deadlines do what they may do
 * whenever chance has it. After each step the invariants are checked.
 */

import type { Effect, KernelEvent, OpOutcome } from '../../src/kernel/effects.js'
import type { KernelOptions, KernelState } from '../../src/kernel/state.js'
import { start, step } from '../../src/kernel/step.js'
import type { RequestChannel } from '../../src/wire/message.js'
import { bytes, incoming, msgIdOf, parsed } from '../support/messages.js'
import { checkInvariants } from './invariants.js'
import { Random } from './random.js'
import { randomOptions } from './random-options.js'
import { anyRequest } from './random-requests.js'
import { RandomWorker, type Frozen, type Saying } from './random-worker.js'

interface Served {
  readonly type: string
  busy: number
  /** How often a worker was through with it beside a cell. */
  beside: number
  replies: number
  idle: number
}

/** The kernel in the middle of it. */
export interface Policy {
  readonly state: KernelState
  /** What there is to do at first. */
  readonly effects: readonly Effect[]
  take(event: KernelEvent, now: number): readonly Effect[]
}

function purePolicy(options: KernelOptions, now: number): Policy {
  const { state, effects } = start(options, now)
  return { state, effects, take: (event, at) => step(state, event, at) }
}

export class Disorder {
  readonly state: KernelState
  readonly random: Random
  readonly served = new Map<string, Served>()
  readonly trace: string[] = []
  exit: number | null = null
  #now = 1
  #sent = 0
  #pids = 100
  readonly #frozen = new Map<string, Frozen>()
  readonly #permitted = new Set<string>()
  readonly #gone = new Set<string>()
  readonly #dials: (() => void)[] = []
  readonly #deadlines = new Set<string>()
  readonly #calls: { readonly id: string; readonly isExport: boolean }[] = []
  /** What was looked at and not told yet. */
  readonly #measured: string[] = []
  readonly #writers: string[] = []
  readonly #workers = new Map<number, RandomWorker>()
  /** msg_id by seq, of what was handed over beside a cell. */
  readonly #beside = new Map<number, string>()
  readonly #settles: (number | undefined)[] = []
  #stops = 0
  /** Forks of this kernel that nobody was told of. */
  readonly kernels = new Set<string>()
  #made = 0

  readonly #policy: Policy

  constructor(seed: number, policyOf = purePolicy) {
    this.random = new Random(seed)
    const options = randomOptions(seed, this.random)
    this.#policy = policyOf(options, this.#now)
    this.state = this.#policy.state
    for (const effect of this.#policy.effects) this.#perform(effect)
    this.#deliver({ on: 'zygote_ready', kernelInfo: bytes({ status: 'ok' }) })
  }

  /** One thing happens. */
  happen(): void {
    const choices: (() => void)[] = [
      this.#request,
      this.#request,
      this.#worker,
      this.#worker,
      this.#worker,
      this.#worker,
      this.#process,
      this.#process,
    ]
    const rare: (() => void)[] = [
      this.#death,
      this.#expiry,
      this.#snapshotDies,
      this.#ghost,
      this.#interrupt,
      this.#goes,
    ]
    if (this.random.chance(0.002)) this.#end()
    else this.random.pick(this.random.chance(0.06) ? rare : choices).call(this)
  }

  /** No more surprises: everybody does what they were told, until there is nothing left to do. */
  calm(): void {
    for (let rounds = 0; rounds < 2_000; rounds += 1) {
      const before = this.trace.length
      this.#process()
      const saying = this.#current()?.speak(true)
      if (saying) this.#say(saying)
      if (this.trace.length > before) continue
      // What is still waited for will never come: a killed snapshot does not dial in.
      if (this.#deadlines.size === 0) return
      this.#expiry()
    }
    throw new Error('The kernel does not come to rest.')
  }

  // -------------------------------------------------------------------------------------------------- what happens

  #request(): void {
    const { random } = this
    if (random.chance(0.1)) {
      const message = incoming({ id: 'answer', type: 'input_reply', content: { value: 'x' } })
      return this.#deliver({ on: 'message', channel: 'stdin', client: { routing: [Buffer.from('ann')] }, message })
    }
    const [type, content, metadata] = anyRequest(this.random, this.state)
    if (random.chance(0.1)) return this.#askAboutSubshells()
    const channel: RequestChannel = random.chance(0.15) ? 'control' : 'shell'
    const subshell = random.chance(0.3) ? random.pick([...this.state.subshells.keys(), 'nobody']) : undefined
    this.#send(channel, type, content, metadata, subshell)
  }

  #askAboutSubshells(): void {
    const subshell_id = this.random.pick([...this.state.subshells.keys(), 'nobody'])
    const type = this.random.pick(['create', 'create', 'delete', 'list'])
    this.#send('control', `${type}_subshell_request`, { subshell_id })
  }

  /** Whoever began something has gone, and may be there again at once. */
  #goes(): void {
    this.#deliver({ on: 'client_gone', client: { routing: [Buffer.from('ann')] } })
  }

  #worker(): void {
    const worker = this.#current()
    if (!worker) return
    if (worker.stopping) return this.#dies(worker)
    const saying = worker.speak(false)
    if (saying) this.#say(saying)
  }

  /** Processes dial in, the store answers, writers write: what the surroundings owe. */
  #process(): void {
    const { random } = this
    const dial = this.#dials.shift()
    if (dial) return dial()
    const call = this.#calls.shift()
    if (call !== undefined) return this.#store(call)
    const measured = this.#measured.shift()
    if (measured !== undefined) return this.#deliver({ on: 'measured', id: measured, usage: {} })
    const checkpoint = this.#writers.shift()
    if (checkpoint !== undefined) {
      if (random.chance(0.2)) {
        this.#writers.unshift(checkpoint)
        const event = { kind: 'writing', checkpoint, done_bytes: 1, total_bytes: null, variable: 'x' } as const
        return this.#deliver({ on: 'writer', event, parts: [] })
      }
      const event = random.chance(0.8)
        ? { kind: 'written', checkpoint, ms: 1 }
        : { kind: 'write_failed', checkpoint, reason: 'full' }
      return this.#deliver({
        on: 'writer',
        event: event as { kind: 'written'; checkpoint: string; ms: number },
        parts: [
          Buffer.from(JSON.stringify({ lost: random.chance(0.2) ? [{ name: 'x', type: 'y', reason: 'z' }] : [] })),
        ],
      })
    }
    if (this.#settles.length > 0) {
      const seq = this.#settles.shift()
      return this.#deliver({ on: 'settled', ...(seq === undefined ? {} : { seq }) })
    }
    if (this.#stops > 0) {
      this.#stops -= 1
      return this.#deliver({ on: 'workers_stopped' })
    }
    const worker = this.#current()
    if (worker?.stopping) this.#dies(worker)
  }

  #store({ id, isExport }: { readonly id: string; readonly isExport: boolean }): void {
    const record = { checkpoint_id: 'cp_x', note: null, branch: 'main', created_at: 'then' }
    const value = {
      items: [{ checkpoint_id: 'cp_x', parent_id: 'cp_w' }],
      head: 'cp_x',
      branch: 'main',
      checkpoint_id: `cp_${id.slice(-4)}`,
      path: '/x',
      record,
      format: 1,
      packs: [],
      root: null,
      map: null,
    }
    const error = { code: 'storage_failed', message: 'no', details: {} }
    this.#deliver({
      on: 'store',
      id,
      outcome: this.random.chance(0.9)
        ? { ok: true, value: isExport ? bytes('exported') : value }
        : { ok: false, error },
    })
  }

  #death(): void {
    const worker = this.#current()
    if (worker) this.#dies(worker)
  }

  #dies(worker: RandomWorker): void {
    this.#workers.delete(worker.generation)
    this.#deliver({
      on: 'worker_died',
      generation: worker.generation,
      cause: { code: null, signal: { name: 'SIGKILL', number: 9 } },
    })
  }

  #expiry(): void {
    const ids = [...this.#deadlines]
    if (ids.length === 0) return
    const id = this.random.pick(ids)
    this.#deadlines.delete(id)
    this.#deliver({ on: 'deadline', id })
  }

  #snapshotDies(): void {
    const ids = [...this.#frozen.keys()]
    if (ids.length === 0) return
    const snapshot = this.random.pick(ids)
    this.#frozen.delete(snapshot)
    this.#gone.add(snapshot)
    this.#deliver({ on: 'snapshot_gone', snapshot })
  }

  /** Something that a worker of long ago had said. */
  #ghost(): void {
    const event = this.random.pick([
      { kind: 'reply', seq: this.state.nextSeq - 1, status: 'ok' },
      { kind: 'ask', id: 'ghost', op: 'rollback', parent: null, args: {} },
      { kind: 'taken', snapshot: 'sn_1', pid: 1, ms: 1 },
    ] as const)
    this.#deliver({ on: 'worker', generation: this.state.generation - 1, event, parts: [] })
  }

  #interrupt(): void {
    if (this.random.chance(0.5)) this.#deliver({ on: 'interrupt' })
    else this.#send('control', this.random.pick(['interrupt_request', 'usage_request']), {})
  }

  #end(): void {
    if (this.random.chance(0.4)) this.#send('control', 'shutdown_request', { restart: false })
    else if (this.random.chance(0.5)) this.#deliver({ on: 'terminate', code: 0 })
    else this.#zygoteDies()
  }

  #zygoteDies(): void {
    this.#workers.clear()
    this.#dials.length = 0
    this.#deliver({ on: 'zygote_died' })
  }

  // ------------------------------------------------------------------------------------------------------ plumbing

  #send(channel: RequestChannel, type: string, content: unknown, metadata: unknown = {}, subshell?: string): void {
    const id = `m${(this.#sent += 1)}`
    this.served.set(id, { type, busy: 0, beside: 0, replies: 0, idle: 0 })
    const message = incoming({ id, type, content, metadata, ...(subshell === undefined ? {} : { subshell }) })
    this.#deliver({ on: 'message', channel, client: { routing: [Buffer.from('ann')] }, message })
  }

  #say({ event, parts }: Saying): void {
    if (event.kind === 'served') this.#servedBeside(event.seq)
    if (event.kind === 'reply') event.going_on?.forEach((seq) => this.#servedBeside(seq))
    if (event.kind === 'forked_writer' && event.error === undefined) this.#writers.push(event.checkpoint)
    this.#deliver({ on: 'worker', generation: this.state.generation, event, parts: parts.map(bytes) })
  }

  #servedBeside(seq: number): void {
    const request = this.served.get(this.#beside.get(seq) ?? '')
    const lines = [this.state, ...this.state.subshells.values()]
    if (request && lines.some(({ beside }) => beside.has(seq))) request.beside += 1
    if (request && request.beside + request.busy > 1) throw new Error(`${request.type} was served twice`)
  }

  #current(): RandomWorker | undefined {
    return this.#workers.get(this.state.generation)
  }

  #deliver(event: KernelEvent): void {
    this.#now += 1
    this.trace.push(inShort(event))
    const wasDead = this.state.phase === 'dead'
    const effects = this.#policy.take(event, this.#now)
    if (wasDead && effects.length > 0) throw new Error('a dead kernel did something')
    for (const effect of effects) this.#perform(effect)
    checkInvariants(this.state, { gone: this.#gone, deadlines: this.#deadlines, exit: this.exit })
  }

  #perform(effect: Effect): void {
    switch (effect.do) {
      case 'publish':
        return this.#published(effect.message)
      case 'reply':
        return this.#replied(effect.message)
      case 'command':
        return this.#command(effect)
      case 'fork':
      case 'wake':
        return this.#start(effect)
      case 'become':
        return this.#start({ do: 'fork', token: this.state.worker?.token ?? '' })
      case 'copy': {
        const { name } = effect
        const error = this.random.chance(0.1) ? 'no memory' : null
        this.#permitted.add(name)
        this.#dials.push(() => this.#deliver({ on: 'copied', name, error }))
        return
      }
      case 'make_kernels': {
        const { id, copies } = effect
        this.#dials.push(() => this.#deliver({ on: 'kernels_made', id, outcome: this.#makeKernels(copies) }))
        return
      }
      case 'end_kernels':
        for (const id of effect.kernels)
          if (!this.kernels.delete(id)) throw new Error(`${id} was ended and never made, or is somebody’s`)
        return
      case 'kill':
        if (effect.pid <= 100) throw new Error(`${effect.pid} was never a worker’s`)
        return
      case 'discard':
        for (const id of effect.snapshots) {
          if (!this.#permitted.has(id)) throw new Error(`${id} was discarded and never permitted`)
          this.#frozen.delete(id)
        }
        return
      case 'deadline':
        this.#deadlines.add(effect.id)
        return
      case 'cancel_deadline':
        this.#deadlines.delete(effect.id)
        return
      case 'store':
        if (effect.call.call !== 'abandon_checkpoint') {
          const { id, call } = effect
          this.#calls.push({ id, isExport: call.call === 'export_checkpoint' })
        }
        return
      case 'weigh': {
        const { id, pids } = effect
        if (this.random.chance(0.7))
          this.#dials.push(() =>
            this.#deliver({ on: 'weighed', id, bytes: pids.map(() => this.random.pick([0, 100, 900, null])) }),
          )
        return
      }
      case 'measure':
        // Sometimes nothing comes of it, and its deadline has to pass.
        if (this.random.chance(0.7)) this.#measured.push(effect.id)
        return
      case 'settle':
        this.#settles.push(effect.seq)
        return
      case 'stop_workers':
        this.#workers.clear()
        this.#stops += 1
        return
      case 'exit':
        if (this.exit !== null) throw new Error('it ended twice')
        this.exit = effect.code
        return
      default:
    }
  }

  /** Commands that nobody hears are in order while a worker is being replaced, and else a mistake. */
  #command({ command, parts }: Extract<Effect, { do: 'command' }>): void {
    if (command.kind === 'request' && command.beside !== undefined)
      this.#beside.set(command.seq, msgIdOf(parts[0] ?? bytes({})) ?? '')
    if ('permit' in command && command.permit) this.#permitted.add(command.permit.snapshot)
    if (command.kind === 'answer') this.#toldOf(JSON.stringify(command))
    if (command.kind === 'request') {
      for (const copy of [command.refresh, command.guard]) if (copy) this.#permitted.add(copy.snapshot)
    }
    const worker = this.#current()
    if (worker) worker.hear(command, parts)
    else if (this.state.phase === 'idle' || (this.state.phase === 'busy' && this.#dials.length === 0)) {
      throw new Error(`nobody is there for ${command.kind}`)
    }
  }

  #start(effect: Extract<Effect, { do: 'fork' | 'wake' }>): void {
    const { generation, worker } = this.state
    const token = effect.do === 'fork' ? effect.token : (worker?.token ?? '')
    let as: Frozen | undefined = { task: null }
    if (effect.do === 'wake') {
      if (!this.#permitted.has(effect.snapshot)) throw new Error(`${effect.snapshot} was woken and never permitted`)
      as = this.#frozen.get(effect.snapshot)
      this.#frozen.delete(effect.snapshot)
      if (!as) {
        // It was killed: the zygote says so, or a deadline has to end the wait.
        const { snapshot } = effect
        if (this.random.chance(0.5)) this.#dials.push(() => this.#deliver({ on: 'snapshot_gone', snapshot }))
        return
      }
    }
    const pid = (this.#pids += 1)
    this.#dials.push(() => {
      if (generation === this.state.generation)
        this.#workers.set(generation, new RandomWorker(generation, pid, this.random, this.#frozen, as))
      this.#deliver({ on: 'worker_up', token, pid })
    })
  }

  #makeKernels(copies: readonly string[]): OpOutcome {
    for (const id of copies) if (!this.#permitted.has(id)) throw new Error(`${id} was never permitted`)
    if (this.random.chance(0.2)) return { ok: false, error: { code: 'quota_exceeded', message: 'No.', details: {} } }
    const kernels = copies.map(() => ({ id: `kernel-${(this.#made += 1)}` }))
    for (const { id } of kernels) this.kernels.add(id)
    return { ok: true, result: { kernels } }
  }

  /** Whoever hears of kernels may end them. */
  #toldOf(text: string): void {
    for (const [id] of text.matchAll(/kernel-\d+/g)) this.kernels.delete(id)
  }

  #published(message: Extract<Effect, { do: 'publish' }>['message']): void {
    if (message.type === 'comm_msg') this.#toldOf(message.contentBytes.toString())
    if (message.type !== 'status') return
    const request = this.served.get(msgIdOf(message.parentBytes) ?? '')
    if (!request) return
    const { execution_state } = parsed(message.contentBytes) as { execution_state: string }
    if (execution_state === 'busy') request.busy += 1
    else request.idle += 1
    if (request.busy !== 1 || request.idle > 1 || request.beside > 0)
      throw new Error(`${request.type}: ${request.busy} busy, ${request.idle} idle`)
  }

  #replied(message: Extract<Effect, { do: 'reply' }>['message']): void {
    const request = this.served.get(msgIdOf(message.parentBytes) ?? '')
    if (!request) throw new Error('a reply to nobody')
    request.replies += 1
    if (request.replies > 1) throw new Error(`${request.type} was answered twice`)
    if (request.busy !== 1 || request.idle !== 0)
      throw new Error(`${request.type} was answered outside its busy and idle`)
    if (!request.type.endsWith('_request')) throw new Error(`${request.type} wants no answer`)
  }
}

function inShort(event: KernelEvent): string {
  if (event.on === 'message')
    return `${event.channel} ${event.message.header.msg_type} ${event.message.contentBytes.toString()} ${event.message.metadataBytes.toString()}`
  if (event.on === 'worker') return `worker ${event.generation} ${JSON.stringify(event.event)}`
  return JSON.stringify(event)
}
