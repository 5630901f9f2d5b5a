/** The store in the shape that a kernel's host needs, for one kernel. */

import { createHash } from 'node:crypto'
import { basename, resolve } from 'node:path'
import { systemClock } from '../clock.js'
import type { StorePort } from '../host/ports.js'
import type { Log } from '../log.js'
import type { CheckpointRules } from '../settings/checkpoints.js'
import { LOCAL_OWNER } from '../store/owner.js'
import { openStore, type Store } from '../store/store.js'

export interface KernelStore extends StorePort {
  close(): Promise<void>
}

/**
 * Nothing is opened before it is needed: the first cell does not wait for a database. Without an owner it is the local
 * user's.
 */
export function kernelStore(
  dataDir: string,
  kernelId: string,
  log: Log,
  owner = LOCAL_OWNER,
  rules: Partial<CheckpointRules> = {},
): KernelStore {
  return kernelStoreOf(openStore({ dataDir, kernelId, owner, log, clock: systemClock, ...rules }), kernelId)
}

export function kernelStoreOf({ history, checkpoints, close }: Store, kernelId: string): KernelStore {
  const find = (nameOrId: string): Promise<string> => checkpoints.find(nameOrId, kernelId)
  return {
    remember: (line, source) => history.record({ line, source }),
    rememberResult: (line, transformed, output) => history.recordResult(line, { transformed, output }),
    historySession: () => history.session(),
    history: (request) => history.query(request),
    beginCheckpoint: (request) => checkpoints.begin({ kernelId, ...request }),
    sealCheckpoint: (checkpoint, facts) => checkpoints.seal(checkpoint, facts),
    abandonCheckpoint: (checkpoint) => checkpoints.abandon(checkpoint),
    openCheckpoint: async (nameOrId) => await checkpoints.open(await find(nameOrId)),
    describeCheckpoint: async (nameOrId) => await checkpoints.describe(await find(nameOrId)),
    validateCheckpoint: async (nameOrId) => await checkpoints.validate(await find(nameOrId)),
    async deleteCheckpoint(nameOrId) {
      const id = await find(nameOrId)
      // One that is damaged is known by the index alone.
      if ((await checkpoints.get(id)) === null) await checkpoints.verify(id)
      await checkpoints.remove(id)
      return id
    },
    async diffCheckpoints(from, to) {
      const id = await find(from)
      return await checkpoints.diff(id, 'id' in to ? { id: await find(to.id) } : to)
    },
    exportCheckpoint: async (nameOrId, bytesMax) => await checkpoints.exportBytes(await find(nameOrId), bytesMax),
    importCheckpoint: (bytes, trust) => checkpoints.importFrom(bytes, { kernelId, trust }),
    async head() {
      const head = await checkpoints.headOf(kernelId)
      if (head) return head
      // Made when nobody kept account of heads.
      const [newest] = (await checkpoints.list({ kernelId, limit: 1 })).items
      return newest ? { head: newest.checkpoint_id, branch: newest.branch } : null
    },
    setHead: ({ head, branch }) => checkpoints.setHead(kernelId, head, branch),
    pruneCheckpoints: (note, keep) => checkpoints.prune(kernelId, note, keep),
    listCheckpoints: (query) => checkpoints.list(query, kernelId),
    close,
  }
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
