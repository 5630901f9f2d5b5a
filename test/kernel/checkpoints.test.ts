import { CHECKPOINT_TARGET } from '../../src/kernel/comms.js'
import { TestKernel } from '../support/test-kernel.js'

function open(): TestKernel {
  const kernel = new TestKernel()
  kernel.send('shell', 'comm_open', { comm_id: 'c', target_name: CHECKPOINT_TARGET, data: {} })
  return kernel
}

function request(kernel: TestKernel, data: object): string {
  return kernel.send('shell', 'comm_msg', { comm_id: 'c', data: { id: '1', ...data } })
}

function answer(kernel: TestKernel, id: string): unknown {
  const found = kernel.heard.find(({ parent, type }) => parent === id && type === 'comm_msg')
  if (!found) throw new Error('There is no answer.')
  const { ok, result, error } = found.content['data'] as { ok: boolean; result: unknown; error: { code: string } }
  return ok ? result : error.code
}

const RESERVED = { checkpoint_id: 'cp_1', path: '/there' }
const OPENED = {
  record: { checkpoint_id: 'cp_1', name: 'loaded', note: null, branch: 'main', created_at: 'then', execution_count: 1 },
  format: 1,
  path: '/there',
  packs: [],
  root: null,
  map: null,
}

/** The steps of `create`; each takes the operation one further. */
const STEPS: readonly ((kernel: TestKernel) => void)[] = [
  (kernel) => kernel.stores(RESERVED),
  (kernel) => kernel.says({ kind: 'forked_writer', checkpoint: 'cp_1', pid: 7, pause_ms: 1.5 }),
  (kernel) => kernel.deliver({ on: 'writer', event: { kind: 'written', checkpoint: 'cp_1', ms: 80 }, parts: [] }),
  (kernel) => kernel.stores({ checkpoint_id: 'cp_1', state: 'stored' }),
]

function created(steps: number): { kernel: TestKernel; id: string } {
  const kernel = open()
  const id = request(kernel, { op: 'create', name: 'loaded', note: 'after load', exclude: ['tmp*'] })
  for (const step of STEPS.slice(0, steps)) step(kernel)
  return { kernel, id }
}

describe('making a checkpoint', () => {
  test('reserves, forks a writer, waits for the file and seals it', () => {
    const { kernel, id } = created(STEPS.length)
    expect(answer(kernel, id)).toEqual({ checkpoint_id: 'cp_1', state: 'stored' })
    const calls = kernel.did('store').map(({ call }) => call)
    expect(calls).toEqual([
      { call: 'head' },
      { call: 'begin_checkpoint', name: 'loaded', note: 'after load', parent: null, branch: 'main' },
      {
        call: 'seal_checkpoint',
        checkpoint: 'cp_1',
        facts: { pause_ms: 1.5, write_ms: 80, in_transaction: false, execution_count: 0 },
      },
      { call: 'set_head', head: 'cp_1', branch: 'main' },
    ])
    expect(kernel.lastCommand('checkpoint')).toMatchObject({ checkpoint: 'cp_1', path: '/there', exclude: ['tmp*'] })
  })

  test('fails with the store’s code when nothing can be reserved', () => {
    const { kernel, id } = created(0)
    kernel.storeFails('already_exists')
    expect(answer(kernel, id)).toBe('already_exists')
    expect(kernel.did('store').map(({ call }) => call.call)).toEqual(['head', 'begin_checkpoint'])
  })

  test.each<[string, number, (kernel: TestKernel) => void, string]>([
    [
      'the fork fails',
      1,
      (k) => k.says({ kind: 'forked_writer', checkpoint: 'cp_1', pid: 0, pause_ms: 0, error: 'no memory' }),
      'snapshot_failed',
    ],
    ['the fork takes too long', 1, (k) => k.expires('forked_writer:'), 'timeout'],
    ['the worker dies before the fork', 1, (k) => k.dies(), 'kernel_dead'],
    [
      'the writer fails',
      2,
      (k) =>
        k.deliver({
          on: 'writer',
          event: { kind: 'write_failed', checkpoint: 'cp_1', reason: 'disk full' },
          parts: [],
        }),
      'storage_failed',
    ],
    ['the writer takes too long', 2, (k) => k.expires('written:'), 'timeout'],
    ['the store cannot seal', 3, (k) => k.storeFails('storage_failed'), 'storage_failed'],
    ['the store takes too long', 3, (k) => k.expires('store:'), 'timeout'],
    ['the kernel is shut down', 2, (k) => void k.send('control', 'shutdown_request', {}), 'kernel_restarting'],
  ])('gives up what was reserved when %s', (_, steps, fail, code) => {
    const { kernel, id } = created(steps)
    fail(kernel)
    expect(answer(kernel, id)).toBe(code)
    expect(kernel.did('store').at(-1)?.call).toEqual({ call: 'abandon_checkpoint', checkpoint: 'cp_1' })
    expect(kernel.conversation(id).filter((line) => line.endsWith('idle'))).toHaveLength(1)
  })

  test('goes on when the worker dies after the fork: the writer is a process of its own', () => {
    const kernel = new TestKernel({ recover: true })
    kernel.send('shell', 'comm_open', { comm_id: 'c', target_name: CHECKPOINT_TARGET, data: {} })
    const id = request(kernel, { op: 'create' })
    STEPS[0]?.(kernel)
    STEPS[1]?.(kernel)
    kernel.dies()
    STEPS[2]?.(kernel)
    STEPS[3]?.(kernel)
    expect(answer(kernel, id)).toEqual({ checkpoint_id: 'cp_1', state: 'stored' })
    expect(kernel.conversation(id)).toEqual([
      'iopub status busy',
      'iopub comm_msg',
      'iopub comm_msg',
      'iopub status idle',
    ])
    // And the worker that follows is given just that.
    kernel.stores({ items: [], total_count: 0 })
    kernel.stores(OPENED)
    kernel.says({ kind: 'restored', id: kernel.lastCommand('restore').id, restored: 1, lost: [], warnings: [], ms: 1 })
    expect(kernel.state.phase).toBe('idle')
  })

  test('says when a transaction was open', () => {
    const kernel = open()
    kernel.execute('%begin')
    kernel.says({ kind: 'ask', id: 'a', op: 'begin', parent: null, args: {} })
    kernel.says({ kind: 'taken', snapshot: 'sn_1', pid: 5, ms: 1 })
    kernel.says({ kind: 'ask', id: 'b', op: 'checkpoint', parent: null, args: { name: 'inside' } })
    for (const step of STEPS.slice(0, 3)) step(kernel)
    expect(kernel.asked[0]?.call).toMatchObject({ facts: { in_transaction: true, execution_count: 1 } })
    STEPS[3]?.(kernel)
    expect(kernel.lastCommand('answer')).toMatchObject({ id: 'b', ok: true, result: { state: 'stored' } })
  })

  test.each([
    [{ name: 'cp_mine' }, 'name_invalid'],
    [{ name: 7 }, 'name_invalid'],
    [{ note: 7 }, 'bad_request'],
    [{ exclude: 'tmp' }, 'bad_request'],
    [{ exclude: [1] }, 'bad_request'],
  ])('with %j is refused before anything is done', (fields, code) => {
    const kernel = open()
    expect(answer(kernel, request(kernel, { op: 'create', ...fields }))).toBe(code)
    expect(kernel.did('store')).toEqual([])
  })
})

