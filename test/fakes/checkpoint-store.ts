/** A store of checkpoints that holds what a test puts there, and remembers what it was asked. */

import type { Readable, Writable } from 'node:stream'
import { SavepointError } from '../../src/errors.js'
import type { CheckpointStore, ImportWishes } from '../../src/gateway/state/ports.js'

export interface FakeRecord {
  readonly checkpoint_id: string
  readonly kernel_id: string
  readonly name?: string | null
}

export class FakeCheckpointStore implements CheckpointStore {
  readonly records = new Map<string, FakeRecord>()
  /** Whose those are that are nobody else's. */
  readonly owners = new Map<string, string>()
  readonly queries: unknown[] = []
  readonly damaged = new Set<string>()
  readonly cut = new Set<string>()
  readonly imported: object[] = []

  async list(query: Parameters<CheckpointStore['list']>[0]) {
    this.queries.push(query)
    const items = [...this.records.values()].filter(
      (each) =>
        this.#isOf(each.checkpoint_id, query.owner) && (query.kernelId === null || each.kernel_id === query.kernelId),
    )
    return { items, total_count: items.length }
  }

  async get(id: string, owner: string | null): Promise<FakeRecord | null> {
    const found = this.records.get(id) ?? [...this.records.values()].find(({ name }) => name === id)
    return found && this.#isOf(found.checkpoint_id, owner) ? found : null
  }

  #isOf(id: string, owner: string | null): boolean {
    return owner === null || (this.owners.get(id) ?? 'local') === owner
  }

  async describe(id: string): Promise<object> {
    this.#look(id)
    return { ...this.records.get(id), objects: [] }
  }

  async validate(id: string): Promise<object> {
    const isDamaged = this.damaged.has(id)
    return { valid: !isDamaged, damaged: isDamaged ? [{ code: 'damaged_checkpoint', message: '', details: {} }] : [] }
  }

  async diff(from: string, to: string): Promise<object> {
    return { added: [from], removed: [to], changed: [], code: [] }
  }

  /** Writes some, and then fails if there is something wrong with it further on. */
  async exportTo(id: string, target: Writable): Promise<void> {
    this.#look(id)
    target.write('half ')
    await new Promise((resolve) => setTimeout(resolve, 20))
    if (this.cut.has(id)) throw new SavepointError('storage_failed', 'It ends here.')
    target.end('and half')
  }

  async importFrom(body: Readable, wishes: ImportWishes): Promise<FakeRecord> {
    const chunks: Buffer[] = []
    for await (const chunk of body) {
      chunks.push(chunk as Buffer)
      if (Buffer.concat(chunks).length > 1_000_000) throw new SavepointError('too_large', 'Too much.')
    }
    if (chunks.length === 0) throw new SavepointError('damaged_checkpoint', 'There is nothing in it.')
    this.imported.push({ bytes: Buffer.concat(chunks).length, ...wishes })
    const record = { ...this.records.get('cp_1'), checkpoint_id: 'cp_new', kernel_id: 'elsewhere' }
    this.records.set('cp_new', record)
    return record
  }

  #look(id: string): void {
    if (this.damaged.has(id)) throw new SavepointError('damaged_checkpoint', 'It is not as it was written.')
  }

  async remove(id: string): Promise<void> {
    this.records.delete(id)
  }
}
