import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/clock.js'
import { SavepointError } from '../../src/errors.js'
import type { LogFields } from '../../src/log.js'
import { openStore, type Store, type StoreOptions } from '../../src/store/store.js'

export interface Logged {
  readonly level: string
  readonly event: string
  readonly fields: LogFields
}

/** Folders and stores of one test, all let go of by `dispose`. */
export class Bench {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'savepoint-store-'))
  readonly logged: Logged[] = []
  readonly #stores: Store[] = []

  /** How far dates are ahead of the real time. */
  aheadMs = 0

  open(
    kernelId = 'kernel-a',
    dataDir = this.dataDir,
    owner?: string,
    rules: Partial<Pick<StoreOptions, 'keep' | 'bytesMax'>> = {},
  ): Store {
    const clock = { ...systemClock, date: () => new Date(Date.now() + this.aheadMs) }
    const log = (level: string, event: string, fields: LogFields = {}): void =>
      void this.logged.push({ level, event, fields })
    const store = openStore({ dataDir, kernelId, ...(owner === undefined ? {} : { owner }), log, clock, ...rules })
    this.#stores.push(store)
    return store
  }

  events(): string[] {
    return this.logged.map(({ event }) => event)
  }

  async dispose(): Promise<void> {
    for (const store of this.#stores) await store.close()
    rmSync(this.dataDir, { recursive: true, force: true })
  }
}

export const MANIFEST = {
  format_version: 1,
  python_version: '3.11.7',
  implementation: 'cpython',
  namespace_size: 3,
  function_count: 1,
  class_count: 0,
  execution_count: 5,
  objects: [{ name: 'x', type: 'int', verdict: 'exact', tier: 'pickle', bytes: 4, reason: null }],
  lost: [{ name: 'sock', type: 'socket.socket', reason: 'A socket cannot be kept.' }],
  verdicts: { exact: 2, equal: 0, rebuilt: 0, lost: 1 },
  sections: [{ name: 'main', offset: 0, length: 64 }],
}

/** What a writer writes. */
export function writerFile(manifest: unknown = MANIFEST, body: Buffer = Buffer.alloc(4096, 'section')): Buffer {
  const json = Buffer.from(typeof manifest === 'string' ? manifest : JSON.stringify(manifest))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  return Buffer.concat([Buffer.from('SVPT1\n\0\0', 'latin1'), length, json, body])
}

export const FACTS = { pause_ms: 1.2, write_ms: 80.5, in_transaction: false, execution_count: 6 }

/** A checkpoint from reservation to seal; its id. */
export async function checkpointOf(
  store: Store,
  name: string | null,
  kernelId = 'kernel-a',
  file: Buffer = writerFile(),
): Promise<string> {
  const { checkpoint_id, path } = await store.checkpoints.begin({ kernelId, name, note: null })
  writeFileSync(path, file)
  await store.checkpoints.seal(checkpoint_id, FACTS)
  return checkpoint_id
}

/** The code that `promise` is refused with; anything but a SavepointError fails the test. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    if (error instanceof SavepointError) return error.code
    throw error
  }
  return 'done'
}
