/**
 * What becomes of the pool's workers: `step(state, event, now)` changes the state and says what is to be done.
 *
 * Theory of operation. Workers that are interchangeable share a shelf. Who wants one gets, in this order: the worker
 * that the same client gave back; a ready one; the next one that dials in. For each that waits, one is on its way.
 * What was granted is looked at by the shell, and comes back as `invalid` if it is no good: then it is removed, and the
 * same request is served anew. A start that fails is tried again after growing pauses; whoever has waited through all of
 * them is told why. A shelf whose starts keep failing is left alone for a while (see `breaker`).
 *
 * Pure: no clock, no process, no promise.
 */

import { unreachable } from '../errors.js'
import { countRemoved, isCurrentOfDefault, isResting, isUsed, move, refuse, type At } from './at.js'
import { CLOSED, present } from './breaker.js'
import { PLAIN_NAMES, type Names } from './names.js'
import type { PoolLimits } from './options.js'
import { endZygote, retire, retireZygote, suspect } from './retiring.js'
import type { Member, PoolEffect, PoolEvent, PoolState, Shelf, StartFailure } from './state.js'
import {
  choose,
  dialled,
  failed,
  grant,
  newMember,
  refill,
  refuseFailing,
  startFailed,
  supply,
  supplyOf,
} from './supply.js'

/** `names`: unlike those of any pool whose processes may still be there. */
export function newPool(limits: PoolLimits, affinityMs: number, names: Names = PLAIN_NAMES): PoolState {
  return {
    limits,
    affinityMs,
    members: new Map(),
    shelves: new Map(),
    zygotes: new Map(),
    queue: [],
    removed: {},
    counts: { leases: 0, forks: 0, zygotes: 0, refused: 0 },
    made: 0,
    latestZygote: names.zygotesFrom,
    placePrefix: names.placePrefix,
    stopping: false,
  }
}

/** A shelf for workers of that key, of which so many are to be ready. */
export function addShelf(state: PoolState, key: string, spec: string, tenant: string, target: number): Shelf {
  const shelf: Shelf = {
    key,
    spec,
    tenant,
    target,
    zygote: null,
    breaker: CLOSED,
    failure: null,
    waitsToRetry: false,
    starting: new Set(),
    ready: new Set(),
    idle: new Set(),
  }
  state.shelves.set(key, shelf)
  return shelf
}

/** `now` in milliseconds of a monotonic clock. */
export function step(state: PoolState, event: PoolEvent, now: number): PoolEffect[] {
  const effects: PoolEffect[] = []
  take({ state, now, effects }, event)
  return effects
}

function take(at: At, event: PoolEvent): void {
  const state = at.state
  switch (event.on) {
    case 'wanted':
      return wanted(at, event)
    case 'wanted_now': {
      const shelf = state.shelves.get(state.zygotes.get(event.zygote)?.key ?? '')
      const ready = shelf?.zygote === event.zygote ? choose(shelf, null) : null
      if (ready) grant(at, ready, event.request, null)
      return
    }
    case 'claimed':
      return claimed(at, event.request, event.zygote)
    case 'withdrawn':
      return withdrawn(at, event.request, event.late)
    case 'adopted':
      return adopted(at, event)
    case 'reclaimed': {
      const shelf = state.shelves.get(state.zygotes.get(event.zygote)?.key ?? '')
      if (shelf) claim(at, shelf, event.zygote, event.request, event.place)
      return
    }
    case 'claims_over':
      for (const [id, zygote] of state.zygotes) {
        zygote.awaitsClaims = false
        if (zygote.phase === 'retired' && !isUsed(at, id)) endZygote(at, id)
      }
      return
    case 'zygote_up': {
      const zygote = state.zygotes.get(event.zygote)
      if (!zygote || zygote.phase === 'retired') return
      zygote.phase = 'ready'
      zygote.unusedSince = at.now
      return supplyOf(at, zygote.key)
    }
    case 'zygote_lost':
      return zygoteLost(at, event.zygote, event.reason, event.message)
    case 'dialled':
      return dialled(at, event.place, event.pid)
    case 'start_failed':
      return startFailed(at, event.place, event.reason, event.message)
    case 'invalid':
      return invalid(at, event.place, event.reason, event.wantedStill)
    case 'given_back':
      return givenBack(at, event.place, event.alive)
    case 'discarded':
      return retire(at, state.members.get(event.place), event.reason)
    case 'ended':
      return ended(at, event.place)
    case 'stale':
      return stale(at, event.key, event.zygote)
    case 'retry': {
      const shelf = state.shelves.get(event.key)
      if (!shelf) return
      shelf.waitsToRetry = false
      supply(at, shelf)
      return refill(at, shelf)
    }
    case 'refill':
      for (const shelf of state.shelves.values()) refill(at, shelf)
      return
    case 'sweep':
      return sweep(at)
    case 'measured': {
      const member = state.members.get(event.place)
      if (!member) return
      member.memoryBytes = event.bytes
      if (isResting(member) && event.bytes > state.limits.memoryBytesMax) suspect(at, member, 'too_large')
      return
    }
    case 'stop':
      return stop(at)
    default:
      return unreachable(event)
  }
}

