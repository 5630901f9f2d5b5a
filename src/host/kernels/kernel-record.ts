/** What is kept of a kernel for the gateway that comes after this one. Names as in the file. */

import type { KernelPhase } from './lifecycle.js'
import type { LastDeath } from './kernel-status.js'
import type { WorkerNeeds } from './ports.js'

export interface KernelRecord {
  readonly version: 1
  readonly id: string
  /** Name of the kernelspec, as it was asked for. */
  readonly name: string
  readonly owner: string
  readonly needs: WorkerNeeds
  readonly guard: boolean
  /** Who may have it again after it was left; null: nobody. */
  readonly affinity: string | null
  /** It has ended for everybody but that client. */
  readonly resting: boolean
  readonly phase: KernelPhase
  /** Workers that ended processes have had. */
  readonly generations: number
  /** When processes were lost, in milliseconds since the epoch. */
  readonly losses: readonly number[]
  readonly last_death: LastDeath | null
  /** Why it is dead, if it is. */
  readonly reason: string | null
  /** Its place in lists. */
  readonly started_at: string
  readonly last_activity: string
  /** Its ZeroMQ channels, if they are open. */
  readonly connection: ConnectionRecord | null
}

/** What new channels need so that clients of the old ones find them. The key is a secret. */
export interface ConnectionRecord {
  readonly scheme: string
  readonly key: string
  /** The beginning of the sockets' paths. */
  readonly ip: string
  readonly ports: Readonly<Record<string, number>>
}

/** Where records go. */
export interface KernelRecords {
  keep(record: KernelRecord): void
  forget(kernelId: string): void
}

/** A record that can be gone on with; null: it is of a kernel that nobody was told of yet, or that was ending. */
export function usableRecord(found: unknown): KernelRecord | null {
  const record = found as Partial<KernelRecord> | null
  const isWhole =
    record?.version === 1 &&
    [record.id, record.name, record.owner, record.needs?.spec].every((field) => typeof field === 'string') &&
    GOES_ON.has(record.phase ?? '')
  return isWhole && record.resting !== true ? (record as KernelRecord) : null
}

const GOES_ON: ReadonlySet<string> = new Set<KernelPhase>(['returning', 'asleep', 'ready', 'restarting', 'dead'])
