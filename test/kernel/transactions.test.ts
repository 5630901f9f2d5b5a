import { CHECKPOINT_TARGET, TRANSACTION_TARGET } from '../../src/kernel/comms.js'
import { TestKernel } from '../support/test-kernel.js'

/** A kernel with an open comm `t`; requests through it return `result`, or the error's code. */
function open(options: ConstructorParameters<typeof TestKernel>[0] = {}): TestKernel {
  const kernel = new TestKernel(options)
  kernel.send('shell', 'comm_open', { comm_id: 't', target_name: TRANSACTION_TARGET, data: {} })
  return kernel
}

function send(kernel: TestKernel, data: object): string {
  return kernel.send('shell', 'comm_msg', { comm_id: 't', data: { id: '1', ...data } })
}

function answer(kernel: TestKernel, request: string): Record<string, unknown> {
  const found = kernel.heard.find((each) => each.parent === request && each.type === 'comm_msg')
  if (!found) throw new Error('There is no answer.')
  const { ok, result, error } = found.content['data'] as {
    ok: boolean
    result: Record<string, unknown>
    error: { code: string }
  }
  return ok ? result : { code: error.code }
}

function begin(kernel: TestKernel, fields: object = {}): Record<string, unknown> {
  const request = send(kernel, { op: 'begin', ...fields })
  if (kernel.state.turn) took(kernel)
  return answer(kernel, request)
}

function took(kernel: TestKernel, snapshot = kernel.lastCommand('snapshot').permit.snapshot): void {
  kernel.says({ kind: 'taken', snapshot, pid: 500 + kernel.state.snapshotsMade, ms: 0.5 })
}

function ask(kernel: TestKernel, fields: object): Record<string, unknown> {
  const request = send(kernel, fields)
  for (const { snapshot } of kernel.told
    .map(({ command }) => command)
    .filter((each) => each.kind === 'hand_over')
    .slice(-1)) {
    kernel.says({ kind: 'handed_over', snapshot, limits: [] })
  }
  return answer(kernel, request)
}

const openIds = (kernel: TestKernel): string[] => kernel.state.transactions.map(({ id }) => id)

