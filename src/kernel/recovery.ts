/**
 * A worker that died under a guarded kernel: the newest copy takes its place, and only the cell that it died in is lost.
 *
 * Transactions that were open when that copy was frozen stay open; those begun since are lost. A copy that does not
 * wake, or dies again and again without anybody's doing (a task of the user's may be what kills it), gives way to the
 * one before it, and the last one to an empty worker.
 */

import type { DeathCause } from './effects.js'
import { emitRecovery } from './events.js'
import { guardRolledBack, prune } from './guard.js'
import { run, type Operation, type Outcome } from './operation.js'
import { SavepointError } from '../errors.js'
import type { Recovery } from './reply-metadata.js'
import { log, publishText } from './send.js'
import { isProcess, discard, drop, type Snapshot } from './snapshots.js'
import { parentOfTurn, type KernelState, type Turn } from './state.js'
import { switchTo, type SwitchReason } from './switching.js'
import { loseSince, type Transaction } from './transactions.js'

export interface Recovered {
  readonly snapshot: Snapshot
  readonly recovery: Recovery
}

/** The copies that the kernel can be brought back to, newest first; none without a guard. */
export function waysBack(state: KernelState, turn: Turn | null = state.turn): Snapshot[] {
  if (state.guard.phase === 'off') return []
  const seq = turn?.answered === false ? turn.request.seq : null
  return [...state.snapshots.values()]
    .filter(
      (each) =>
        isProcess(each) &&
        each.phase === 'frozen' &&
        !each.block &&
        (each.kind === 'guard' || seq === null || each.seq !== seq),
    )
    .toSorted((one, other) => other.order - one.order)
    .filter((each) => !state.guard.future.some(({ snapshot }) => snapshot === each.id))
}

/**
 * What a death in the running cell rolls back: the transaction of a `with` block, whose code goes on; else the outermost
 * that any failure rolls back; else the cell's own. Without a guard there must be one of this cell, or all are lost.
 */
export function transactionToRollBack(state: KernelState, turn: Turn): Transaction | null {
  const frozen = state.transactions.filter((each) => {
    const snapshot = state.snapshots.get(each.snapshot)
    return each.state === 'open' && snapshot?.phase === 'frozen' && isProcess(snapshot)
  })
  const inTurn = frozen.filter((each) => state.snapshots.get(each.snapshot)?.seq === turn.request.seq)
  const isGuarded = waysBack(state, turn).length > 0
  if (!isGuarded && inTurn.length === 0) return null
  const block = inTurn.findLast((each) => state.snapshots.get(each.snapshot)?.block === true)
  const outermost = frozen.find(({ policy }) => policy === 'rollback_on_failure')
  const own = inTurn.findLast((each) => each === turn.cell?.transaction)
  return block ?? outermost ?? own ?? (isGuarded ? null : (inTurn.at(-1) ?? null))
}

/** A worker has died: notes whether that was for no visible reason, so that the next one would die of the same. */
export function noteFall(state: KernelState, { signal }: DeathCause): void {
  const young = state.now - state.workerSince < state.options.limits.youngMs
  // One that somebody kills from outside is no worse for it.
  const weight = signal?.name === 'SIGKILL' ? 1 / 4 : 1
  state.falls = young && state.turn === null ? state.falls + weight : 0
}

export function keepsFalling({ falls, options }: KernelState): boolean {
  return falls >= options.limits.fallsMax
}

/** Brings the kernel back; `done` hears of it once. There has to be a way back. */
export function recover(state: KernelState, cause: string, done: (outcome: Outcome<Recovered>) => void): void {
  const from = state.lastWorker?.snapshot ?? null
  const fatal = from === null || !keepsFalling(state) ? undefined : state.snapshots.get(from)
  if (fatal) {
    log(state, 'error', 'copy_keeps_dying', { snapshot: fatal.id })
    state.falls = 0
    discard(state, [fatal])
    prune(state)
  }
  const why: SwitchReason = { reason: { reason: 'worker_died' }, parts: [] }
  const startedAt = state.now
  run(state, wakeNewest(state, why), (outcome) => {
    if (!outcome.ok) {
      done(outcome)
      return
    }
    const { snapshot, absent, liveSince } = outcome.value
    const cells = state.guard.cells
    guardRolledBack(state, snapshot)
    if (snapshot.kind === 'guard') {
      state.guard.cells = []
      state.guard.present = snapshot.live ? 'live' : 'frozen'
    }
    const dead = state.turn?.cell?.count
    const lost = [...lostCells(cells.filter((count) => count !== dead)), ...absent]
    const background_s = liveSince === null ? 0 : Math.round(startedAt - liveSince) / 1000
    const recovery: Recovery = { cause, restored_from: 'guard', lost, background_s }
    state.effects.push({ do: 'count', what: 'recoveries' })
    emitRecovery(state, parentOfTurn(state), recovery)
    done({ ok: true, value: { snapshot, recovery } })
  })
}

