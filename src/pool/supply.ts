/** How workers come to be, and to whom they go. */

import { isCurrentOfDefault, isUsed, move, refuse, takeWaiting, type At } from './at.js'
import { failed as failedOnce, present, succeeded } from './breaker.js'
import { retire, retireZygote } from './retiring.js'
import type { Member, Shelf, StartFailure } from './state.js'

/** The client's own one, else the ready one that has waited longest. */
export function choose(shelf: Shelf, affinity: string | null): Member | null {
  if (affinity !== null) for (const member of shelf.idle) if (member.affinity === affinity) return member
  for (const member of shelf.ready) if (member.zygote === shelf.zygote) return member
  return null
}

/** Leases a worker. */
export function grant(at: At, member: Member, request: string, affinity: string | null): void {
  move(at, member, 'lease')
  member.request = request
  member.affinity = affinity
  member.uses += 1
  at.state.counts.leases += 1
  at.effects.push({ do: 'grant', request, place: member.place })
  if (member.shelf.target > 0) at.effects.push({ do: 'refill_soon' })
}

/** Everything that a shelf lacks. */
export function supplyOf(at: At, key: string): void {
  const shelf = at.state.shelves.get(key)
  if (!shelf) return
  supply(at, shelf)
  refill(at, shelf)
}

/** Sees to it that for each that waits one is on its way. */
export function supply(at: At, shelf: Shelf): void {
  const waiting = at.state.queue.filter(({ key }) => key === shelf.key).length
  bring(at, shelf, waiting)
}

/** And that there are ready ones besides. */
export function refill(at: At, shelf: Shelf): void {
  const waiting = at.state.queue.filter(({ key }) => key === shelf.key).length
  const ready = shelf.ready.size
  bring(at, shelf, waiting + Math.max(0, shelf.target - ready))
}

/** Has workers forked until so many are on their way, and the zygote started if there is none. */
export function bring(at: At, shelf: Shelf, wanted: number): void {
  const state = at.state
  if (wanted === 0 || state.stopping || shelf.waitsToRetry) return
  shelf.breaker = present(shelf.breaker, at.now)
  if (shelf.breaker.state === 'open') return
  const zygote = shelf.zygote === null ? newZygote(at, shelf) : state.zygotes.get(shelf.zygote)
  if (zygote?.phase !== 'ready' || shelf.zygote === null) return
  // One thing at a time, until it is known that it works again.
  const most = shelf.breaker.state === 'half_open' ? 1 : wanted
  for (let missing = most - shelf.starting.size; missing > 0; missing -= 1) {
    const { place } = newMember(at, shelf, shelf.zygote)
    at.effects.push({ do: 'fork', place, zygote: shelf.zygote })
  }
}

export function newZygote(at: At, shelf: Shelf): undefined {
  const state = at.state
  if (state.zygotes.size >= state.limits.zygotesMax) {
    const unused = [...state.zygotes].filter(([id]) => !isUsed(at, id) && !isCurrentOfDefault(at, id))
    const [oldest] = unused.toSorted(([, one], [, other]) => one.unusedSince - other.unusedSince)
    if (!oldest) {
      const message = `There are ${state.zygotes.size} different environments in use already. End some kernels first.`
      for (const { request } of takeWaiting(at, shelf.key)) refuse(at, request, 'queue_full', message, {})
      return
    }
    retireZygote(at, oldest[0])
  }
  state.latestZygote += 1
  state.counts.zygotes += 1
  const id = state.latestZygote
  state.zygotes.set(id, {
    key: shelf.key,
    startedAt: at.now,
    phase: 'starting',
    unusedSince: at.now,
    members: 0,
    awaitsClaims: false,
  })
  shelf.zygote = id
  at.effects.push({ do: 'start_zygote', zygote: id, key: shelf.key })
}

/** A worker that is to be; `place`: where one is already. */
export function newMember(at: At, shelf: Shelf, zygote: number, place?: string): Member {
  const state = at.state
  if (place === undefined) {
    state.made += 1
    state.counts.forks += 1
  }
  const member: Member = {
    place: place ?? `${state.placePrefix}${state.made}`,
    shelf,
    zygote,
    bornAt: at.now,
    phase: 'initializing',
    pid: null,
    restingSince: at.now,
    uses: 0,
    memoryBytes: null,
    request: null,
    affinity: null,
  }
  state.members.set(member.place, member)
  shelf.starting.add(member)
  const record = state.zygotes.get(zygote)
  if (record) record.members += 1
  return member
}

/** A worker is there: it goes to whoever waits, else it is ready. */
export function dialled(at: At, place: string, pid: number): void {
  const member = at.state.members.get(place)
  if (!member) return
  member.pid = pid
  const { shelf } = member
  shelf.breaker = succeeded(shelf.breaker, at.state.limits)
  shelf.failure = null
  if (member.phase !== 'initializing') return
  move(at, member, 'dialled')
  if (shelf.zygote !== member.zygote) return retire(at, member, 'stale')
  const [waiting] = takeWaiting(at, shelf.key, 1)
  if (waiting) grant(at, member, waiting.request, waiting.affinity)
  if (shelf.breaker.state === 'half_open') refill(at, shelf)
}

/** A worker did not come up. */
export function startFailed(at: At, place: string, reason: StartFailure, message: string): void {
  const member = at.state.members.get(place)
  if (!member) return
  const wasStarting = member.phase === 'initializing'
  if (wasStarting) move(at, member, 'suspect')
  retire(at, member, reason)
  if (wasStarting) failed(at, member.shelf, reason, message)
}

/** A start failed: tries again, or tells who waited for it. */
export function failed(at: At, shelf: Shelf, reason: StartFailure, message: string): void {
  const { limits, queue } = at.state
  shelf.breaker = failedOnce(shelf.breaker, limits, at.now)
  shelf.failure = { reason, message }
  if (shelf.breaker.state === 'open') {
    for (const { request } of takeWaiting(at, shelf.key)) refuseFailing(at, request, shelf)
    return retryLater(at, shelf, limits.openMs)
  }
  const first = queue.find(({ key }) => key === shelf.key)
  if (first) {
    first.attempts += 1
    if (first.attempts > limits.retryMs.length) {
      at.state.queue = queue.filter((each) => each !== first)
      refuseFailing(at, first.request, shelf)
    }
  }
  const failures = shelf.breaker.state === 'closed' ? shelf.breaker.failures : 1
  retryLater(at, shelf, limits.retryMs[Math.min(failures, limits.retryMs.length) - 1] ?? 0)
}

/** Tries again after a pause, once. */
export function retryLater(at: At, shelf: Shelf, afterMs: number): void {
  if (shelf.waitsToRetry) return
  shelf.waitsToRetry = true
  at.effects.push({ do: 'retry', key: shelf.key, afterMs })
}

/** Tells who asked why none can be started. */
export function refuseFailing(at: At, request: string, { failure, spec }: Shelf): void {
  const message = `No worker of ${spec} can be started: ${failure?.message ?? 'the reason is not known'}.`
  refuse(at, request, 'internal', message, { reason: failure?.reason ?? null })
}
