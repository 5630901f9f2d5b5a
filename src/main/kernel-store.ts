/** The store in the shape that a kernel's host needs, for one kernel. */

import { createHash } from 'node:crypto'
import { basename, resolve } from 'node:path'
import { systemClock } from '../clock.js'
import { SavepointError } from '../errors.js'
import type { StorePort } from '../host/ports.js'
import type { Log } from '../log.js'
import { LOCAL_OWNER } from '../store/owner.js'
import { openStore, type Store } from '../store/store.js'

export interface KernelStore extends StorePort {
  close(): Promise<void>
}

/**
 * Nothing is opened before it is needed: the first cell does not wait for a database. Without an owner it is the local
 * user's.
 */
export function kernelStore(dataDir: string, kernelId: string, log: Log, owner = LOCAL_OWNER): KernelStore {
  return kernelStoreOf(openStore({ dataDir, kernelId, owner, log, clock: systemClock }), kernelId)
}

export function kernelStoreOf({ history, checkpoints, close }: Store, kernelId: string): KernelStore {
  return {
    remember: (line, source) => history.record({ line, source }),
    rememberResult: (line, transformed, output) => history.recordResult(line, { transformed, output }),
    historySession: () => history.session(),
    history: (request) => history.query(request),
    beginCheckpoint: ({ name, note }) => checkpoints.begin({ kernelId, name, note }),
    sealCheckpoint: (checkpoint, facts) => checkpoints.seal(checkpoint, facts),
    abandonCheckpoint: (checkpoint) => checkpoints.abandon(checkpoint),
    async openCheckpoint(nameOrId) {
      const { path, record } = await checkpoints.verify(await checkpoints.find(nameOrId, kernelId))
      return { record, format: 1, path, packs: [], root: null, map: null }
    },
    describeCheckpoint: notYet,
    validateCheckpoint: notYet,
    deleteCheckpoint: notYet,
    diffCheckpoints: notYet,
    exportCheckpoint: notYet,
    importCheckpoint: notYet,
    async head() {
      const [newest] = (await checkpoints.list({ kernelId, limit: 1 })).items
      return newest ? { head: newest.checkpoint_id, branch: newest.branch } : null
    },
    setHead: async () => {},
    pruneCheckpoints: (note, keep) => checkpoints.prune(kernelId, note, keep),
    listCheckpoints: (query) => checkpoints.list(query, kernelId),
    close,
  }
}

async function notYet(): Promise<never> {
  throw new SavepointError('unknown_op', 'This version cannot do that with checkpoints.')
}

/** Jupyter names connection files after its kernels; a kernel that is restarted keeps both. */
export function kernelIdOf(connectionFile: string, otherwise: string): string {
  return /^kernel-(.+)\.json$/.exec(basename(connectionFile))?.[1] ?? otherwise
}

/** The same for a file of any name: its path is what a restart keeps. */
export function lastingKernelIdOf(connectionFile: string): string {
  const path = resolve(connectionFile)
  return kernelIdOf(path, `file-${createHash('sha256').update(path).digest('hex').slice(0, 32)}`)
}
