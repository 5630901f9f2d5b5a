/** Transactions and checkpoints over HTTP: which op each route asks for, and whose checkpoints there are. */

import { SavepointError } from '../../../src/errors.js'
import type { CheckpointStore } from '../../../src/gateway/state/ports.js'
import { stateRoutes } from '../../../src/gateway/state/state-routes.js'
import type { FakeKernel } from '../../fakes/kernels.js'
import { testGateway, type TestGateway } from '../../support/gateway.js'

interface FakeRecord {
  readonly checkpoint_id: string
  readonly kernel_id: string
}

class FakeStore implements CheckpointStore {
  readonly records = new Map<string, FakeRecord>()
  /** Whose those are that are nobody else's. */
  readonly owners = new Map<string, string>()
  readonly queries: unknown[] = []
  damaged = new Set<string>()

  async list(query: Parameters<CheckpointStore['list']>[0]) {
    this.queries.push(query)
    const items = [...this.records.values()].filter(
      (each) =>
        this.#isOf(each.checkpoint_id, query.owner) && (query.kernelId === null || each.kernel_id === query.kernelId),
    )
    return { items, total_count: items.length }
  }

  async get(id: string, owner: string | null): Promise<FakeRecord | null> {
    return this.#isOf(id, owner) ? (this.records.get(id) ?? null) : null
  }

  #isOf(id: string, owner: string | null): boolean {
    return owner === null || (this.owners.get(id) ?? 'local') === owner
  }

  async verify(id: string): Promise<void> {
    if (this.damaged.has(id)) throw new SavepointError('damaged_checkpoint', 'It is not as it was written.')
  }

  async remove(id: string): Promise<void> {
    this.records.delete(id)
  }
}

let gateway: TestGateway
let store: FakeStore
let kernel: FakeKernel
beforeEach(async () => {
  store = new FakeStore()
  gateway = await testGateway({ more: [stateRoutes(store)] })
  const nothing = { environment: {}, path: null, cwd: null, affinity: null }
  kernel = await gateway.kernels.start({ name: 'python3', kernelId: 'k', owner: 'local', ...nothing })
})
afterEach(() => gateway.close())

describe('transactions', () => {
  const ALL = '/api/kernels/k/transactions'

  test.each([
    ['POST', ALL, { name: 'a' }, 201, { op: 'begin', name: 'a' }],
    ['POST', ALL, { op: 'status' }, 200, { op: 'status' }],
    ['DELETE', `${ALL}/tx_1`, undefined, 200, { op: 'rollback', transaction: 'tx_1' }],
    ['POST', `${ALL}/tx_1/rollback`, { to: 'a' }, 200, { op: 'rollback', transaction: 'tx_1', to: 'a' }],
    ['POST', `${ALL}/tx_1/rollback`, {}, 200, { op: 'rollback', transaction: 'tx_1' }],
    ['POST', `${ALL}/tx_1/savepoints`, { name: 'a' }, 200, { op: 'savepoint', transaction: 'tx_1', name: 'a' }],
    ['POST', ALL, { op: 'release', name: 'a' }, 200, { op: 'release', name: 'a' }],
    ['POST', `${ALL}/tx_1/commit`, {}, 200, { op: 'commit', transaction: 'tx_1' }],
    ['POST', '/api/kernels/k/undo', { n: 2 }, 200, { op: 'undo', n: 2 }],
    ['POST', '/api/kernels/k/redo', undefined, 200, { op: 'redo' }],
  ] as const)('%s %s %p', async (method, url, body, status, data) => {
    kernel.answer = { id: 'tx_1', state: 'open' }
    const answer = await gateway.ask(method, `${url}?wait_s=1.5`, body)
    expect([answer.status, answer.body]).toEqual([status, { id: 'tx_1', state: 'open' }])
    expect(kernel.asked).toEqual([{ target: 'savepoint.transaction', data, waitMs: 1_500 }])
  })

  test('that are open are listed, and found by id', async () => {
    kernel.answer = { transactions: [{ id: 'tx_1' }, { id: 'tx_2' }] }
    expect((await gateway.ask('GET', ALL)).body).toEqual({ items: [{ id: 'tx_1' }, { id: 'tx_2' }], total_count: 2 })
    expect((await gateway.ask('GET', `${ALL}/tx_2`)).body).toEqual({ id: 'tx_2' })
    const none = await gateway.ask('GET', `${ALL}/tx_3`)
    expect([none.status, none.body.code]).toEqual([404, 'unknown_transaction'])
    expect(kernel.asked[0]).toMatchObject({ data: { op: 'status' }, waitMs: 30_000 })
  })

  test('of a kernel that refuses, or stays busy, say so', async () => {
    for (const [code, status] of [
      ['kernel_busy', 409],
      ['no_transaction', 409],
      ['unknown_op', 400],
      ['kernel_dead', 410],
    ] as const) {
      kernel.answer = new SavepointError(code, 'No.')
      const answer = await gateway.ask('POST', `${ALL}/tx_1/commit`)
      expect([answer.status, answer.body.code]).toEqual([status, code])
    }
    expect((await gateway.ask('POST', `${ALL}?wait_s=long`)).status).toBe(400)
    expect((await gateway.ask('GET', '/api/kernels/none/transactions')).body.code).toBe('unknown_kernel')
  })
})