describe('restoring a checkpoint', () => {
  function restoring(fields: object = {}): { kernel: TestKernel; id: string } {
    const kernel = open()
    const id = request(kernel, { op: 'restore', checkpoint: 'loaded', ...fields })
    return { kernel, id }
  }
  const restored = { restored: 2, lost: [], warnings: ['no module x'], ms: 9 }

  test('verifies first, then loads', () => {
    const { kernel, id } = restoring({ mode: 'merge', names: ['a', 'b'] })
    expect(kernel.told.map(({ command }) => command.kind)).not.toContain('restore')
    kernel.stores(OPENED)
    const command = kernel.lastCommand('restore')
    expect(command).toMatchObject({ path: '/there', mode: 'merge', names: ['a', 'b'] })
    kernel.says({ kind: 'restored', id: command.id, ...restored })
    expect(answer(kernel, id)).toEqual({
      checkpoint_id: 'cp_1',
      restored: 2,
      lost: [],
      warnings: ['no module x'],
      restore_ms: 9,
    })
  })

  test.each([
    [{ checkpoint: null }, 'bad_request'],
    [{ mode: 'replace' }, 'bad_request'],
    [{ names: 'a' }, 'bad_request'],
  ])('with %j is refused', (fields, code) => {
    const { kernel, id } = restoring(fields)
    expect(answer(kernel, id)).toBe(code)
  })

  test.each(['unknown_checkpoint', 'damaged_checkpoint', 'foreign_checkpoint'])(
    'that the store answers with %s loads nothing',
    (code) => {
      const { kernel, id } = restoring()
      kernel.storeFails(code)
      expect(answer(kernel, id)).toBe(code)
      expect(kernel.told.map(({ command }) => command.kind)).not.toContain('restore')
    },
  )

  test('that the worker cannot load is restore_failed', () => {
    const { kernel, id } = restoring()
    kernel.stores(OPENED)
    const error = { code: 'restore_failed', message: 'x', details: {} }
    kernel.says({ kind: 'restored', id: kernel.lastCommand('restore').id, ...restored, error })
    expect(answer(kernel, id)).toBe('restore_failed')
  })

  test('in an open transaction is refused', () => {
    const kernel = open()
    kernel.execute('%begin')
    kernel.says({ kind: 'ask', id: 'a', op: 'begin', parent: null, args: {} })
    kernel.says({ kind: 'taken', snapshot: 'sn_1', pid: 5, ms: 1 })
    kernel.says({ kind: 'ask', id: 'b', op: 'restore', parent: null, args: { checkpoint: 'x' } })
    expect(kernel.lastCommand('answer')).toMatchObject({ id: 'b', ok: false, error: { code: 'transaction_open' } })
  })
})

describe('the list of checkpoints', () => {
  test.each([0, 1001, 1.5, '10', -1])('refuses a limit of %j', (limit) => {
    const kernel = open()
    expect(answer(kernel, request(kernel, { op: 'list', limit }))).toBe('bad_request')
  })

  test('asks the store for a branch, from a place on', () => {
    const kernel = open()
    request(kernel, { op: 'list', limit: 5, branch: 'main', before: 'cp_9' })
    expect(kernel.asked[0]?.call).toEqual({ call: 'list_checkpoints', limit: 5, branch: 'main', before: 'cp_9' })
  })
})
