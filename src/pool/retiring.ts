/** How workers and zygotes are let go. */

import { countRemoved, isUsed, move, type At } from './at.js'
import type { Member } from './state.js'

/** Ends a worker, and counts why. */
export function retire(at: At, member: Member | undefined, reason: string): void {
  if (!member || member.phase === 'terminating' || member.phase === 'terminated') return
  if (member.phase === 'initializing') move(at, member, 'suspect')
  move(at, member, 'retire')
  countRemoved(at, reason)
  at.effects.push({ do: 'end', place: member.place, reason })
}

/** A worker is not as it should be: it is ended, and replaced. */
export function suspect(at: At, member: Member, reason: string): void {
  if (member.phase === 'terminating' || member.phase === 'terminated') return
  move(at, member, 'suspect')
  retire(at, member, reason)
  if (member.shelf.target > 0) at.effects.push({ do: 'refill_soon' })
}

/** It forks no more, and ends with its last worker. */
export function retireZygote(at: At, id: number): void {
  const zygote = at.state.zygotes.get(id)
  if (!zygote) return
  zygote.phase = 'retired'
  const shelf = at.state.shelves.get(zygote.key)
  if (shelf?.zygote === id) shelf.zygote = null
  for (const member of shelf?.ready ?? []) if (member.zygote === id) retire(at, member, 'stale')
  if (!isUsed(at, id)) endZygote(at, id)
}

/** Ends a zygote without workers. */
export function endZygote(at: At, id: number): void {
  at.state.zygotes.delete(id)
  at.effects.push({ do: 'stop_zygote', zygote: id })
}