describe('forks of a kernel', () => {
  const FORK = '/api/kernels/k/fork'

  test.each([[{}], [{ count: 3 }], [{ count: 2, at: 'sn_1' }], [{ at: null }]])('of %j', async (body) => {
    const model = {
      id: 'f',
      name: 'python3',
      execution_state: 'idle',
      last_activity: 'x',
      connections: 0,
      savepoint: {},
    }
    kernel.answer = { kernels: [model] }
    const { status, body: told } = await gateway.ask('POST', `${FORK}?wait_s=2`, body)
    expect([status, told]).toEqual([201, { kernels: [model] }])
    expect(kernel.asked).toEqual([{ target: 'savepoint.transaction', data: { ...body, op: 'fork' }, waitMs: 2_000 }])
  })

  test('that cannot be say why', async () => {
    for (const [code, status] of [
      ['kernel_busy', 409],
      ['quota_exceeded', 429],
      ['snapshot_failed', 422],
      ['unknown_snapshot', 404],
      ['not_available', 409],
      ['timeout', 504],
    ] as const) {
      kernel.answer = new SavepointError(code, 'No.')
      const answer = await gateway.ask('POST', FORK, {})
      expect([answer.status, answer.body.code]).toEqual([status, code])
    }
    for (const body of [{ count: 'many' }, { count: 1.5 }, { at: 5 }])
      expect((await gateway.ask('POST', FORK, body)).status).toBe(400)
    expect((await gateway.ask('POST', '/api/kernels/none/fork', {})).body.code).toBe('unknown_kernel')
  })
})

describe('checkpoints of a kernel', () => {
  test('are made and restored by it, in its turn', async () => {
    kernel.answer = { checkpoint_id: 'cp_1' }
    expect((await gateway.ask('POST', '/api/kernels/k/checkpoints', { name: 'a' })).status).toBe(201)
    expect((await gateway.ask('POST', '/api/kernels/k/checkpoints', { op: 'list' })).status).toBe(200)
    expect((await gateway.ask('POST', '/api/kernels/k/restore', { checkpoint: 'a', mode: 'merge' })).status).toBe(200)
    expect((await gateway.ask('POST', '/api/kernels/k/restore', {})).status).toBe(400)
    expect(kernel.asked.map(({ target, data }) => [target, data])).toEqual([
      ['savepoint.checkpoint', { op: 'create', name: 'a' }],
      ['savepoint.checkpoint', { op: 'list' }],
      ['savepoint.checkpoint', { op: 'restore', checkpoint: 'a', mode: 'merge' }],
    ])
  })

  test('are listed without it, however busy it is', async () => {
    store.records.set('cp_1', { checkpoint_id: 'cp_1', kernel_id: 'k' })
    store.records.set('cp_2', { checkpoint_id: 'cp_2', kernel_id: 'gone' })
    const { body } = await gateway.ask('GET', '/api/kernels/k/checkpoints?limit=5&before=cp_9')
    expect(body).toEqual({ items: [{ checkpoint_id: 'cp_1', kernel_id: 'k' }], total_count: 1, head: 'cp_1' })
    expect(store.queries).toEqual([{ owner: 'local', kernelId: 'k', branch: null, before: 'cp_9', limit: 5 }])
    expect(kernel.asked).toEqual([])
    expect((await gateway.ask('GET', '/api/kernels/k/checkpoints?limit=x')).status).toBe(400)
  })
})

describe('checkpoints', () => {
  const ONE = '/api/savepoint/checkpoints/cp_1'
  beforeEach(() => {
    store.records.set('cp_1', { checkpoint_id: 'cp_1', kernel_id: 'k' })
    store.records.set('cp_2', { checkpoint_id: 'cp_2', kernel_id: 'gone' })
  })

  test('of all kernels are listed, looked at, checked and deleted', async () => {
    expect((await gateway.ask('GET', '/api/savepoint/checkpoints')).body).toMatchObject({ total_count: 2 })
    expect((await gateway.ask('GET', '/api/savepoint/checkpoints?kernel_id=gone')).body).toMatchObject({
      total_count: 1,
    })
    expect((await gateway.ask('GET', ONE)).body).toEqual({ checkpoint_id: 'cp_1', kernel_id: 'k' })
    expect((await gateway.ask('GET', `${ONE}/validate`)).body).toEqual({ valid: true, damaged: [] })
    store.damaged.add('cp_1')
    expect((await gateway.ask('GET', `${ONE}/validate`)).body).toMatchObject({
      valid: false,
      damaged: [{ code: 'damaged_checkpoint' }],
    })
    expect((await gateway.ask('DELETE', ONE)).status).toBe(204)
    expect((await gateway.ask('GET', ONE)).body.code).toBe('unknown_checkpoint')
  })
})
