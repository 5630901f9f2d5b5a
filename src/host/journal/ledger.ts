/**
 * What a kernel has asked for and not heard of yet, told from its events and their effects.
 *
 * A kernel's state says what it waits for, but not what of it was really asked: that is the host's to know, and would be
 * lost with it. So it is kept beside the state, by the same events, and written with it. Plain data; a host that takes a
 * kernel up asks again for what is open here.
 */

import type { Effect, HeldOutput, KernelEvent, StoreCall } from '../../kernel/effects.js'
import type { KernelState } from '../../kernel/state.js'
import type { Numbered, WorkerCommand } from '../../link/protocol.js'
import type { Placement, WorkerEffect } from '../ports.js'

type Do<D extends Effect['do']> = Extract<Effect, { do: D }>

export interface KeptCommand {
  readonly command: Numbered<WorkerCommand>
  readonly parts: readonly Buffer[]
}

export interface Ledger {
  /** When each deadline passes, in milliseconds since the epoch. */
  readonly deadlines: Map<string, number>
  readonly calls: Map<string, StoreCall>
  /** Of `measure` and `weigh`. */
  readonly measurements: Map<string, Do<'measure'> | Do<'weigh'>>
  readonly settles: (number | undefined)[]
  readonly workers: WorkerEffect[]
  /** Of the present generation: frames that were taken, the number of the latest command, those not confirmed. */
  frames: number
  commands: number
  unconfirmed: KeptCommand[]
  /** Of the latest processes, newest last. */
  readonly placements: Placement[]
  /** Lines for the history that it may not have written yet. */
  lines: { readonly at: number; readonly effect: Do<'remember'> | Do<'remember_result'> }[]
  /** What was printed beside the link and is in no message yet. */
  heard: { readonly name: 'stdout' | 'stderr'; readonly text: Buffer; readonly parentBytes: Buffer }[]
  /** What was read beside the link and could not be told yet, by pipe. */
  readonly held: Map<string, HeldOutput>
  /** What the latest event had done that nobody answers. */
  latest: (Do<'end_kernels'> | Do<'exit'>)[]
}

const PLACEMENTS_MAX = 64
/** The history writes what it was given within less time, or that many lines. */
const LINES_MS = 10_000
const LINES_MAX = 512

export function newLedger(): Ledger {
  return {
    deadlines: new Map(),
    calls: new Map(),
    measurements: new Map(),
    settles: [],
    workers: [],
    frames: 0,
    commands: 0,
    unconfirmed: [],
    placements: [],
    lines: [],
    heard: [],
    held: new Map(),
    latest: [],
  }
}

/** An event was taken, and these effects follow from it. Their commands with their numbers, in the same order. */
export function keepAccount(
  ledger: Ledger,
  state: KernelState,
  event: KernelEvent | null,
  effects: readonly Effect[],
): readonly KeptCommand[] {
  if (event) settleWith(ledger, state, event)
  ledger.latest = []
  const commands: KeptCommand[] = []
  for (const effect of effects) account(ledger, state, effect, commands)
  return commands
}

/** What is known by an event is open no more. */
function settleWith(ledger: Ledger, state: KernelState, event: KernelEvent): void {
  switch (event.on) {
    case 'worker':
      // Where the generation has changed by it, what is kept of the one before is of no use.
      return event.generation === state.generation ? settleByWorker(ledger, event) : undefined
    case 'deadline':
      return void ledger.deadlines.delete(event.id)
    case 'store':
      return void ledger.calls.delete(event.id)
    case 'measured':
    case 'weighed':
      return void ledger.measurements.delete(event.id)
    case 'settled': {
      const at = ledger.settles.indexOf(event.seq)
      if (at >= 0) ledger.settles.splice(at, 1)
      return
    }
    case 'worker_up':
    case 'worker_failed':
      return close(ledger, (each) => 'token' in each && each.token === event.token)
    case 'worker_died': {
      const pids = ledger.placements.flatMap(({ generation, pid }) => (generation === event.generation ? [pid] : []))
      return close(ledger, (each) => 'pid' in each && pids.includes(each.pid))
    }
    case 'copied':
      return close(ledger, (each) => each.do === 'copy' && each.name === event.name)
    case 'output':
      return keepHeld(ledger, event.held)
    case 'workers_stopped':
      ledger.workers.length = 0
      return
    default:
  }
}

