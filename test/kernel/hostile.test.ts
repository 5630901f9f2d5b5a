/**
 * Whatever bytes come in, the wire refuses by name or the kernel serves: nothing is thrown, nothing is answered twice,
 * nothing stays busy. Twenty thousand messages; with RUN_SLOW=1 a million. HOSTILE_SEED begins elsewhere.
 */

import { NO_POLICY } from '../../src/kernel/auto-checkpoints.js'
import { SavepointError } from '../../src/errors.js'
import type { Effect, KernelEvent } from '../../src/kernel/effects.js'
import { start, step } from '../../src/kernel/step.js'
import type { KernelState } from '../../src/kernel/state.js'
import type { WorkerCommand, WorkerEvent } from '../../src/link/protocol.js'
import { open } from '../../src/wire/codec.js'
import { SignatureGuard, createSigner } from '../../src/wire/signature.js'
import { Hostile } from '../fakes/hostile.js'
import { Random } from '../fakes/random.js'
import { LIMITS } from '../support/test-kernel.js'

const KEY = 'a key for tests'
const PER_KERNEL = 1_000
const KERNELS = process.env['RUN_SLOW'] === '1' ? 1_000 : 20
const FIRST_SEED = Number(process.env['HOSTILE_SEED'] ?? 1)
const CHANNELS = ['shell', 'shell', 'shell', 'control', 'stdin'] as const

/** A kernel whose worker answers everything at once and without a mistake. */
class Served {
  readonly refused = new Map<string, number>()
  readonly states = new Map<Buffer, string[]>()
  served = 0
  ended = false
  readonly #state: KernelState
  readonly #pending: KernelEvent[] = []
  readonly #deadlines = new Set<string>()
  readonly #random: Random
  readonly #guard = new SignatureGuard(createSigner('hmac-sha256', KEY))
  readonly #hostile: Hostile
  #pid = 100

  constructor(seed: number) {
    this.#random = new Random(seed)
    this.#hostile = new Hostile(this.#random, KEY)
    const { state, effects } = start(
      {
        session: 's',
        seed: `${seed}`,
        ports: { shell_port: 1 },
        recover: true,
        linger: false,
        lazy: false,
        restoreLast: false,
        kernelInfo: null,
        checkpoints: NO_POLICY,
        offersSubshells: false,
        records: null,
        limits: LIMITS,
      },
      1_900_000_000_000,
    )
    this.#state = state
    for (const effect of effects) this.#perform(effect)
    this.#deliver({ on: 'zygote_ready', kernelInfo: Buffer.from('{"status":"ok"}') })
    this.#settle()
  }

  takes(): void {
    const frames = this.#hostile.next()
    try {
      const { message } = open(frames, this.#guard)
      this.served += 1
      const client = { routing: [Buffer.from(this.#random.pick(['ann', 'bob', '']))] }
      this.#deliver({ on: 'message', channel: this.#random.pick(CHANNELS), client, message })
    } catch (error) {
      if (!(error instanceof SavepointError) || !error.code.startsWith('WIRE_')) throw error
      this.refused.set(error.code, (this.refused.get(error.code) ?? 0) + 1)
    }
    if (this.#random.chance(0.7)) this.#settle()
  }

  /** What is still waited for by the end comes, or its deadline passes. */
  calms(): void {
    for (let i = 0; i < 10_000; i += 1) {
      this.#settle()
      const [deadline] = this.#deadlines
      if (deadline === undefined) return
      this.#deadlines.delete(deadline)
      this.#deliver({ on: 'deadline', id: deadline })
    }
    throw new Error('The kernel does not come to rest.')
  }

  #settle(): void {
    for (let event = this.#pending.shift(); event; event = this.#pending.shift()) this.#deliver(event)
  }

  #deliver(event: KernelEvent): void {
    for (const effect of step(this.#state, event, 1_900_000_000_000)) this.#perform(effect)
  }

  #perform(effect: Effect): void {
    switch (effect.do) {
      case 'publish': {
        const { type, parentBytes, contentBytes } = effect.message
        const content = JSON.parse(contentBytes.toString()) as { execution_state?: string }
        if (type !== 'status' || parentBytes.length < 3) return
        this.states.set(parentBytes, [...(this.states.get(parentBytes) ?? []), content.execution_state ?? ''])
        return
      }
      case 'reply':
        JSON.parse(effect.message.contentBytes.toString())
        this.states.get(effect.message.parentBytes)?.push('reply')
        return
      case 'command':
        return this.#command(effect.command)
      case 'fork':
        this.#pid += 1
        return void this.#pending.push({ on: 'worker_up', token: effect.token, pid: this.#pid })
      case 'wake':
        this.#pid += 1
        return void this.#pending.push({ on: 'worker_up', token: this.#state.worker?.token ?? '', pid: this.#pid })
      case 'store': {
        const value = effect.call.call === 'history_session' ? 1 : []
        return void this.#pending.push({ on: 'store', id: effect.id, outcome: { ok: true, value } })
      }
      case 'measure':
        return void this.#pending.push({ on: 'measured', id: effect.id, usage: {} })
      case 'settle':
        return void this.#pending.push({ on: 'settled' })
      case 'deadline':
        return void this.#deadlines.add(effect.id)
      case 'cancel_deadline':
        return void this.#deadlines.delete(effect.id)
      case 'exit':
        this.ended = true
        return
      default:
    }
  }

  #command(command: WorkerCommand): void {
    const says = (event: WorkerEvent, ...parts: string[]): void =>
      void this.#pending.push({
        on: 'worker',
        generation: this.#state.generation,
        event,
        parts: parts.map((part) => Buffer.from(part)),
      })
    if ('permit' in command && command.permit) {
      says({ kind: 'taken', snapshot: command.permit.snapshot, pid: 50, ms: 1 })
    }
    if (command.kind === 'request') {
      says(
        { kind: 'reply', seq: command.seq, status: this.#random.pick(['ok', 'ok', 'error']) },
        '{"status":"ok"}',
        '{}',
      )
    } else if (command.kind === 'hand_over') {
      says({ kind: 'handed_over', snapshot: command.snapshot, limits: [] })
    }
  }
}

test(`${KERNELS * PER_KERNEL} hostile messages are refused by name or served, each with one busy and one idle`, () => {
  const refused = new Map<string, number>()
  let served = 0
  for (let seed = FIRST_SEED; seed < FIRST_SEED + KERNELS; seed += 1) {
    const kernel = new Served(seed)
    try {
      for (let i = 0; i < PER_KERNEL && !kernel.ended; i += 1) kernel.takes()
      kernel.calms()
      for (const states of kernel.states.values()) {
        const story = states.join(' ')
        if (!/^busy (reply )?idle$/.test(story)) throw new Error(`A request had this: ${story}.`)
      }
    } catch (error) {
      throw new Error(`Seed ${seed}: ${String(error)}`, { cause: error })
    }
    served += kernel.served
    for (const [code, count] of kernel.refused) refused.set(code, (refused.get(code) ?? 0) + count)
  }
  // Else the generator has become harmless.
  expect(served).toBeGreaterThan(KERNELS * PER_KERNEL * 0.2)
  expect([...refused.keys()].toSorted()).toEqual([
    'WIRE_BAD_JSON',
    'WIRE_BAD_SHAPE',
    'WIRE_BAD_SIGNATURE',
    'WIRE_NO_DELIMITER',
    'WIRE_REPLAYED',
    'WIRE_TOO_FEW_FRAMES',
  ])
}, 600_000)