function wanted(at: At, { request, key, spec, tenant, affinity }: Extract<PoolEvent, { readonly on: 'wanted' }>): void {
  const state = at.state
  if (state.stopping) return refuse(at, request, 'cancelled', 'The gateway is shutting down.', {})
  const shelf = state.shelves.get(key) ?? addShelf(state, key, spec, tenant, 0)
  const found = choose(shelf, affinity)
  if (found) return grant(at, found, request, affinity)
  shelf.breaker = present(shelf.breaker, at.now)
  if (shelf.breaker.state === 'open') return refuseFailing(at, request, shelf)
  if (state.queue.length >= state.limits.queueLengthMax) {
    const message = `${state.queue.length} others wait for a worker already. Try again later.`
    return refuse(at, request, 'queue_full', message, {})
  }
  state.queue.push({ request, key, affinity, attempts: 0 })
  supply(at, shelf)
}

function claimed(at: At, request: string, zygote: number): void {
  const shelf = at.state.shelves.get(at.state.zygotes.get(zygote)?.key ?? '')
  if (!shelf) return
  const { place } = claim(at, shelf, zygote, request)
  at.effects.push({ do: 'grant', request, place })
}

/** A place that is a kernel's from the beginning; `place`: it was before. */
function claim(at: At, shelf: Shelf, zygote: number, request: string, place?: string): Member {
  const member = newMember(at, shelf, zygote, place)
  member.request = request
  member.uses = 1
  move(at, member, 'claimed')
  return member
}

/** It counts as one that is being started until it is back. */
function adopted(at: At, event: Extract<PoolEvent, { readonly on: 'adopted' }>): void {
  const { state, now } = at
  const { zygote, key, spec, tenant, isCurrent } = event
  const shelf = state.shelves.get(key) ?? addShelf(state, key, spec, tenant, 0)
  state.latestZygote = Math.max(state.latestZygote, zygote)
  const phase = isCurrent ? 'starting' : 'retired'
  state.zygotes.set(zygote, { key, startedAt: now, phase, unusedSince: now, members: 0, awaitsClaims: true })
  if (isCurrent) shelf.zygote = zygote
}

function withdrawn(at: At, request: string, late: boolean): void {
  const { queue, limits } = at.state
  if (!queue.some((each) => each.request === request)) return
  at.state.queue = queue.filter((each) => each.request !== request)
  if (!late) return
  const message = `No worker could be had within ${limits.waitMs / 1000} s. Try again later.`
  refuse(at, request, 'timeout', message, {})
}

