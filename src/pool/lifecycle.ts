/**
 * The life of a pooled worker: one value, and one table of what may become of it.
 *
 * `terminated` is reached from everywhere: a process can end at any moment. Nothing leads back to `ready`: what has run
 * somebody's code is for that client alone, which is `idle`.
 */

import { SavepointError } from '../errors.js'

export const TRANSITIONS = {
  /** Forked, or about to be; it has not dialled in. */
  initializing: { dialled: 'ready', claimed: 'leased', suspect: 'degraded', end: 'terminated' },
  /** Nobody has had it. */
  ready: { lease: 'leased', suspect: 'degraded', retire: 'terminating', end: 'terminated' },
  /** It is a kernel's. */
  leased: { give_back: 'idle', suspect: 'degraded', retire: 'terminating', end: 'terminated' },
  /** It was given back alive, and waits for the client that had it. */
  idle: { lease: 'leased', suspect: 'degraded', retire: 'terminating', end: 'terminated' },
  /** It failed a look at it. */
  degraded: { retire: 'terminating', end: 'terminated' },
  /** It was told to end. */
  terminating: { end: 'terminated' },
  terminated: {},
} as const satisfies Record<string, Readonly<Record<string, string>>>

export type Phase = keyof typeof TRANSITIONS
export type Cue = { [P in Phase]: keyof (typeof TRANSITIONS)[P] }[Phase]

/** The phase that follows. Throws `internal` for a move that is not in the table. */
export function next(phase: Phase, cue: Cue): Phase {
  const moves: Readonly<Partial<Record<Cue, Phase>>> = TRANSITIONS[phase]
  const to = moves[cue]
  if (to === undefined) throw new SavepointError('internal', `A pooled worker that is ${phase} cannot ${cue}.`)
  return to
}
