/**
 * Where a gateway's kernel is in its life: one value and one table. A missing entry is an illegal move.
 *
 * This is the life that outlasts processes: each `restart` makes a new process, with a life of its own
 * (`kernel/lifecycle`), under the same id.
 */

import { SavepointError } from '../../errors.js'

export type KernelPhase = 'starting' | 'returning' | 'asleep' | 'ready' | 'restarting' | 'dead' | 'ending' | 'ended'
export type KernelCue = 'up' | 'sleep' | 'restart' | 'fail' | 'end' | 'gone'

export const KERNEL_TRANSITIONS = {
  starting: { up: 'ready', end: 'ending' },
  /** An earlier gateway had it; nothing is known of its processes yet. */
  returning: { up: 'ready', sleep: 'asleep', restart: 'restarting', fail: 'dead', end: 'ending' },
  /** Its processes ended while no gateway was there. It comes back when somebody asks for it, and costs nothing until then. */
  asleep: { restart: 'restarting', end: 'ending' },
  ready: { restart: 'restarting', fail: 'dead', end: 'ending' },
  restarting: { up: 'ready', fail: 'dead', end: 'ending' },
  /** It is still listed, so that clients learn what happened, and can be restarted. */
  dead: { restart: 'restarting', end: 'ending' },
  ending: { gone: 'ended' },
  ended: {},
} as const satisfies Record<KernelPhase, Partial<Record<KernelCue, KernelPhase>>>

/** The phase after `cue`. Throws `internal` for an illegal move. */
export function nextPhase(phase: KernelPhase, cue: KernelCue): KernelPhase {
  const table: Partial<Record<KernelCue, KernelPhase>> = KERNEL_TRANSITIONS[phase]
  const to = table[cue]
  if (to === undefined) throw new SavepointError('internal', `A kernel that is ${phase} cannot take the cue '${cue}'.`)
  return to
}

/** What became of a kernel of an earlier gateway. `goesOn`: its journal says all that it was. */
export function takenUpAs(phase: KernelPhase, goesOn: boolean): 'living' | 'recovered' | 'resting' | 'lost' {
  if (phase === 'asleep') return 'resting'
  if (phase !== 'ready') return 'lost'
  return goesOn ? 'living' : 'recovered'
}
