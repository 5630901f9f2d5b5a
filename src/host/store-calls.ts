/** What the kernel asks of the store, as calls of its port. */

import { SavepointError, unreachable } from '../errors.js'
import type { OpOutcome, StoreCall, StoreOutcome } from '../kernel/effects.js'
import type { Log } from '../log.js'
import type { StorePort } from './ports.js'

/** Never rejects: a failure is an outcome. */
export async function stored(store: StorePort, call: StoreCall, log: Log): Promise<StoreOutcome> {
  try {
    return { ok: true, value: await storeCall(store, call) }
  } catch (error) {
    if (error instanceof SavepointError) return failed(error)
    const message = `The store failed: ${error instanceof Error ? error.message : String(error)}`
    log('error', 'store_failed', { call: call.call, message })
    return { ok: false, error: { code: 'storage_failed', message, details: {} } }
  }
}

/** What came of a call that another process may have made before, as if it had been made once. */
export function asOnce(call: StoreCall, outcome: StoreOutcome): StoreOutcome {
  const isGone = call.call === 'delete_checkpoint' && !outcome.ok && outcome.error.code === 'unknown_checkpoint'
  // By a name nobody knows which one it was.
  return isGone && call.checkpoint.startsWith('cp_') ? { ok: true, value: call.checkpoint } : outcome
}

/** What came of making something. Never rejects. */
export async function outcomeOf(made: Promise<unknown>): Promise<OpOutcome> {
  try {
    return { ok: true, result: await made }
  } catch (error) {
    if (error instanceof SavepointError) return failed(error)
    const message = error instanceof Error ? error.message : String(error)
    return { ok: false, error: { code: 'internal', message, details: {} } }
  }
}

function failed({ code, message, details }: SavepointError): Extract<StoreOutcome, { ok: false }> {
  return { ok: false, error: { code, message, details } }
}

function storeCall(store: StorePort, call: StoreCall): Promise<unknown> {
  switch (call.call) {
    case 'history':
      return store.history(call.request)
    case 'history_session':
      return store.historySession()
    case 'begin_checkpoint': {
      const { name, note, parent, branch } = call
      return store.beginCheckpoint({ name, note, parent, branch })
    }
    case 'seal_checkpoint':
      return store.sealCheckpoint(call.checkpoint, call.facts)
    case 'abandon_checkpoint':
      return store.abandonCheckpoint(call.checkpoint)
    case 'open_checkpoint':
      return store.openCheckpoint(call.checkpoint)
    case 'describe_checkpoint':
      return store.describeCheckpoint(call.checkpoint)
    case 'validate_checkpoint':
      return store.validateCheckpoint(call.checkpoint)
    case 'delete_checkpoint':
      return store.deleteCheckpoint(call.checkpoint)
    case 'diff_checkpoints':
      return store.diffCheckpoints(call.from, call.to)
    case 'export_checkpoint':
      return store.exportCheckpoint(call.checkpoint, call.bytesMax)
    case 'import_checkpoint':
      return store.importCheckpoint(call.bytes, call.trust)
    case 'prune_checkpoints':
      return store.pruneCheckpoints(call.note, call.keep)
    case 'list_checkpoints': {
      const { branch, limit, before } = call
      return store.listCheckpoints({ branch, limit, before })
    }
    case 'head':
      return store.head()
    case 'set_head':
      return store.setHead({ head: call.head, branch: call.branch })
    default:
      return unreachable(call)
  }
}
