/** What every part of the pool's step works with. */

import { next, type Cue } from './lifecycle.js'
import type { Member, PoolEffect, PoolState, Waiting } from './state.js'

/** One event under way: the state that it changes, when it happened, and what is to be done. */
export interface At {
  readonly state: PoolState
  /** Milliseconds of a monotonic clock. */
  readonly now: number
  readonly effects: PoolEffect[]
}

/** One move in the life of a worker; throws for one that is not in the table. */
export function move(at: At, member: Member, cue: Cue): void {
  const to = next(member.phase, cue)
  const { starting, ready, idle } = member.shelf
  if (member.phase === 'initializing') starting.delete(member)
  if (member.phase === 'ready') ready.delete(member)
  if (member.phase === 'idle') idle.delete(member)
  if (to === 'ready') ready.add(member)
  if (to === 'idle') idle.add(member)
  if (to === 'ready' || to === 'idle') member.restingSince = at.now
  if (to === 'terminated') {
    at.state.members.delete(member.place)
    const zygote = at.state.zygotes.get(member.zygote)
    if (zygote) zygote.members -= 1
  }
  member.phase = to
}

/** Tells who asked that there is no worker for him. */
export function refuse(
  at: At,
  request: string,
  code: Extract<PoolEffect, { readonly do: 'refuse' }>['code'],
  message: string,
  details: object,
): void {
  at.state.counts.refused += 1
  at.effects.push({ do: 'refuse', request, code, message, details: { ...details } })
}

/** Those that wait for this shelf, who are the caller's from then on. */
export function takeWaiting(at: At, key: string, most = Infinity): Waiting[] {
  const taken = at.state.queue.filter((each) => each.key === key).slice(0, most)
  at.state.queue = at.state.queue.filter((each) => !taken.includes(each))
  return taken
}

export function countRemoved(at: At, reason: string): void {
  at.state.removed[reason] = (at.state.removed[reason] ?? 0) + 1
}

/** Does it have workers, or may it? */
export function isUsed(at: At, zygote: number): boolean {
  const record = at.state.zygotes.get(zygote)
  return record !== undefined && (record.members > 0 || record.awaitsClaims)
}

/** Is it what ready workers are forked from? */
export function isCurrentOfDefault(at: At, zygote: number): boolean {
  const shelf = at.state.shelves.get(at.state.zygotes.get(zygote)?.key ?? '')
  return shelf !== undefined && shelf.target > 0 && shelf.zygote === zygote
}

/** Nobody has it: it is ready, or waits for its client. */
export function isResting({ phase }: Member): boolean {
  return phase === 'ready' || phase === 'idle'
}