describe('transactions', () => {
  test('nest: the innermost is meant, and ending an outer one ends those inside it', () => {
    const kernel = open()
    begin(kernel)
    begin(kernel, { name: 'two' })
    begin(kernel)
    expect(openIds(kernel)).toEqual(['tx_1', 'tx_2', 'tx_3'])
    expect(ask(kernel, { op: 'commit' })).toMatchObject({ id: 'tx_3', state: 'committed', depth: 3 })
    expect(ask(kernel, { op: 'commit', transaction: 'tx_1' })).toMatchObject({ id: 'tx_1', state: 'committed' })
    expect(openIds(kernel)).toEqual([])
    expect(ask(kernel, { op: 'commit', transaction: 'tx_2' })).toEqual({ code: 'unknown_transaction' })
    expect(ask(kernel, { op: 'commit' })).toEqual({ code: 'no_transaction' })
  })

  test('discard their snapshots when they are committed', () => {
    const kernel = open()
    begin(kernel)
    begin(kernel)
    ask(kernel, { op: 'commit', transaction: 'tx_1' })
    expect(kernel.did('discard')).toEqual([{ do: 'discard', snapshots: ['sn_1', 'sn_2'] }])
    expect(kernel.state.snapshots.size).toBe(0)
  })

  test('that are rolled back wake their snapshot, end the worker, and discard what was frozen later', () => {
    const kernel = open()
    const oldPid = kernel.state.worker?.pid
    begin(kernel)
    begin(kernel)
    expect(ask(kernel, { op: 'rollback', transaction: 'tx_1' })).toMatchObject({
      state: 'rolled_back',
      reason: 'requested',
      limits: [],
    })
    expect(kernel.did('wake')).toEqual([{ do: 'wake', snapshot: 'sn_1' }])
    expect(kernel.did('kill')).toEqual([{ do: 'kill', pid: oldPid }])
    expect(kernel.did('discard')).toEqual([{ do: 'discard', snapshots: ['sn_2'] }])
    expect(openIds(kernel)).toEqual([])
    expect(kernel.state.generation).toBe(2)
    expect(kernel.state.phase).toBe('idle')
  })

  test('keep an outer transaction when an inner one is rolled back', () => {
    const kernel = open()
    begin(kernel)
    begin(kernel)
    expect(ask(kernel, { op: 'rollback' })).toMatchObject({ id: 'tx_2' })
    expect(openIds(kernel)).toEqual(['tx_1'])
    expect(ask(kernel, { op: 'rollback' })).toMatchObject({ id: 'tx_1' })
  })

  test('begun with rollback_always are rolled back by a commit', () => {
    const kernel = open()
    begin(kernel, { policy: 'dry_run' })
    expect(ask(kernel, { op: 'commit' })).toMatchObject({ policy: 'rollback_always', state: 'rolled_back' })
  })

  test('nest as deep as the limit says, and no deeper', () => {
    const kernel = open({ limits: { transactionDepthMax: 2 } })
    begin(kernel)
    begin(kernel)
    expect(begin(kernel)).toEqual({ code: 'too_deep' })
    expect(openIds(kernel)).toHaveLength(2)
  })

  test('are refused when no more snapshots may be held', () => {
    const kernel = open({ limits: { snapshotsMax: 1 } })
    begin(kernel)
    expect(begin(kernel)).toEqual({ code: 'snapshot_refused' })
  })

  test('whose snapshot cannot be taken do not open', () => {
    const kernel = open()
    const request = send(kernel, { op: 'begin' })
    kernel.says({ kind: 'taken', snapshot: 'sn_1', pid: 0, ms: 0, error: 'no memory' })
    expect(answer(kernel, request)).toEqual({ code: 'snapshot_failed' })
    expect(openIds(kernel)).toEqual([])
    expect(kernel.state.snapshots.size).toBe(0)
    expect(kernel.state.phase).toBe('idle')
  })

  test('whose snapshot comes too late do not open, and it is discarded', () => {
    const kernel = open()
    const request = send(kernel, { op: 'begin' })
    kernel.expires('taken:sn_1')
    expect(answer(kernel, request)).toEqual({ code: 'timeout' })
    took(kernel, 'sn_1')
    expect(kernel.did('discard').at(-1)).toEqual({ do: 'discard', snapshots: ['sn_1'] })
    expect(openIds(kernel)).toEqual([])
  })

  test('whose snapshot was killed are lost when they are rolled back, and the kernel lives on', () => {
    const kernel = open()
    begin(kernel)
    kernel.deliver({ on: 'snapshot_gone', snapshot: 'sn_1' })
    expect(ask(kernel, { op: 'rollback' })).toEqual({ code: 'snapshot_failed' })
    expect(openIds(kernel)).toEqual([])
    expect(kernel.state).toMatchObject({ phase: 'idle', generation: 1 })
  })

  test('refuse a savepoint to go back to that they do not have', () => {
    const kernel = open()
    begin(kernel)
    expect(ask(kernel, { op: 'rollback', to: 'a' })).toEqual({ code: 'unknown_savepoint' })
    expect(openIds(kernel)).toEqual(['tx_1'])
  })

  test('are told to every open comm of the target and to no other', () => {
    const kernel = open()
    kernel.send('shell', 'comm_open', { comm_id: 'u', target_name: TRANSACTION_TARGET, data: {} })
    kernel.send('shell', 'comm_open', { comm_id: 'c', target_name: CHECKPOINT_TARGET, data: {} })
    kernel.heard.length = 0
    begin(kernel)
    const events = kernel.heard.filter(
      ({ type, content }) => type === 'comm_msg' && (content['data'] as { event?: string }).event,
    )
    expect(events.map(({ content }) => content['comm_id'])).toEqual(['t', 'u'])
  })

  test('that end with another one, or are lost, are told of as well', () => {
    const kernel = open({ recover: true })
    const told = (): unknown[] =>
      kernel.heard.splice(0).flatMap(({ content }) => {
        const { event, transaction } = (content['data'] ?? {}) as {
          event?: string
          transaction?: { id: string; state: string }
        }
        return event === 'transaction' ? [`${transaction?.id} ${transaction?.state}`] : []
      })
    for (let i = 0; i < 3; i += 1) begin(kernel)
    told()
    ask(kernel, { op: 'commit', transaction: 'tx_2' })
    expect(told().toSorted()).toEqual(['tx_2 committed', 'tx_3 committed'])
    begin(kernel)
    told()
    ask(kernel, { op: 'rollback', transaction: 'tx_1' })
    expect(told().toSorted()).toEqual(['tx_1 rolled_back', 'tx_4 rolled_back'])
    begin(kernel)
    told()
    kernel.dies()
    expect(told()).toEqual(['tx_5 lost'])
    expect(kernel.state.untold).toEqual([])
  })

  test('that code in the kernel began are told of when they are open', () => {
    const kernel = open()
    kernel.execute('%begin')
    kernel.says({ kind: 'ask', id: 'a', op: 'begin', parent: 'm2', args: {} })
    expect(kernel.lastCommand('answer')).toMatchObject({ ok: true, permit: { snapshot: 'sn_1' } })
    kernel.heard.length = 0
    took(kernel, 'sn_1')
    expect(kernel.heard.map(({ content }) => content['data'])).toEqual([
      { event: 'transaction', transaction: expect.objectContaining({ id: 'tx_1', state: 'open' }) },
    ])
  })

  test('nothing is told while no comm is open', () => {
    const kernel = new TestKernel()
    kernel.execute('x', { metadata: { savepoint: { transaction: 'dry_run' } } })
    took(kernel, 'sn_1')
    expect(kernel.heard.filter(({ type }) => type.startsWith('comm'))).toEqual([])
  })
})

