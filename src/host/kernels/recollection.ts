/** What can be known of a kernel that an earlier gateway had. */

import type { Lost } from '../../kernel/comeback.js'
import type { Recovered } from '../journal/replay.js'
import type { GatewayKernelParts } from './kernel-parts.js'

export interface Recollection {
  /** What its journal says that it was; null: that says nothing. */
  readonly recovered: Recovered | null
  /** Why not, if there is a reason. */
  readonly unreadable: string | null
}

/** Reads the journal; a failure is logged. */
export function recollect({ journal, log, needs }: GatewayKernelParts): Recollection {
  try {
    return { recovered: journal.recover(), unreadable: null }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    log('error', 'journal_not_recovered', { kernel: needs.kernelId, reason })
    return { recovered: null, unreadable: reason }
  }
}

/** The newest state that is kept of it. Which cells ran since nobody knows. */
export async function newestState({ newStore, needs }: GatewayKernelParts): Promise<Lost> {
  const store = newStore(needs)
  try {
    return { head: (await store.head())?.head ?? null, cells: [] }
  } finally {
    await store.close()
  }
}
