/**
 * Where the commands find checkpoints: a gateway that runs, or, where none does, the data folder itself.
 *
 * Both show what the local user owns; a token of another subject shows what is that one's.
 */

import { open, type FileHandle } from 'node:fs/promises'
import { Transform, type Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { systemClock } from '../clock.js'
import { resolveSettings } from '../config.js'
import { SavepointError } from '../errors.js'
import { LOCAL_SUBJECT } from '../gateway/auth/principal.js'
import { silentLog } from '../log.js'
import { openStores } from '../store/store.js'
import type { CheckpointFacts, Difference, Validity } from './checkpoint-lines.js'
import { gatewayOf, type ClientFlags, type GatewayClient } from './gateway-client.js'
import { readRecord } from './gateway-record.js'
import { checkpointStore } from './checkpoint-store.js'

export interface ListWishes {
  readonly kernelId: string | null
  readonly branch: string | null
  readonly text: string | null
  readonly limit: number
}

/** Checkpoints are named by their id, or the newest of that name is meant. All throw what the gateway refuses. */
export interface CheckpointPlace {
  list(wishes: ListWishes): Promise<{ readonly items: readonly CheckpointFacts[]; readonly total_count: number }>
  show(checkpoint: string): Promise<CheckpointFacts>
  validate(checkpoint: string): Promise<Validity>
  diff(from: string, to: string): Promise<Difference>
  /** `passed` is told how many bytes are written. */
  export(checkpoint: string, target: Writable, passed: (bytes: number) => void): Promise<void>
  import(file: string, trust: string | null, passed: (bytes: number) => void): Promise<CheckpointFacts>
  remove(checkpoint: string): Promise<void>
  close(): Promise<void>
}

/** The gateway, or the data folder if nobody named a gateway and none runs with it. */
export function checkpointPlaceOf(flags: ClientFlags): CheckpointPlace {
  const { dataDir } = resolveSettings(flags['--data-dir'] === undefined ? {} : { dataDir: flags['--data-dir'] })
  if (flags['--url'] === undefined && readRecord(dataDir)?.alive !== true) return folderPlace(dataDir)
  return gatewayPlace(gatewayOf(flags))
}

const ALL = '/api/savepoint/checkpoints'

function gatewayPlace(gateway: GatewayClient): CheckpointPlace {
  const one = (checkpoint: string): string => `${ALL}/${encodeURIComponent(checkpoint)}`
  const get = async <T>(path: string): Promise<T> => (await gateway.ask('GET', path, undefined, 0)) as T
  return {
    list: ({ kernelId, branch, text, limit }) => {
      const query = new URLSearchParams({ limit: String(limit) })
      for (const [key, value] of Object.entries({ kernel_id: kernelId, branch, q: text })) {
        if (value !== null) query.set(key, value)
      }
      return get(`${ALL}?${query.toString()}`)
    },
    show: (checkpoint) => get(one(checkpoint)),
    validate: (checkpoint) => get(`${one(checkpoint)}/validate`),
    diff: (from, to) => get(`${one(from)}/diff?to=${encodeURIComponent(to)}`),
    async export(checkpoint, target, passed) {
      await pipeline(await gateway.download(`${one(checkpoint)}/data`), counted(passed), target)
    },
    async import(file, trust, passed) {
      const query = trust === null ? '' : `?trust=${encodeURIComponent(trust)}`
      return (await gateway.ask('POST', `${ALL}/import${query}`, await reading(file, passed), 0)) as CheckpointFacts
    },
    async remove(checkpoint) {
      await gateway.ask('DELETE', one(checkpoint))
    },
    async close() {
      gateway.close()
    },
  }
}

function folderPlace(dataDir: string): CheckpointPlace {
  const stores = openStores({ dataDir, log: silentLog, clock: systemClock })
  const owned = stores.of('command', LOCAL_SUBJECT)
  const store = checkpointStore(owned.checkpoints)
  const find = async (checkpoint: string): Promise<string> => {
    const record = await store.get(checkpoint, LOCAL_SUBJECT)
    if (record !== null) return record.checkpoint_id
    const message = `There is no checkpoint ${JSON.stringify(checkpoint)} in ${dataDir}. See: savepoint checkpoints list`
    throw new SavepointError('unknown_checkpoint', message, { checkpoint })
  }
  return {
    async list(wishes) {
      const { items, total_count } = await store.list({ ...wishes, owner: LOCAL_SUBJECT, before: null })
      return { items: items as readonly CheckpointFacts[], total_count }
    },
    show: async (checkpoint) => (await store.describe(await find(checkpoint))) as CheckpointFacts,
    validate: async (checkpoint) => (await store.validate(await find(checkpoint))) as Validity,
    diff: async (from, to) => (await store.diff(await find(from), await find(to))) as Difference,
    async export(checkpoint, target, passed) {
      const count = counted(passed)
      await Promise.all([store.exportTo(await find(checkpoint), count), pipeline(count, target)])
    },
    async import(file, trust, passed) {
      const wishes = { owner: LOCAL_SUBJECT, trust }
      return (await store.importFrom(await reading(file, passed), wishes)) as CheckpointFacts
    },
    remove: async (checkpoint) => store.remove(await find(checkpoint)),
    async close() {
      await owned.close()
      await stores.close()
    },
  }
}

/** Passes bytes on, and tells how many have passed. */
function counted(passed: (bytes: number) => void): Transform {
  let bytes = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      passed(bytes)
      done(null, chunk)
    },
  })
}

/** A file, or what comes on stdin. Throws `not_found` if it cannot be read. */
async function reading(file: string, passed: (bytes: number) => void): Promise<Readable> {
  const source = file === '-' ? process.stdin : (await openedFile(file)).createReadStream()
  const count = counted(passed)
  // A failure of the source ends what is read of it.
  pipeline(source, count).catch(() => {})
  return count
}

async function openedFile(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'r')
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error)
    throw new SavepointError('not_found', `The file ${file} cannot be read (${reason}).`, { file, reason })
  }
}
