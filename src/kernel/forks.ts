/**
 * A kernel becomes several: a frozen copy of its worker wakes as the worker of a new one.
 *
 * To fork is to freeze a copy of the present moment (or to take the snapshot of an earlier one), to have that copied as
 * often as kernels are wanted, and to hand the copies to the host, which makes a kernel of each; they begin with what
 * clients know of this one (`ForkFacts`). Either all of them come up, or none is left.
 *
 * Code in the kernel asks twice: the copy is taken at the line that asks first, and what became of it is told later,
 * since in between the worker has to go on.
 */

import { SavepointError } from '../errors.js'
import type { SnapshotPermit, WorkerEvent } from '../link/protocol.js'
import type { Args, Call, Ops } from './call.js'
import { refuseWhileDebugged } from './debugger-state.js'
import type { OpOutcome } from './effects.js'
import type { ForkFacts } from './forked.js'
import { run, settle, waitFor, type Operation, type Outcome } from './operation.js'
import { command } from './send.js'
import { isProcess } from './snapshots.js'
import { mint, type KernelState } from './state.js'

/** A fork under way. */
export interface Fork {
  readonly id: string
  /** The worker whose code asked for it, and in which request; null: a client did. */
  readonly by: { readonly generation: number; readonly seq: number | null } | null
  /** Copies of copies that have not come yet. */
  readonly awaited: Set<string>
  /** Libraries that hang in the copy of the present moment. */
  hangs: readonly string[]
  /** Why one of them will not come. */
  failure: string | null
  /** For code in the kernel: the question that is to be answered, and the answer. */
  question: string | null
  outcome: Outcome<MadeKernels> | null
}

/** As on the wire. */
export interface MadeKernels {
  readonly kernels: readonly { readonly id: string }[]
}

interface Wish {
  readonly count: number
  /** The snapshot of an earlier moment; null: now. */
  readonly at: string | null
  readonly facts: ForkFacts
}

export const FORK_OPS: Ops = { fork: { run: forkOp, fields: ['count', 'at'] } }

function* forkOp(state: KernelState, call: Call): Operation<MadeKernels> {
  const wish = wishOf(state, call.args)
  const { fork, permit } = begin(state, null)
  try {
    if (wish.at === null) {
      refuseWhileDebugged(state)
      command(state, { kind: 'snapshot', permit })
      yield* waitFor<void>(`taken:${fork.id}`, state.options.limits.wakeMs)
    }
    return yield* makeKernels(state, fork, wish)
  } finally {
    state.forks.delete(fork.id)
  }
}

/** Code in the kernel asks to be forked at this line: the permit for it. Throws SavepointError. */
export function forkAsked(state: KernelState, args: Args): { result: object; permit: SnapshotPermit } {
  const wish = wishOf(state, args)
  refuseWhileDebugged(state)
  const by = { generation: state.generation, seq: state.turn?.request.seq ?? null }
  const { fork, permit } = begin(state, by)
  run(state, forkInCell(state, fork, wish), (outcome) => {
    fork.outcome = outcome
    tell(state, fork)
  })
  return { result: { id: fork.id }, permit }
}

/** And then what became of it; answered when it is known. False: there is no such fork. */
export function forkedAsked(state: KernelState, question: string, args: Args): boolean {
  const fork = state.forks.get(String(args['id']))
  if (!fork) return false
  fork.question = question
  tell(state, fork)
  return true
}

function* forkInCell(state: KernelState, fork: Fork, wish: Wish): Operation<MadeKernels> {
  yield* waitFor<void>(`taken:${fork.id}`, state.options.limits.wakeMs)
  return yield* makeKernels(state, fork, wish)
}

function tell(state: KernelState, { id, question, outcome }: Fork): void {
  if (outcome === null) return
  if (!state.forks.has(id)) {
    // The process that asked is gone, and with it whoever would know of these kernels.
    if (outcome.ok) endKernels(state, outcome.value)
    return
  }
  if (question === null) return
  state.forks.delete(id)
  if (outcome.ok) {
    command(state, { kind: 'answer', id: question, ok: true, result: outcome.value })
  } else {
    const { code, message, details } = outcome.error
    command(state, { kind: 'answer', id: question, ok: false, error: { code, message, details } })
  }
}

/** What code of a former worker has asked for, or that of a request that has ended (`seq`), is nobody's any more. */
export function abandonForks(state: KernelState, seq?: number): void {
  for (const fork of state.forks.values()) {
    const { by } = fork
    if (by === null || (by.generation === state.generation && (by.seq === null || by.seq !== seq))) continue
    state.forks.delete(fork.id)
    tell(state, fork)
  }
}

