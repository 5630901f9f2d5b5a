/** What the kernel asks of the store, as calls of its port. */

import { unreachable } from '../errors.js'
import type { StoreCall } from '../kernel/effects.js'
import type { StorePort } from './ports.js'

/** Rejects as the port's method does. */
export function storeCall(store: StorePort, call: StoreCall): Promise<unknown> {
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