/** What ran after the copy was frozen, and was answered. */
function lostCells(cells: readonly number[]): string[] {
  return cells.map((count) => `what cell ${count} did`)
}

/** The copy that was woken, and what it told when it was frozen. */
interface Woken {
  readonly snapshot: Snapshot
  readonly absent: readonly string[]
  /** When it was frozen, if something went on then; else null. */
  readonly liveSince: number | null
}

function* wakeNewest(state: KernelState, why: SwitchReason): Operation<Woken> {
  let failure = new SavepointError('restore_failed', 'No copy of the worker is left.')
  for (;;) {
    const [snapshot] = waysBack(state)
    if (!snapshot) throw failure
    const { pid, absent } = snapshot
    const liveSince = snapshot.live ? snapshot.frozenAt : null
    loseSince(state, snapshot, 'the worker died')
    try {
      const { kept } = yield* switchTo(state, snapshot, why, { keep: true, keepLater: true })
      if (!kept) {
        drop(state, snapshot)
        loseSince(state, snapshot, 'the worker died', false)
      }
      prune(state)
      return { snapshot, absent, liveSince }
    } catch (error) {
      if (!(error instanceof SavepointError) || state.phase !== 'switching') throw error
      failure = error
      log(state, 'error', 'copy_not_woken', { snapshot: snapshot.id, code: error.code })
      loseSince(state, snapshot, 'the worker died', false)
      if (state.snapshots.get(snapshot.id) === snapshot) discard(state, [snapshot])
      loseSince(state, snapshot, 'the worker died', false)
      if (pid !== null && state.worker !== null) state.effects.push({ do: 'kill', pid })
      state.worker = null
      prune(state)
    }
  }
}

/** Tells whoever looks at the output what else is gone. */
export function noticeOfLoss(state: KernelState, parent: Buffer, recovery: Recovery): void {
  for (const line of linesOfLoss(recovery)) publishText(state, 'stderr', parent, `${line}\n`)
}

/** At most one. */
function linesOfLoss({ lost, background_s }: Recovery): string[] {
  const background = background_s > 0 ? [`${background_s.toFixed(1)} s of work in the background`] : []
  const all = [...lost, ...background]
  return all.length > 0 ? [`Lost with the Python process: ${all.join('; ')}.`] : []
}

/** The kernel is back from a checkpoint, which is older than what was lost: all clients are told. `why`: as a sentence. */
export function tellOfComeback(state: KernelState, recovery: Recovery, why: string): void {
  if (!recovery.checkpoint) return
  const parent = parentOfTurn(state)
  const text = `${why} ${comebackLine(recovery)}`
  state.effects.push({ do: 'count', what: 'recoveries' })
  emitRecovery(state, parent, recovery)
  if (state.turn === null) state.notices.push(text, ...linesOfLoss(recovery))
  publishText(state, 'stderr', parent, `${text}\n`)
  noticeOfLoss(state, parent, recovery)
}

/** All clients are told that nothing is left. */
export function tellOfLoss(state: KernelState, text: string): void {
  state.notices.push(text)
  publishText(state, 'stderr', parentOfTurn(state), `${text}\n`)
}

/** What a person is told of a recovery. */
export function comebackLine({ checkpoint }: Recovery): string {
  if (!checkpoint) return ''
  const name = checkpoint.name === null ? checkpoint.checkpoint_id : `'${checkpoint.name}'`
  return `The state of the checkpoint ${name} of ${checkpoint.created_at} is back.`
}