function invalid(at: At, place: string, reason: string, wantedStill: boolean): void {
  const member = at.state.members.get(place)
  if (!member) return
  const { request, affinity, shelf } = member
  suspect(at, member, reason)
  if (!wantedStill || request === null) return
  const found = choose(shelf, affinity)
  if (found) return grant(at, found, request, affinity)
  at.state.queue.unshift({ request, key: shelf.key, affinity, attempts: 0 })
  supply(at, shelf)
}

function givenBack(at: At, place: string, alive: boolean): void {
  const { members, limits } = at.state
  const member = members.get(place)
  if (!member) return
  if (!alive || member.affinity === null || at.state.stopping) return retire(at, member, 'given_back')
  if (member.uses >= limits.usesMax) return retire(at, member, 'too_many_uses')
  move(at, member, 'give_back')
  member.request = null
  const idle = [...members.values()].filter(({ phase }) => phase === 'idle')
  if (idle.length > limits.affineMax)
    retire(at, idle.toSorted((one, other) => one.restingSince - other.restingSince)[0], 'too_many_idle')
}

function ended(at: At, place: string): void {
  const member = at.state.members.get(place)
  if (!member) return
  if (member.phase !== 'terminating') countRemoved(at, 'target_dead')
  move(at, member, 'end')
  const zygote = at.state.zygotes.get(member.zygote)
  if (zygote && !isUsed(at, member.zygote)) {
    zygote.unusedSince = at.now
    if (zygote.phase === 'retired') endZygote(at, member.zygote)
  }
  const { shelf } = member
  supply(at, shelf)
  if (shelf.target > 0) at.effects.push({ do: 'refill_soon' })
}

function stale(at: At, key: string, zygote?: number): void {
  const shelf = at.state.shelves.get(key)
  if (!shelf || shelf.zygote === null || shelf.zygote !== (zygote ?? shelf.zygote)) return
  retireZygote(at, shelf.zygote)
  supplyOf(at, key)
}

function zygoteLost(at: At, id: number, reason: StartFailure, message: string): void {
  const state = at.state
  const zygote = state.zygotes.get(id)
  if (!zygote) return
  state.zygotes.delete(id)
  for (const member of [...state.members.values()].filter((each) => each.zygote === id)) {
    move(at, member, 'end')
    countRemoved(at, 'zygote_died')
  }
  const shelf = state.shelves.get(zygote.key)
  if (!shelf || shelf.zygote !== id) return
  shelf.zygote = null
  // One that was at work may be followed at once; one that did not even start needs a pause.
  if (zygote.phase === 'starting') failed(at, shelf, reason, message)
  else supplyOf(at, shelf.key)
}

function sweep(at: At): void {
  const { members, zygotes, limits, affinityMs } = at.state
  for (const member of members.values()) {
    if (!isResting(member)) continue
    if (at.now - member.bornAt > limits.ageMsMax) retire(at, member, 'too_old')
    else if (member.phase === 'idle' && at.now - member.restingSince > affinityMs)
      retire(at, member, 'affinity_expired')
    else at.effects.push({ do: 'look', place: member.place })
  }
  for (const [id, zygote] of zygotes) {
    const isOld = zygote.phase === 'ready' && at.now - zygote.unusedSince > limits.zygoteIdleMs
    if (isOld && !isUsed(at, id) && !isCurrentOfDefault(at, id)) retireZygote(at, id)
  }
  for (const shelf of at.state.shelves.values()) {
    const isEmpty = shelf.target === 0 && shelf.zygote === null && !shelf.waitsToRetry
    if (isEmpty && shelf.breaker.state === 'closed' && ![...members.values()].some((member) => member.shelf === shelf))
      at.state.shelves.delete(shelf.key)
  }
  take(at, { on: 'refill' })
}

function stop(at: At): void {
  at.state.stopping = true
  for (const { request } of at.state.queue.splice(0))
    refuse(at, request, 'cancelled', 'The gateway is shutting down.', {})
}
