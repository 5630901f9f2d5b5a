/** `execute_reply.metadata`: what ipykernel puts there, and `savepoint`, on every reply. */

import { json } from '../wire/message.js'
import { guardReport } from './guard.js'
import type { Cell, KernelState } from './state.js'
import type { Transaction } from './transactions.js'
import { isObject } from './policy.js'

export interface TransactionReport {
  readonly transaction: Transaction
  readonly outcome: 'committed' | 'rolled_back' | 'pending' | 'lost'
  readonly end_ms?: number
  readonly effects?: readonly object[]
  readonly limits?: readonly string[]
}

export interface Recovery {
  readonly cause: string
  readonly restored_from: 'guard' | 'checkpoint' | 'none'
  /** The one that was restored. */
  readonly checkpoint?: { readonly checkpoint_id: string; readonly name: string | null; readonly created_at: string }
  readonly lost: readonly string[]
  readonly background_s: number
}

export interface ReplyFacts {
  /** Metadata that the worker gave, for a cell that it has run. */
  readonly worker?: Buffer | undefined
  readonly cell?: Cell
  readonly status?: string
  readonly transaction?: TransactionReport | null
  readonly recovery?: Recovery | null
}

const NO_CHANGES = { added: [], changed: [], removed: [] }

export function replyMetadata(state: KernelState, facts: ReplyFacts): Buffer {
  const base = objectOf(facts.worker)
  const given = isObject(base['savepoint']) ? base['savepoint'] : {}
  const notices = facts.cell?.silent === false ? state.notices.splice(0) : []
  const warnings = [
    ...notices,
    ...(Array.isArray(given['warnings']) ? given['warnings'] : []),
    ...(facts.cell?.warnings ?? []),
  ]
  return json({
    ...base,
    ...(facts.status === undefined ? {} : { status: facts.status }),
    savepoint: {
      version: 1,
      mode: 'unknown',
      execution_time: 0,
      ...given,
      // What a rolled back cell did to the names is undone.
      changes: facts.transaction?.outcome === 'rolled_back' ? NO_CHANGES : (given['changes'] ?? NO_CHANGES),
      worker: { pid: state.worker?.pid ?? null, generation: state.generation },
      transaction: facts.transaction ? transactionBlock(facts.transaction) : null,
      guard: guardReport(state, facts.cell),
      recovery: facts.recovery ?? null,
      ...(facts.cell?.saved ? { checkpoint: facts.cell.saved } : {}),
      warnings,
    },
  })
}

function transactionBlock(report: TransactionReport): object {
  const { transaction } = report
  return {
    id: transaction.id,
    name: transaction.name,
    policy: transaction.policy,
    engine: transaction.engine,
    mode: transaction.mode,
    why: transaction.why,
    outcome: report.outcome,
    begin_ms: transaction.beginMs,
    end_ms: report.end_ms ?? 0,
    effects: report.effects ?? [],
    limits: report.limits ?? [],
  }
}

/** An object from bytes of the worker; user code may have patched what makes them, so anything else is taken as {}. */
function objectOf(bytes: Buffer | undefined): Record<string, unknown> {
  if (!bytes || bytes.length === 0) return {}
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return isObject(value) ? value : {}
  } catch {
    return {}
  }
}
