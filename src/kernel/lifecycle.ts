/**
 * Where a kernel is in its life: one value and one table. A missing entry is an illegal move.
 *
 * `switching` is the time in which one worker has been given up and its successor (a woken snapshot, or a fresh fork)
 * has not dialled in yet; clients notice only that their requests wait.
 */

import { SavepointError } from '../errors.js'

export type Phase = 'starting' | 'idle' | 'busy' | 'switching' | 'stopping' | 'dead'
export type Cue = 'worker_up' | 'asleep' | 'resumed' | 'turn' | 'done' | 'switch' | 'stop' | 'end'

export const TRANSITIONS = {
  starting: { worker_up: 'idle', asleep: 'idle', stop: 'stopping', end: 'dead' },
  idle: { turn: 'busy', switch: 'switching', stop: 'stopping', end: 'dead' },
  busy: { done: 'idle', switch: 'switching', stop: 'stopping', end: 'dead' },
  switching: { worker_up: 'idle', resumed: 'busy', stop: 'stopping', end: 'dead' },
  stopping: { end: 'dead' },
  dead: {},
} as const satisfies Record<Phase, Partial<Record<Cue, Phase>>>

/** The phase after `cue`. Throws `internal` for an illegal move. */
export function next(phase: Phase, cue: Cue): Phase {
  const table: Partial<Record<Cue, Phase>> = TRANSITIONS[phase]
  const to = table[cue]
  if (to === undefined) throw new SavepointError('internal', `A kernel that is ${phase} cannot take the cue '${cue}'.`)
  return to
}
