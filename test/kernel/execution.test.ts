import { TestKernel } from '../support/test-kernel.js'

const rollback = { metadata: { savepoint: { transaction: 'rollback_on_failure' } } }
const fails = { ename: 'ValueError', evalue: 'no' }

function takenAs(kernel: TestKernel, snapshot: string): void {
  kernel.says({ kind: 'taken', snapshot, pid: 500, ms: 0.5 })
}

describe('cells', () => {
  test('run one after the other, in the order in which they came', () => {
    const kernel = new TestKernel()
    const [a, b] = [kernel.execute('a'), kernel.execute('b')]
    expect(kernel.told.filter(({ command }) => command.kind === 'request')).toHaveLength(1)
    kernel.replies()
    kernel.replies()
    expect(kernel.reply(a).channel).toBe('shell')
    expect(kernel.conversation(b)).toEqual([
      'iopub status busy',
      'iopub execute_input',
      'shell execute_reply ok',
      'iopub status idle',
    ])
  })

  test('are given the raw bytes of the client', () => {
    const kernel = new TestKernel()
    const content = Buffer.from('{"code":"1","n":123456789012345678901234567890}')
    kernel.send('shell', 'execute_request', content, { buffers: ['raw'] })
    const { parts } = kernel.told.findLast(({ command }) => command.kind === 'request') ?? { parts: [] }
    expect(parts[2]).toBe(content)
    expect(parts.slice(3).map(String)).toEqual(['raw'])
  })

  test('have a number before they run, even if they never end', () => {
    const kernel = new TestKernel()
    kernel.execute('while True: pass')
    expect(kernel.state.executionCount).toBe(1)
    expect(kernel.did('remember')).toEqual([{ do: 'remember', line: 1, source: 'while True: pass' }])
  })

  test('that are silent, not stored or blank have no number', () => {
    const kernel = new TestKernel()
    for (const content of [
      { silent: true },
      { store_history: false },
      { code: ' \n\t' },
      { silent: true, store_history: true },
    ]) {
      kernel.execute('x', { content })
      expect(kernel.lastRequest().execution_count).toBe(1)
      kernel.replies()
    }
    expect(kernel.state.executionCount).toBe(0)
    expect(kernel.did('remember')).toEqual([])
  })

  test('without code are refused, and their place in the queue is free again', () => {
    const kernel = new TestKernel()
    const broken = kernel.send('shell', 'execute_request', { silent: false })
    expect(kernel.reply(broken).content).toMatchObject({
      status: 'error',
      ename: 'SavepointError',
      evalue: expect.stringMatching(/^bad_request: /),
    })
    kernel.deliver({ on: 'settled' })
    const good = kernel.execute('1')
    kernel.replies()
    expect(kernel.reply(good).content['status']).toBe('ok')
  })

  test('report how they ran, and what we do not understand of their metadata', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('1', { metadata: { savepoint: { speed: 1 } } })
    const seq = kernel.lastRequest().seq
    const metadata = {
      started: 'then',
      savepoint: { mode: 'simple_sync', execution_time: 0.5, warnings: ['from the worker'] },
    }
    kernel.says({ kind: 'reply', seq, status: 'ok' }, { status: 'ok' }, metadata)
    expect(kernel.reply(cell).metadata).toEqual({
      started: 'then',
      savepoint: {
        version: 1,
        mode: 'simple_sync',
        execution_time: 0.5,
        changes: { added: [], changed: [], removed: [] },
        worker: { pid: 101, generation: 1 },
        transaction: null,
        guard: { taken: false, skipped: 'off' },
        recovery: null,
        warnings: ['from the worker', 'Ignored metadata savepoint.speed: this version does not know it.'],
      },
    })
  })

  test('are answered once, whatever the worker says', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('1')
    kernel.replies()
    kernel.replies()
    expect(kernel.heard.filter(({ parent, type }) => parent === cell && type === 'execute_reply')).toHaveLength(1)
    expect(kernel.conversation(cell).filter((line) => line.endsWith('idle'))).toHaveLength(1)
  })

  test('whose worker patched its reply metadata are answered all the same', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('1')
    const { seq } = kernel.lastRequest()
    kernel.says({ kind: 'reply', seq, status: 'ok' }, { status: 'ok' }, Buffer.from('not json'))
    expect(kernel.report(cell)).toMatchObject({ version: 1, mode: 'unknown' })
  })
})

