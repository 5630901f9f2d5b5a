/**
 * What copies cost: memory that they alone hold, and the time in which pages are copied as they are written to.
 *
 * A copy costs nothing as long as nothing changes. Each page that the worker then writes to is copied first, which the
 * worker sees as a page fault, and holds memory from then on, which can be measured (`weigh`). A cell that spends a good
 * part of its time like that makes the guard step back: it gives up its copies, but for one that shares next to nothing
 * any more, and lets cells pass without a copy, the more the more often it comes to that.
 */

import type { WorkerEvent } from '../link/protocol.js'
import { abandonPending, cueGuard, forget, prune } from './guard.js'
import { run, waitFor, type Operation } from './operation.js'
import { log, publishText } from './send.js'
import { heldBytes } from './snapshots.js'
import { mint, parentOfTurn, type KernelState } from './state.js'

const PAGE_BYTES = 4096
/** Fewer pages are not worth a thought: to copy one takes some 2.4 µs. */
const FAULTS_MIN = 16_384
/** Of the processor time that a cell took: the share that the system had of it, if copies cost too much. */
const SYSTEM_SHARE = 0.2
/** The same of all of its time: it may have waited, or others had the processor. */
const TIME_SHARE = 0.05
/** Faults after which copies may have come to hold much: they are weighed. */
const FAULTS_TO_WEIGH = 8_192
/** Cells that pass without a copy: at first, by how much that grows, and at most. */
const SKIP_MIN = 8
const SKIP_GROWTH = 4
const SKIP_MAX = 512

type Reply = Extract<WorkerEvent, { kind: 'reply' }>

/** A cell has ended: what the copy before it has cost. */
export function notePressure(
  state: KernelState,
  { faults = 0, seconds = 0, cpu_seconds = 0, system_seconds = 0 }: Reply,
): void {
  const { guard } = state
  if (guard.phase !== 'on') return
  guard.faults += faults
  prune(state)
  const before = guard.past.at(-1)?.snapshot ?? null
  const costly = system_seconds >= cpu_seconds * SYSTEM_SHARE && system_seconds >= seconds * TIME_SHARE
  if (before === null || faults < FAULTS_MIN || !costly) {
    if (faults < FAULTS_MIN) guard.skipNext = 0
    return
  }
  // Memory that is new takes faults, too: whether pages were copied is seen by what the copy holds now.
  run(state, weigh(state), () => {
    const snapshot = state.snapshots.get(before)
    if (guard.phase !== 'on' || (snapshot?.privateBytes ?? 0) < (faults * PAGE_BYTES) / 2) return
    stepBack(state, before)
  })
}

function stepBack(state: KernelState, kept: string): void {
  const { guard } = state
  cueGuard(guard, 'step_back')
  guard.skipNext = Math.min(SKIP_MAX, Math.max(SKIP_MIN, guard.skipNext * SKIP_GROWTH))
  guard.skip = guard.skipNext
  log(state, 'info', 'guard_stepped_back', { cells: guard.skip })
  abandonPending(state)
  forget(
    state,
    [...guard.past, ...guard.future].filter(({ snapshot }) => snapshot !== kept),
  )
  if (guard.hasSaidSo) return
  guard.hasSaidSo = true
  const text =
    `The guard steps back: cells change so much memory that a copy after each of them would slow them down. ` +
    `The next ${guard.skip} cells are not copied.\n`
  publishText(state, 'stderr', parentOfTurn(state), text)
  state.notices.push(text.trim())
}

/** Finds out what each copy alone holds, then keeps all of them within the budget. Never throws. */
export function* weigh(state: KernelState): Operation<void> {
  const { guard } = state
  const frozen = [...state.snapshots.values()].filter(({ phase, pid }) => phase === 'frozen' && pid)
  guard.faults = 0
  if (frozen.length === 0) return
  const id = `weighed:${mint(state)}`
  state.effects.push({ do: 'weigh', id, pids: frozen.map(({ pid }) => pid ?? 0) })
  let bytes: readonly (number | null)[]
  try {
    bytes = yield* waitFor<readonly (number | null)[]>(id, state.options.limits.usageMs)
  } catch {
    return
  }
  for (const [place, snapshot] of frozen.entries()) snapshot.privateBytes = bytes[place] ?? snapshot.privateBytes
  keepWithinBudget(state, state.options.limits.snapshotBytesMax)
}

/** Gives up the oldest of the guard's copies, but for the `momentsMin` newest, until all hold no more than that. */
export function keepWithinBudget(
  state: KernelState,
  bytesMax: number,
  { momentsMin, held }: { readonly momentsMin: number; readonly held: (state: KernelState) => number } = {
    momentsMin: 0,
    held: heldBytes,
  },
): void {
  const { guard } = state
  prune(state)
  while (held(state) > bytesMax && guard.past.length + guard.future.length > momentsMin) {
    const oldest = guard.past.length > 1 ? guard.past[0] : (guard.future.at(-1) ?? guard.past[0])
    if (!oldest) return
    log(state, 'info', 'moment_over_budget', { snapshot: oldest.snapshot })
    const isNewest = guard.past.length === 1 && oldest === guard.past[0]
    forget(state, [oldest])
    if (isNewest) return tellOfLoss(state)
  }
}

/** The guard's newest copy is gone: until there is another one, the way back from a death is a longer one. */
export function tellOfLoss(state: KernelState): void {
  const text =
    'The newest copy of the state had to go for want of memory: %undo goes back no further than the next one.'
  if (state.guard.phase !== 'off' && !state.notices.includes(text)) state.notices.push(text)
}

/** Called after each event: copies are weighed when the kernel is at rest and much was written. */
export function weighAtRest(state: KernelState): void {
  const { guard } = state
  if (guard.faults < FAULTS_TO_WEIGH || guard.isWeighing || state.phase !== 'idle' || state.turn !== null) return
  guard.isWeighing = true
  reweigh(state)
}

/** Waits anew, in a state that was written down; false: nobody did. */
export function reweigh(state: KernelState): boolean {
  const { guard } = state
  if (!guard.isWeighing) return false
  run(state, weighSoon(state), () => {
    guard.isWeighing = false
  })
  return true
}

function* weighSoon(state: KernelState): Operation<void> {
  try {
    yield* waitFor<void>('guard_weigh', state.options.limits.guardSettleMs)
  } catch {
    // That is what was waited for.
  }
  if (state.phase === 'idle' || state.phase === 'busy') yield* weigh(state)
}
