/** Transactions and checkpoints over HTTP: which op each route asks for, and whose checkpoints there are. */

import { request } from 'node:http'
import { SavepointError } from '../../../src/errors.js'
import { stateRoutes } from '../../../src/gateway/state/state-routes.js'
import { FakeCheckpointStore } from '../../fakes/checkpoint-store.js'
import type { FakeKernel } from '../../fakes/kernels.js'
import { ALL_SCOPES } from '../../../src/gateway/auth/principal.js'
import { testGateway, WITH_TOKEN, type TestGateway } from '../../support/gateway.js'
import { AUDIENCE, ISSUER, KEYS, sign } from '../auth/support.js'

let gateway: TestGateway
let store: FakeCheckpointStore
let kernel: FakeKernel
beforeEach(async () => {
  store = new FakeCheckpointStore()
  gateway = await testGateway({
    more: [stateRoutes(store)],
    keys: { keys: () => KEYS, revoked: () => false },
    rules: { issuer: ISSUER, audience: AUDIENCE },
  })
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
    for (const op of ['export', 'import']) {
      const told = await gateway.ask('POST', '/api/kernels/k/checkpoints', { op })
      expect([told.status, told.body.code]).toEqual([400, 'unknown_op'])
    }
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
    expect(store.queries).toEqual([
      { owner: 'local', kernelId: 'k', branch: null, text: null, before: 'cp_9', limit: 5 },
    ])
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
    expect((await gateway.ask('GET', ONE)).body).toEqual({ checkpoint_id: 'cp_1', kernel_id: 'k', objects: [] })
    expect((await gateway.ask('GET', `${ONE}/validate`)).body).toEqual({ valid: true, damaged: [] })
    store.damaged.add('cp_1')
    expect((await gateway.ask('GET', `${ONE}/validate`)).body).toMatchObject({
      valid: false,
      damaged: [{ code: 'damaged_checkpoint' }],
    })
    expect((await gateway.ask('DELETE', ONE)).status).toBe(204)
    expect((await gateway.ask('GET', ONE)).body.code).toBe('unknown_checkpoint')
  })

  test('are searched, and found by their names', async () => {
    await gateway.ask('GET', '/api/savepoint/checkpoints?q=ready%20for&branch=b&limit=7')
    expect(store.queries).toEqual([
      { owner: null, kernelId: null, branch: 'b', text: 'ready for', before: null, limit: 7 },
    ])
    store.records.set('cp_3', { checkpoint_id: 'cp_3', kernel_id: 'k', name: 'so far' })
    expect((await gateway.ask('GET', '/api/savepoint/checkpoints/so%20far')).body).toMatchObject({
      checkpoint_id: 'cp_3',
    })
  })

  test('are compared with each other, and with the present of their kernel', async () => {
    expect((await gateway.ask('GET', `${ONE}/diff?to=cp_2`)).body).toMatchObject({ added: ['cp_1'], removed: ['cp_2'] })
    kernel.answer = { added: [], removed: [], changed: [], code: ['x = 1'] }
    expect((await gateway.ask('GET', `${ONE}/diff`)).body).toEqual(kernel.answer)
    expect(kernel.asked).toMatchObject([
      { target: 'savepoint.checkpoint', data: { op: 'diff', from: 'cp_1', to: null } },
    ])
    const gone = await gateway.ask('GET', '/api/savepoint/checkpoints/cp_2/diff')
    expect([gone.status, gone.body.code]).toEqual([404, 'unknown_kernel'])
    expect((await gateway.ask('GET', `${ONE}/diff?to=cp_9`)).body.code).toBe('unknown_checkpoint')
  })

  test('of somebody else are not there, whatever is asked of them', async () => {
    // The gateway's own token sees all; this one is a user's.
    const exp = Math.floor(Date.now() / 1000) + 600
    const token = sign({ sub: 'bob', iat: undefined, exp, scopes: ALL_SCOPES })
    store.owners.set('cp_1', 'bob')
    store.owners.set('cp_2', 'ann')
    const other = '/api/savepoint/checkpoints/cp_2'
    for (const [method, url] of [
      ['GET', other],
      ['GET', `${other}/validate`],
      ['GET', `${other}/data`],
      ['GET', `${other}/diff?to=cp_1`],
      ['GET', `${ONE}/diff?to=cp_2`],
      ['DELETE', other],
    ] as const) {
      const answer = await gateway.send({ method, url, headers: { authorization: `Bearer ${token}` } })
      expect([url, answer.status, answer.body.code]).toEqual([url, 404, 'unknown_checkpoint'])
    }
    expect(store.records.has('cp_2')).toBe(true)
  })
})

describe('files of checkpoints', () => {
  const DATA = '/api/savepoint/checkpoints/cp_1/data'
  const IMPORT = '/api/savepoint/checkpoints/import'
  beforeEach(() => store.records.set('cp_1', { checkpoint_id: 'cp_1', kernel_id: 'k', name: 'café "1"' }))

  test('are sent with a name', async () => {
    const { status, headers, text } = await gateway.ask('GET', DATA)
    expect([status, text]).toEqual([200, 'half and half'])
    expect(headers['content-type']).toBe('application/vnd.savepoint.checkpoint')
    expect(headers['content-disposition']).toBe(
      `attachment; filename="cp_1.savepoint"; filename*=UTF-8''caf%C3%A9%20%221%22.savepoint`,
    )
  })

  test('that are damaged are refused, and those that fail on the way are cut', async () => {
    store.damaged.add('cp_1')
    const { status, body } = await gateway.ask('GET', DATA)
    expect([status, body.code]).toEqual([422, 'damaged_checkpoint'])
    store.damaged.clear()
    store.cut.add('cp_1')
    await expect(gateway.ask('GET', DATA)).rejects.toThrow(/aborted|socket hang up|ECONNRESET/)
  })

  test('are taken in as they come, whatever they call themselves and however large they are', async () => {
    const body = Buffer.alloc(200_000, 7)
    for (const type of ['application/vnd.savepoint.checkpoint', 'application/json', undefined]) {
      const headers = { ...WITH_TOKEN, ...(type === undefined ? {} : { 'content-type': type }) }
      const answer = await gateway.send({ method: 'POST', url: `${IMPORT}?trust=lab`, headers, body })
      expect([answer.status, answer.body.checkpoint_id]).toEqual([201, 'cp_new'])
    }
    expect(store.imported).toEqual(Array.from({ length: 3 }, () => ({ bytes: 200_000, owner: 'local', trust: 'lab' })))
  })

  test('that are too large, or have no byte, are refused', async () => {
    const large = await gateway.send({
      method: 'POST',
      url: IMPORT,
      headers: WITH_TOKEN,
      body: Buffer.alloc(1_500_000),
    })
    expect([large.status, large.body.code]).toEqual([413, 'too_large'])
    const none = await gateway.send({ method: 'POST', url: IMPORT, headers: WITH_TOKEN })
    expect([none.status, none.body.code]).toEqual([422, 'damaged_checkpoint'])
    expect(store.imported).toEqual([])
  })

  test('that are cut leave nothing', async () => {
    const { port } = new URL(gateway.url)
    const ended = new Promise<void>((resolve) => {
      const headers = { ...WITH_TOKEN, 'content-length': 1_000 }
      const sent = request({ host: '127.0.0.1', port, method: 'POST', path: IMPORT, headers })
      sent.on('error', () => resolve())
      sent.write('the beginning', () => sent.destroy(new Error('cut')))
    })
    await ended
    expect((await gateway.ask('GET', '/api/savepoint/checkpoints/cp_new')).status).toBe(404)
    expect(store.imported).toEqual([])
  })
})
