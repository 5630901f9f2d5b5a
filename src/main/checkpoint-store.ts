/** The store of checkpoints in the shape that routes and commands need: those know of no files. */

import { SavepointError } from '../errors.js'
import type { CheckpointStore } from '../gateway/state/ports.js'
import type { Checkpoints } from '../store/checkpoints/checkpoints.js'

export interface CheckpointStoreOptions {
  /** Of a file that is taken in. */
  readonly bytesMax?: number
}

/** `checkpoints` may see everybody's: whose are meant is said with each call. */
export function checkpointStore(checkpoints: Checkpoints, options: CheckpointStoreOptions = {}): CheckpointStore {
  return {
    list: (query) => checkpoints.list(query),
    get: async (idOrName, owner) => checkpoints.get(await idOf(checkpoints, idOrName, owner), owner),
    describe: (id) => checkpoints.describe(id),
    validate: (id) => checkpoints.validate(id),
    diff: (from, to) => checkpoints.diff(from, { id: to }),
    exportTo: (id, target) => checkpoints.exportTo(id, target),
    remove: (id) => checkpoints.remove(id),
    importFrom: (body, { owner, trust }) => checkpoints.importFrom(body, { owner, trust, ...options }),
  }
}

/** Names cannot begin as ids do. What is no name of anything is nobody's id either. */
async function idOf(checkpoints: Checkpoints, idOrName: string, owner: string | null): Promise<string> {
  if (idOrName.startsWith('cp_')) return idOrName
  return await checkpoints.find(idOrName, null, owner).catch((error: unknown) => {
    if (error instanceof SavepointError && error.code === 'unknown_checkpoint') return idOrName
    throw error
  })
}
