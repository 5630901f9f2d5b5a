/** What a kernel has been through: what of it counts although its processes are gone, and what is kept of it on disk. */

import { describe } from '../../kernel/death.js'
import type { DeathCause } from '../../kernel/effects.js'
import type { GatewayKernelParts } from './kernel-parts.js'
import type { ConnectionRecord, KernelRecord } from './kernel-record.js'
import type { LastDeath } from './kernel-status.js'
import type { KernelPhase } from './lifecycle.js'

export class Past {
  /** How many workers ended processes have had. */
  generations: number
  lastDeath: LastDeath | null
  /** Why it is dead, if it is. */
  reason: string | null
  connection: ConnectionRecord | null
  resting = false
  readonly #parts: GatewayKernelParts
  readonly #startedAt: string
  /** When processes were lost, in milliseconds since the epoch. */
  #losses: readonly number[]

  constructor(parts: GatewayKernelParts) {
    const { recalled, clock } = parts
    this.#parts = parts
    this.generations = recalled?.generations ?? 0
    this.lastDeath = recalled?.last_death ?? null
    this.reason = recalled?.reason ?? null
    this.connection = recalled?.connection ?? null
    this.#losses = recalled?.losses ?? []
    this.#startedAt = recalled?.started_at ?? clock.date().toISOString()
  }

  /** A process was lost. Returns how many were, within the time that counts. `now`: milliseconds since the epoch. */
  lost(now: number): number {
    const { lossesWithinMs } = this.#parts.kernelLimits
    this.#losses = [...this.#losses.filter((at) => now - at < lossesWithinMs), now]
    return this.#losses.length
  }

  /** A worker has died. */
  died(cause: DeathCause): void {
    const at = this.#parts.clock.date().toISOString()
    const { signal, code } = cause
    this.lastDeath = { at, signal: signal?.name ?? null, exit_code: code, reason: `It ${describe(cause)}.` }
  }

  /** Keeps it for the gateway that comes after this one. `lastActivity`: milliseconds since the epoch. */
  keep(phase: KernelPhase, lastActivity: number): void {
    const { records } = this.#parts
    if (records === null || phase === 'ending' || phase === 'ended') return
    records.keep(this.#record(phase, lastActivity))
  }

  #record(phase: KernelPhase, lastActivity: number): KernelRecord {
    const { needs, name, owner, guard, affinity } = this.#parts
    return {
      version: 1,
      id: needs.kernelId,
      name,
      owner,
      needs,
      guard,
      affinity,
      resting: this.resting,
      phase,
      generations: this.generations,
      losses: this.#losses,
      last_death: this.lastDeath,
      reason: this.reason,
      started_at: this.#startedAt,
      last_activity: new Date(lastActivity).toISOString(),
      connection: this.connection,
    }
  }
}