function wishOf(state: KernelState, args: Args): Wish {
  const { count = 1, at = null } = args
  const { forksMax } = state.options.limits
  if (!state.options.forks) {
    throw new SavepointError(
      'not_available',
      'Only kernels of a gateway can be forked. Start one with: savepoint serve',
    )
  }
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 1 || count > forksMax) {
    throw new SavepointError('bad_request', `count is a whole number from 1 to ${forksMax}.`, { count })
  }
  const comms = [...state.comms].filter(([, { ours }]) => !ours)
  const { info } = state.debugging
  if (at === null) {
    const { executionCount, timeline } = state
    return { count, at, facts: { executionCount, comms: named(comms), debugInfo: info, hangs: [], timeline } }
  }
  const snapshot = typeof at === 'string' ? state.snapshots.get(at) : undefined
  if (snapshot?.phase !== 'frozen') {
    throw new SavepointError('unknown_snapshot', 'The kernel has no snapshot of this id. List them with snapshots.', {
      snapshot: at,
    })
  }
  if (!isProcess(snapshot)) {
    throw new SavepointError(
      'engine_unavailable',
      'This snapshot holds what the variables held, and is no process that could be a kernel. Fork another one.',
      { snapshot: at },
    )
  }
  const { executionCount, id, hangs, timeline } = snapshot
  const known = comms.filter(([comm]) => snapshot.comms.has(comm))
  return { count, at: id, facts: { executionCount, comms: named(known), debugInfo: info, hangs, timeline } }
}

function named(comms: readonly (readonly [string, { readonly target: string }])[]): ForkFacts['comms'] {
  return comms.map(([id, { target }]) => [id, target])
}

function begin(state: KernelState, by: Fork['by']): { fork: Fork; permit: SnapshotPermit } {
  state.forksMade += 1
  const fork: Fork = {
    id: `fk_${state.forksMade}`,
    by,
    awaited: new Set(),
    hangs: [],
    failure: null,
    question: null,
    outcome: null,
  }
  state.forks.set(fork.id, fork)
  return { fork, permit: { snapshot: fork.id, token: mint(state), apart: true } }
}

/** Kernels of copies of the moment that was frozen for this, or of the earlier one that is wished for. */
function* makeKernels(state: KernelState, fork: Fork, { count, at, facts }: Wish): Operation<MadeKernels> {
  const { forkMs } = state.options.limits
  const own = at === null ? [fork.id] : []
  const further = Array.from({ length: count - own.length }, (_, number) => `${fork.id}.${number + 1}`)
  const copies = [...own, ...further]
  try {
    for (const name of further) {
      fork.awaited.add(name)
      state.effects.push({ do: 'copy', snapshot: at ?? fork.id, name })
    }
    if (further.length > 0) yield* waitFor<void>(`copied:${fork.id}`, forkMs)
    if (fork.failure !== null) throw notCopied(fork.failure)
    const told = at === null ? { ...facts, hangs: fork.hangs } : facts
    state.effects.push({ do: 'make_kernels', id: fork.id, copies, facts: told })
    return yield* waitFor<MadeKernels>(`kernels:${fork.id}`, forkMs)
  } catch (error) {
    // Those that a kernel was made of have ended with it.
    state.effects.push({ do: 'discard', snapshots: copies })
    throw error
  }
}

/** The worker froze the copy that a fork is to begin with, or could not. False: it was none of these. */
export function forkTaken(state: KernelState, event: Extract<WorkerEvent, { kind: 'taken' }>): boolean {
  if (!event.snapshot.startsWith('fk_')) return false
  const error = event.error === undefined ? null : notCopied(event.error)
  const fork = state.forks.get(event.snapshot)
  if (fork) fork.hangs = event.hangs ?? []
  if (settle(state, `taken:${event.snapshot}`, null, error)) {
    // What code in the kernel asked for has failed where it asked: it does not ask again.
    if (error) state.forks.delete(event.snapshot)
  } else if (error === null) {
    state.effects.push({ do: 'discard', snapshots: [event.snapshot] })
  }
  return true
}

/** A copy of a copy is there, or will not be. */
export function copied(state: KernelState, name: string, error: string | null): void {
  const fork = [...state.forks.values()].find(({ awaited }) => awaited.delete(name))
  if (!fork) {
    // It came too late for whoever wanted it.
    if (error === null) state.effects.push({ do: 'discard', snapshots: [name] })
    return
  }
  fork.failure ??= error
  if (fork.awaited.size === 0) settle(state, `copied:${fork.id}`, null)
}

/** The host has made the kernels of a fork, or could not; then none of them is left. */
export function kernelsMade(state: KernelState, id: string, outcome: OpOutcome): void {
  const key = `kernels:${id}`
  if (outcome.ok) {
    const made = outcome.result as MadeKernels
    if (!settle(state, key, made)) endKernels(state, made)
    return
  }
  const { code, message, details } = outcome.error
  settle(state, key, null, new SavepointError(code as SavepointError['code'], message, details))
}

function endKernels(state: KernelState, { kernels }: MadeKernels): void {
  state.effects.push({ do: 'end_kernels', kernels: kernels.map(({ id }) => id) })
}

function notCopied(reason: string): SavepointError {
  const message = `The process could not be copied: ${reason}. Free memory or processes, then try again.`
  return new SavepointError('snapshot_failed', message)
}
