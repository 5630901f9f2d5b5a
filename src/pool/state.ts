/** What the pool knows, what can happen, and what it wants done: plain data for `step`. */

import type { Breaker } from './breaker.js'
import type { Phase } from './lifecycle.js'
import type { PoolLimits } from './options.js'

/** Why no worker could be started. */
export type StartFailure =
  /** The process could not be made. */
  | 'connect_failed'
  /** It ended before it had dialled in. */
  | 'connect_exited'
  /** Anything else, such as one that does not dial in. */
  | 'connect_error'

/** Why a worker that was ready cannot be leased. */
export type Invalid =
  | 'not_a_worker'
  /** Its connection is closed. */
  | 'pipe_closed'
  /** It is somebody else's. */
  | 'not_owned'
  /** There is no such process. */
  | 'target_dead'
  | 'died_during_connect'

/** One pooled worker. */
export interface Member {
  readonly place: string
  readonly shelf: Shelf
  readonly zygote: number
  readonly bornAt: number
  phase: Phase
  pid: number | null
  /** Since when it is ready or idle. */
  restingSince: number
  uses: number
  memoryBytes: number | null
  /** The request that it was granted to. */
  request: string | null
  /** Whom it waits for, or who has it. */
  affinity: string | null
}

/** Everything that is interchangeable: the workers of one start key. */
export interface Shelf {
  readonly key: string
  readonly spec: string
  readonly tenant: string
  /** How many workers are to be ready. */
  readonly target: number
  /** The zygote that its workers are forked from now. */
  zygote: number | null
  breaker: Breaker
  /** What the latest failure was. */
  failure: { readonly reason: StartFailure; readonly message: string } | null
  /** A retry is on its way. */
  waitsToRetry: boolean
  /** Its workers of these phases, the oldest first: a lease must not look at a thousand. */
  readonly starting: Set<Member>
  readonly ready: Set<Member>
  readonly idle: Set<Member>
}

export interface ZygoteRecord {
  readonly key: string
  readonly startedAt: number
  phase: 'starting' | 'ready' | 'retired'
  members: number
  /** It may have workers of kernels that have not said so. */
  awaitsClaims: boolean
  /** When its last worker ended. */
  unusedSince: number
}

export interface Waiting {
  readonly request: string
  readonly key: string
  readonly affinity: string | null
  attempts: number
}

export interface PoolState {
  readonly limits: PoolLimits
  readonly affinityMs: number
  readonly members: Map<string, Member>
  readonly shelves: Map<string, Shelf>
  readonly zygotes: Map<number, ZygoteRecord>
  queue: Waiting[]
  /** How many workers were removed, by reason. */
  readonly removed: Record<string, number>
  readonly counts: { leases: number; forks: number; zygotes: number; refused: number }
  /** How many places there were. */
  made: number
  /** Number of the zygote that was made last. */
  latestZygote: number
  /** What names of places begin with: those of gateways before have others. */
  readonly placePrefix: string
  stopping: boolean
}

export type PoolEvent =
  | {
      readonly on: 'wanted'
      readonly request: string
      readonly key: string
      readonly spec: string
      readonly tenant: string
      readonly affinity: string | null
    }
  /** A kernel that has a lease wants another worker at once; granted, or not. */
  | { readonly on: 'wanted_now'; readonly request: string; readonly zygote: number }
  /** A kernel forks by itself: the place is its own from the beginning. */
  | { readonly on: 'claimed'; readonly request: string; readonly zygote: number }
  /** Who asked has gone, or waits no more. */
  | { readonly on: 'withdrawn'; readonly request: string; readonly late: boolean }
  /** A zygote that another gateway started is expected; `isCurrent`: new workers may be forked from it. */
  | {
      readonly on: 'adopted'
      readonly zygote: number
      readonly key: string
      readonly spec: string
      readonly tenant: string
      readonly isCurrent: boolean
    }
  /** A kernel goes on with a place that it had below such a zygote. */
  | { readonly on: 'reclaimed'; readonly request: string; readonly zygote: number; readonly place: string }
  /** No kernel does that any more. */
  | { readonly on: 'claims_over' }
  | { readonly on: 'zygote_up'; readonly zygote: number }
  | { readonly on: 'zygote_lost'; readonly zygote: number; readonly reason: StartFailure; readonly message: string }
  | { readonly on: 'dialled'; readonly place: string; readonly pid: number }
  | { readonly on: 'start_failed'; readonly place: string; readonly reason: StartFailure; readonly message: string }
  | { readonly on: 'invalid'; readonly place: string; readonly reason: Invalid; readonly wantedStill: boolean }
  | { readonly on: 'given_back'; readonly place: string; readonly alive: boolean }
  | { readonly on: 'discarded'; readonly place: string; readonly reason: string }
  /** Nothing is left of what was in that place. */
  | { readonly on: 'ended'; readonly place: string }
  /** What the shelf's zygote (`zygote`: if it is that one) has imported is not what is installed. */
  | { readonly on: 'stale'; readonly key: string; readonly zygote?: number }
  | { readonly on: 'retry'; readonly key: string }
  | { readonly on: 'refill' }
  | { readonly on: 'sweep' }
  | { readonly on: 'measured'; readonly place: string; readonly bytes: number }
  | { readonly on: 'stop' }

export type PoolEffect =
  | { readonly do: 'start_zygote'; readonly zygote: number; readonly key: string }
  | { readonly do: 'stop_zygote'; readonly zygote: number }
  | { readonly do: 'fork'; readonly place: string; readonly zygote: number }
  | { readonly do: 'grant'; readonly request: string; readonly place: string }
  | {
      readonly do: 'refuse'
      readonly request: string
      readonly code: 'queue_full' | 'timeout' | 'internal' | 'cancelled'
      readonly message: string
      readonly details: Readonly<Record<string, unknown>>
    }
  | { readonly do: 'end'; readonly place: string; readonly reason: string }
  | { readonly do: 'retry'; readonly key: string; readonly afterMs: number }
  | { readonly do: 'refill_soon' }
  /** See whether it lives, and how much memory it has. */
  | { readonly do: 'look'; readonly place: string }