describe('a rollback', () => {
  test('closes comms that were opened after the begin, and keeps the others and ours', () => {
    const kernel = open()
    kernel.send('shell', 'comm_open', { comm_id: 'before', target_name: 'widget', data: {} })
    kernel.replies(null)
    begin(kernel)
    kernel.execute('slider')
    kernel.says({ kind: 'publish', type: 'comm_open', parent: null, comm_id: 'after', target_name: 'widget' }, {}, {})
    kernel.replies()
    ask(kernel, { op: 'rollback' })
    const closed = kernel.heard.filter(({ type }) => type === 'comm_close').map(({ content }) => content['comm_id'])
    expect(closed).toEqual(['after'])
    expect([...kernel.state.comms.keys()].toSorted()).toEqual(['before', 't'])
  })

  test('gives the woken copy the text of every cell that was sent since', () => {
    const kernel = open()
    kernel.execute('before')
    kernel.replies()
    begin(kernel)
    for (const code of ['one', 'two']) {
      kernel.execute(code)
      kernel.replies()
    }
    kernel.execute('silent', { content: { silent: true } })
    kernel.replies()
    ask(kernel, { op: 'rollback' })
    expect(kernel.lastCommand('welcome')).toMatchObject({
      execution_count: 4,
      woken: {
        inputs: [
          [2, 'one'],
          [3, 'two'],
        ],
      },
    })
    expect(kernel.state.inputs).toEqual([])
  })

  test('goes on without a hand-over that does not come, and says so', () => {
    const kernel = open()
    begin(kernel)
    const request = send(kernel, { op: 'rollback' })
    kernel.expires('handed_over:')
    expect(answer(kernel, request)).toMatchObject({
      limits: ['connections that the worker could not hand over'],
      rollback_ms: 200,
    })
  })

  test('drops what the old worker still says', () => {
    const kernel = open()
    begin(kernel)
    ask(kernel, { op: 'rollback' })
    kernel.heard.length = 0
    kernel.saysAs(1, { kind: 'stream', name: 'stdout', parent: null }, Buffer.from('ghost'))
    kernel.saysAs(1, { kind: 'ask', id: 'g', op: 'begin', parent: null, args: {} })
    kernel.dies({}, 1)
    expect(kernel.heard).toEqual([])
    expect(kernel.state).toMatchObject({ phase: 'idle', generation: 2 })
    expect(openIds(kernel)).toEqual([])
  })

  test('does not serve what the worker asks while it is being replaced', () => {
    const kernel = open()
    begin(kernel)
    send(kernel, { op: 'rollback' })
    kernel.says({ kind: 'ask', id: 'g', op: 'begin', parent: null, args: {} })
    kernel.says({ kind: 'ask', id: 'h', op: 'rollback', parent: null, args: {} })
    kernel.says({ kind: 'handed_over', snapshot: 'sn_1', limits: [] })
    expect(kernel.state).toMatchObject({ phase: 'idle', generation: 2, transactions: [] })
    expect(kernel.state.snapshots.size).toBe(0)
  })

  test('from a with block of an earlier cell does not go on there', () => {
    const kernel = open()
    kernel.execute('tx.__enter__()')
    kernel.says({ kind: 'ask', id: 'a', op: 'begin', parent: null, args: { block: true } })
    took(kernel, 'sn_1')
    kernel.replies()
    const cell = kernel.execute('tx.rollback()')
    kernel.says({ kind: 'ask', id: 'b', op: 'rollback', parent: null, args: {} })
    kernel.says({ kind: 'handed_over', snapshot: 'sn_1', limits: [] })
    expect(kernel.lastCommand('welcome')).toMatchObject({ woken: { resume: false } })
    expect(kernel.reply(cell).content).toMatchObject({ status: 'ok', execution_count: 2 })
  })

  test('of a with block that its failing cell did not leave does not go on there', () => {
    const kernel = open()
    const cell = kernel.execute('tx.__enter__(); 1 / 0')
    const args = { block: true, policy: 'rollback_on_failure' }
    kernel.says({ kind: 'ask', id: 'a', op: 'begin', parent: null, args })
    took(kernel, 'sn_1')
    kernel.replies('error', {}, { ename: 'ZeroDivisionError' })
    kernel.says({ kind: 'handed_over', snapshot: 'sn_1', limits: [] })
    expect(kernel.lastCommand('welcome')).toMatchObject({ woken: { resume: false } })
    expect(kernel.reply(cell).content).toMatchObject({ status: 'error' })
    expect(kernel.state.phase).toBe('idle')
  })

  test('to a savepoint that cannot be taken again says so, and the transaction stays open without it', () => {
    const kernel = open()
    begin(kernel)
    send(kernel, { op: 'savepoint', name: 'a' })
    took(kernel)
    const request = send(kernel, { op: 'rollback', to: 'a' })
    kernel.says({ kind: 'handed_over', snapshot: 'sn_2', limits: [] })
    expect(kernel.lastCommand('welcome')).toMatchObject({ woken: { permit: { snapshot: 'sn_2' } } })
    kernel.says({ kind: 'taken', snapshot: 'sn_2', pid: 0, ms: 0, error: 'no memory' })
    expect(answer(kernel, request)).toMatchObject({
      state: 'open',
      savepoints: [],
      limits: ["the savepoint 'a', which could not be taken again"],
    })
    expect([...kernel.state.snapshots.keys()]).toEqual(['sn_1'])
    expect(kernel.state.phase).toBe('idle')
  })

  test('forgets what was set later, in outer transactions too', () => {
    const kernel = open()
    begin(kernel)
    begin(kernel)
    const set = send(kernel, { op: 'savepoint', name: 'a', transaction: 'tx_1' })
    took(kernel)
    expect(answer(kernel, set)).toMatchObject({ id: 'tx_1', savepoints: ['a'] })
    ask(kernel, { op: 'rollback' })
    expect(ask(kernel, { op: 'status' })).toMatchObject({ transactions: [{ id: 'tx_1', savepoints: [] }] })
    expect([...kernel.state.snapshots.keys()]).toEqual(['sn_1'])
  })

  test('whose snapshot does not wake ends the kernel, since nothing is left of it', () => {
    const kernel = open()
    begin(kernel)
    kernel.dials = false
    const request = send(kernel, { op: 'rollback' })
    kernel.says({ kind: 'handed_over', snapshot: 'sn_1', limits: [] })
    kernel.expires('up:')
    expect(answer(kernel, request)).toEqual({ code: 'restore_failed' })
    kernel.deliver({ on: 'workers_stopped' })
    expect(kernel.exit).toBe(1)
  })

  test('whose snapshot was killed in the last moment does not wait for it', () => {
    const kernel = open({ recover: true })
    begin(kernel)
    kernel.dials = false
    const request = send(kernel, { op: 'rollback' })
    kernel.says({ kind: 'handed_over', snapshot: 'sn_1', limits: [] })
    kernel.dials = true
    kernel.deliver({ on: 'snapshot_gone', snapshot: 'sn_1' })
    expect(answer(kernel, request)).toEqual({ code: 'restore_failed' })
    expect(kernel.state).toMatchObject({ phase: 'idle', generation: 3 })
  })

  test('whose snapshot does not wake gives a recovering kernel an empty worker', () => {
    const kernel = open({ recover: true })
    begin(kernel)
    begin(kernel)
    kernel.dials = false
    const request = send(kernel, { op: 'rollback' })
    kernel.says({ kind: 'handed_over', snapshot: 'sn_2', limits: [] })
    kernel.dials = true
    kernel.expires('up:')
    expect(answer(kernel, request)).toEqual({ code: 'restore_failed' })
    expect(kernel.state).toMatchObject({ phase: 'idle', generation: 3, transactions: [] })
    expect(kernel.conversation(request).filter((line) => line.endsWith('idle'))).toHaveLength(1)
  })
})
