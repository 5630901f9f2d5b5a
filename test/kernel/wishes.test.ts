import { TestKernel } from '../support/test-kernel.js'

const wish = (savepoint: object): { metadata: unknown } => ({ metadata: { savepoint } })
const RESERVED = { checkpoint_id: 'cp_1', path: '/there' }

function stored(kernel: TestKernel): void {
  kernel.stores(RESERVED)
  kernel.says({ kind: 'forked_writer', checkpoint: 'cp_1', pid: 7, pause_ms: 1 })
  kernel.deliver({ on: 'writer', event: { kind: 'written', checkpoint: 'cp_1', ms: 3 }, parts: [] })
  kernel.stores({ checkpoint_id: 'cp_1', state: 'stored' })
}

describe('a checkpoint after a cell', () => {
  test('is made before the reply, which names it', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('x = 1', wish({ checkpoint: { name: 'after' } }))
    const next = kernel.execute('y = 1')
    kernel.replies()
    expect(kernel.asked[0]?.call).toMatchObject({ call: 'begin_checkpoint', name: 'after' })
    expect(kernel.conversation(cell)).not.toContain('shell execute_reply ok')
    stored(kernel)
    expect(kernel.report(cell)).toMatchObject({ checkpoint: { checkpoint_id: 'cp_1', name: 'after' }, warnings: [] })
    expect(kernel.conversation(next)[0]).toBe('iopub status busy')
  })

  test('follows the commit of the cell’s transaction', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('x', wish({ transaction: 'rollback_on_failure', checkpoint: {} }))
    const { permit } = kernel.lastRequest()
    kernel.says({ kind: 'taken', snapshot: permit?.snapshot ?? '', pid: 5, ms: 1 })
    kernel.replies()
    kernel.stores(RESERVED)
    kernel.says({ kind: 'forked_writer', checkpoint: 'cp_1', pid: 7, pause_ms: 1 })
    kernel.deliver({ on: 'writer', event: { kind: 'written', checkpoint: 'cp_1', ms: 3 }, parts: [] })
    expect(kernel.asked[0]?.call).toMatchObject({ call: 'seal_checkpoint', facts: { in_transaction: false } })
    kernel.stores({ checkpoint_id: 'cp_1' })
    expect(kernel.report(cell)['transaction']).toMatchObject({ outcome: 'committed' })
  })

  test('is not made of a cell that failed', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('x', wish({ checkpoint: {} }))
    kernel.replies('error')
    expect(kernel.asked).toEqual([])
    expect(kernel.report(cell)).not.toHaveProperty('checkpoint')
  })

  test.each<[string, (kernel: TestKernel) => void, string]>([
    ['the disk is full', (k) => k.storeFails('storage_failed'), 'storage_failed'],
    ['the store takes too long', (k) => k.expires('store:'), 'timeout'],
  ])('is a warning when %s', (_why, happens, code) => {
    const kernel = new TestKernel()
    const cell = kernel.execute('x', wish({ checkpoint: {} }))
    kernel.replies()
    happens(kernel)
    expect(kernel.reply(cell).content['status']).toBe('ok')
    expect(kernel.report(cell)['warnings']).toEqual([expect.stringContaining(code)])
  })

  test('answers the cell once when the worker dies while it is made', () => {
    const kernel = new TestKernel({ recover: true })
    const cell = kernel.execute('x', wish({ checkpoint: {} }))
    kernel.replies()
    kernel.stores(RESERVED)
    kernel.dies()
    expect(kernel.conversation(cell).filter((each) => each.startsWith('shell'))).toEqual(['shell execute_reply ok'])
    const next = kernel.execute('y')
    kernel.replies()
    expect(kernel.conversation(next)).toContain('shell execute_reply ok')
  })
})

describe('a cell with a deadline', () => {
  test('is interrupted when it passes, and says so', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('x', wish({ timeout_s: 2 }))
    expect(kernel.deadlines.get('cell:1')).toBe(2000)
    kernel.expires('cell:')
    expect(kernel.did('interrupt_worker')).toHaveLength(1)
    kernel.replies('error', {}, { ename: 'KeyboardInterrupt' })
    expect(kernel.report(cell)['warnings']).toEqual(['The cell was interrupted at its deadline of 2 s.'])
  })

  test('counts as failed even if it catches the interrupt', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('x', wish({ timeout_s: 2, transaction: 'rollback_on_failure', checkpoint: {} }))
    const { permit } = kernel.lastRequest()
    kernel.says({ kind: 'taken', snapshot: permit?.snapshot ?? '', pid: 5, ms: 1 })
    kernel.expires('cell:')
    kernel.replies('ok')
    kernel.says({ kind: 'handed_over', snapshot: permit?.snapshot ?? '', limits: [] })
    expect(kernel.report(cell)['transaction']).toMatchObject({ outcome: 'rolled_back' })
    expect(kernel.lastCommand('welcome').woken).toMatchObject({ reason: 'timeout' })
    expect(kernel.asked).toEqual([])
  })

  test('that ends in time is left alone, and so is the next one', () => {
    const kernel = new TestKernel()
    kernel.execute('x', wish({ timeout_s: 2 }))
    kernel.replies()
    kernel.execute('y')
    expect([...kernel.deadlines.keys()]).toEqual([])
  })

  test('waits with the interrupt until there is a worker again', () => {
    const kernel = new TestKernel()
    kernel.execute('x', wish({ timeout_s: 2 }))
    kernel.says({ kind: 'ask', id: 'a', op: 'begin', parent: 'm1', args: { block: true } })
    const answer = kernel.lastCommand('answer')
    const snapshot = answer.ok ? (answer.permit?.snapshot ?? '') : ''
    kernel.says({ kind: 'taken', snapshot, pid: 5, ms: 1 })
    kernel.dials = false
    kernel.says({ kind: 'ask', id: 'b', op: 'rollback', parent: 'm1', args: {} })
    kernel.expires('cell:')
    expect(kernel.did('interrupt_worker')).toHaveLength(0)
    kernel.says({ kind: 'handed_over', snapshot, limits: [] })
    kernel.deliver({ on: 'worker_up', token: kernel.state.worker?.token ?? '', pid: 9 })
    kernel.expires('cell:')
    expect(kernel.did('interrupt_worker')).toEqual([{ do: 'interrupt_worker', pid: 9, seq: expect.any(Number) }])
  })
})
