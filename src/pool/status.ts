/** What the pool tells of itself, as on the wire. */

import type { SharedZygote } from './shared-zygote.js'
import type { PoolState } from './state.js'

export interface PoolItem {
  /** Where it is in its life; see docs/lifecycle.md. */
  readonly state: string
  readonly pid: number | null
  readonly kernel_id: string | null
  readonly kernelspec: string
  readonly age_s: number
  readonly uses: number
  readonly memory_bytes: number | null
}

export interface PoolStatus {
  readonly items: readonly PoolItem[]
  readonly total_count: number
  /** How many there are of each state. */
  readonly states: Readonly<Record<string, number>>
  /** How many are to be ready. */
  readonly size: number
  readonly queue: number
  readonly leases: number
  readonly forks: number
  readonly refused: number
  /** How many were removed, by reason. */
  readonly removed: Readonly<Record<string, number>>
  readonly zygotes: readonly {
    readonly pid: number | null
    readonly kernelspec: string
    readonly state: string
    readonly workers: number
    readonly age_s: number
    readonly preload_failed: Readonly<Record<string, string>>
  }[]
  /** Kernelspecs whose workers cannot be started at the moment. */
  readonly failing: readonly { readonly kernelspec: string; readonly reason: string; readonly breaker: string }[]
}

export function statusOf(
  state: PoolState,
  zygotes: ReadonlyMap<number, SharedZygote>,
  kernelOf: (request: string) => string | null,
  now: number,
): PoolStatus {
  const seconds = (since: number): number => Math.round(now - since) / 1000
  const items = [...state.members.values()].map((member) => ({
    state: member.phase,
    pid: member.pid,
    kernel_id: member.request === null ? null : kernelOf(member.request),
    kernelspec: member.shelf.spec,
    age_s: seconds(member.bornAt),
    uses: member.uses,
    memory_bytes: member.memoryBytes,
  }))
  const states: Record<string, number> = {}
  for (const each of items) states[each.state] = (states[each.state] ?? 0) + 1
  return {
    items,
    total_count: items.length,
    states,
    size: [...state.shelves.values()].reduce((total, { target }) => total + target, 0),
    queue: state.queue.length,
    leases: state.counts.leases,
    forks: state.counts.forks,
    refused: state.counts.refused,
    removed: { ...state.removed },
    zygotes: [...state.zygotes].map(([id, zygote]) => ({
      pid: zygotes.get(id)?.zygote.pid ?? null,
      kernelspec: state.shelves.get(zygote.key)?.spec ?? '',
      state: zygote.phase,
      workers: zygote.members,
      age_s: seconds(zygote.startedAt),
      preload_failed: zygotes.get(id)?.facts?.preload_failed ?? {},
    })),
    failing: [...state.shelves.values()].flatMap(({ spec, failure, breaker }) =>
      failure === null ? [] : [{ kernelspec: spec, reason: failure.reason, breaker: breaker.state }],
    ),
  }
}