function settleByWorker(ledger: Ledger, { event, frame }: Extract<KernelEvent, { on: 'worker' }>): void {
  if (frame !== undefined) ledger.frames = frame
  const got = 'got' in event ? event.got : undefined
  if (got !== undefined && ledger.unconfirmed.length > 0) {
    ledger.unconfirmed = ledger.unconfirmed.filter(({ command: { n = 0 } }) => n > got)
  }
  if (ledger.workers.length === 0) return
  if (event.kind === 'interrupted') close(ledger, (each) => each.do === 'interrupt')
  else if (event.kind === 'reply') close(ledger, (each) => each.do === 'interrupt' && each.seq === event.seq)
}

function close(ledger: Ledger, isKnown: (each: WorkerEffect) => boolean): void {
  for (let i = ledger.workers.length - 1; i >= 0; i -= 1) {
    const each = ledger.workers[i]
    if (each && isKnown(each)) ledger.workers.splice(i, 1)
  }
}

function account(ledger: Ledger, state: KernelState, effect: Effect, commands: KeptCommand[]): void {
  switch (effect.do) {
    case 'deadline':
      return void ledger.deadlines.set(effect.id, state.now + effect.afterMs)
    case 'cancel_deadline':
      return void ledger.deadlines.delete(effect.id)
    case 'store':
      return void ledger.calls.set(effect.id, effect.call)
    case 'measure':
    case 'weigh':
      return void ledger.measurements.set(effect.id, effect)
    case 'settle':
      return void ledger.settles.push(effect.seq)
    case 'command': {
      ledger.commands += 1
      const kept = { command: { ...effect.command, n: ledger.commands }, parts: effect.parts }
      ledger.unconfirmed.push(kept)
      commands.push(kept)
      return
    }
    case 'fork':
      return expect(ledger, { do: 'fork', token: effect.token, generation: state.generation })
    case 'wake':
    case 'become': {
      const { snapshot } = effect
      return expect(ledger, { do: effect.do, snapshot, token: state.worker?.token ?? '', generation: state.generation })
    }
    case 'copy':
      return void ledger.workers.push({ do: 'copy', snapshot: effect.snapshot, name: effect.name })
    case 'kill':
      return void ledger.workers.push({ do: 'kill', pid: effect.pid })
    case 'interrupt_worker':
      return void ledger.workers.push({ do: 'interrupt', pid: effect.pid, seq: effect.seq })
    case 'stop_workers':
      return void ledger.workers.push({ do: 'stop', linger: effect.linger })
    case 'remember':
    case 'remember_result':
      return keepLine(ledger, state.now, effect)
    case 'end_kernels':
    case 'exit':
      return void ledger.latest.push(effect)
    default:
  }
}

/** Another process is to be the worker: what was said to the one before is of no use to it. */
function expect(ledger: Ledger, effect: WorkerEffect): void {
  close(ledger, (each) => each.do === 'fork' || each.do === 'wake' || each.do === 'become' || each.do === 'interrupt')
  ledger.workers.push(effect)
  ledger.frames = 0
  ledger.commands = 0
  ledger.unconfirmed = []
}

function keepLine(ledger: Ledger, now: number, effect: Do<'remember'> | Do<'remember_result'>): void {
  ledger.lines.push({ at: now, effect })
  if (ledger.lines.length <= LINES_MAX) return
  const fresh = ledger.lines.filter(({ at }) => at > now - LINES_MS)
  ledger.lines = fresh.slice(-LINES_MAX / 2)
}

/** What is held back of a pipe has changed. */
export function keepHeld({ held }: Ledger, output: HeldOutput | undefined): void {
  if (output === undefined) return
  const key = `${output.name} ${output.place}`
  if (output.pieces.length === 0) held.delete(key)
  else held.set(key, output)
}

/** A process was forked, leased or woken. */
export function keepPlacement(ledger: Ledger, placement: Placement): void {
  const { placements } = ledger
  const same = placements.findIndex(({ token }) => token === placement.token)
  if (same >= 0) placements.splice(same, 1)
  placements.push(placement)
  if (placements.length > PLACEMENTS_MAX) placements.shift()
}