describe('after a failure', () => {
  test('the cells that were received by then are aborted, other requests keep their place', () => {
    const kernel = new TestKernel()
    kernel.settles = false
    const a = kernel.execute('a')
    const [b, c] = [kernel.execute('b'), kernel.send('shell', 'complete_request')]
    kernel.replies('error', {}, fails)
    const d = kernel.execute('d')
    expect(kernel.conversation(a)).not.toContain('shell execute_reply error')
    kernel.deliver({ on: 'settled' })
    expect(kernel.conversation(a).slice(-2)).toEqual(['shell execute_reply error', 'iopub status idle'])
    for (const aborted of [b, d]) {
      expect(kernel.conversation(aborted)).toEqual([
        'iopub status busy',
        'shell execute_reply aborted',
        'iopub status idle',
      ])
    }
    expect(kernel.lastRequest().type).toBe('complete_request')
    kernel.replies()
    const e = kernel.execute('e')
    kernel.replies()
    expect(kernel.reply(c).content['status']).toBe('ok')
    expect(kernel.reply(e).content['status']).toBe('ok')
  })

  test('a cell that is sent when its reply was seen always runs', () => {
    const kernel = new TestKernel()
    const a = kernel.execute('a')
    kernel.replies('error', {}, fails)
    expect(kernel.reply(a).content['status']).toBe('error')
    const b = kernel.execute('b')
    kernel.deliver({ on: 'settled' })
    kernel.replies()
    expect(kernel.reply(b).content['status']).toBe('ok')
  })

  test('the reply is held back no longer than its deadline', () => {
    const kernel = new TestKernel()
    kernel.settles = false
    const a = kernel.execute('a')
    kernel.replies('error', {}, fails)
    kernel.expires('settled')
    expect(kernel.reply(a).content['status']).toBe('error')
    expect(kernel.state.phase).toBe('idle')
  })

  test.each([true, false])('a death while the reply is held back does not change it (recover: %j)', (recover) => {
    const kernel = new TestKernel({ recover })
    kernel.settles = false
    const a = kernel.execute('a', { metadata: { savepoint: { transaction: 'explicit' } } })
    takenAs(kernel, 'sn_1')
    kernel.replies('error', {}, fails)
    kernel.dies()
    kernel.deliver({ on: 'settled' })
    expect(kernel.conversation(a).slice(-2)).toEqual(['shell execute_reply error', 'iopub status idle'])
    expect(kernel.heard.filter(({ parent, type }) => parent === a && type === 'execute_reply')).toHaveLength(1)
    expect(kernel.state.phase).toBe(recover ? 'idle' : 'stopping')
  })

  test.each([{ stop_on_error: false }, { silent: true }])('with %j nothing is aborted', (content) => {
    const kernel = new TestKernel()
    kernel.execute('a', { content })
    const b = kernel.execute('b')
    kernel.replies('error', {}, fails)
    kernel.replies()
    expect(kernel.reply(b).content['status']).toBe('ok')
    expect(kernel.did('settle')).toEqual([])
  })

  test('of policy the cells behind are aborted like after any other', () => {
    const kernel = new TestKernel()
    const slow = kernel.send('shell', 'complete_request')
    kernel.execute('a', { metadata: { savepoint: { transaction: 'sometimes' } } })
    const b = kernel.execute('b')
    kernel.replies()
    expect(kernel.reply(slow).content['status']).toBe('ok')
    kernel.deliver({ on: 'settled' })
    expect(kernel.reply(b).content['status']).toBe('aborted')
  })
})

describe('a policy', () => {
  test('opens a transaction for the cell and commits it when the cell succeeds', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('x = 1', rollback)
    takenAs(kernel, 'sn_1')
    kernel.replies()
    expect(kernel.report(cell)['transaction']).toMatchObject({ id: 'tx_1', outcome: 'committed', begin_ms: 0.5 })
    expect(kernel.did('discard')).toEqual([{ do: 'discard', snapshots: ['sn_1'] }])
  })

  test('that is explicit leaves the transaction open, whatever the cell does', () => {
    for (const status of ['ok', 'error'] as const) {
      const kernel = new TestKernel()
      const cell = kernel.execute('x = 1', { metadata: { savepoint: { transaction: 'explicit' } } })
      takenAs(kernel, 'sn_1')
      kernel.replies(status, {}, fails)
      expect(kernel.report(cell)['transaction']).toMatchObject({ outcome: 'pending' })
      expect(kernel.state.transactions).toHaveLength(1)
    }
  })

  test('of the outermost transaction decides: a failure in it undoes all of it', () => {
    const kernel = new TestKernel()
    kernel.execute('begin')
    kernel.says({ kind: 'ask', id: 'a', op: 'begin', parent: null, args: { policy: 'rollback_on_failure' } })
    takenAs(kernel, 'sn_1')
    kernel.replies()
    const cell = kernel.execute('x', rollback)
    takenAs(kernel, 'sn_2')
    kernel.replies('error', {}, fails)
    kernel.says({ kind: 'handed_over', snapshot: 'sn_1', limits: [] })
    expect(kernel.did('wake')).toEqual([{ do: 'wake', snapshot: 'sn_1' }])
    expect(kernel.report(cell)['transaction']).toMatchObject({ id: 'tx_1', outcome: 'rolled_back' })
    expect(kernel.state.transactions).toEqual([])
  })

  test('whose snapshot could not be taken is reported as lost', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('x', rollback)
    kernel.says({ kind: 'taken', snapshot: 'sn_1', pid: 0, ms: 0, error: 'no memory' })
    kernel.replies('error', {}, fails)
    expect(kernel.report(cell)['transaction']).toMatchObject({ outcome: 'lost' })
    expect(kernel.did('wake')).toEqual([])
  })

  test('whose snapshot was killed is reported as lost, and the kernel keeps its worker', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('x', rollback)
    takenAs(kernel, 'sn_1')
    kernel.deliver({ on: 'snapshot_gone', snapshot: 'sn_1' })
    kernel.replies('error', {}, fails)
    expect(kernel.report(cell)).toMatchObject({
      transaction: { outcome: 'lost' },
      warnings: ['The snapshot of this transaction is gone. Its state cannot be brought back.'],
    })
    expect(kernel.exit).toBeNull()
    expect(kernel.state).toMatchObject({ phase: 'idle', generation: 1, transactions: [] })
  })

  test('that cannot be had refuses the cell and leaves nothing open', () => {
    const kernel = new TestKernel({ limits: { snapshotsMax: 0 } })
    const cell = kernel.execute('x', rollback)
    expect(kernel.reply(cell).content).toMatchObject({
      status: 'error',
      evalue: expect.stringMatching(/^snapshot_refused: /),
    })
    expect(kernel.state).toMatchObject({ phase: 'idle', transactions: [], executionCount: 0 })
  })
})
