/** Transactions that end by themselves: in time, or with their client. */

import { TRANSACTION_TARGET } from '../../src/kernel/comms.js'
import { incoming } from '../support/messages.js'
import { TestKernel } from '../support/test-kernel.js'

/** A kernel with an open comm of a client whose going can be seen. */
function open(): TestKernel {
  const kernel = new TestKernel()
  send(kernel, 'comm_open', { comm_id: 't', target_name: TRANSACTION_TARGET, data: {} })
  return kernel
}

let sent = 0

function send(kernel: TestKernel, type: string, content: object, leaves = true): void {
  const message = incoming({ id: `r${(sent += 1)}`, type, content, session: 'ann' })
  const client = { routing: [Buffer.from('7')], ...(leaves ? { leaves } : {}) }
  kernel.deliver({ on: 'message', channel: 'shell', client, message })
}

function begin(kernel: TestKernel, fields: object, leaves = true): Record<string, unknown> {
  send(kernel, 'comm_msg', { comm_id: 't', data: { id: '1', op: 'begin', ...fields } }, leaves)
  const taking = kernel.state.turn !== null
  if (taking) kernel.says({ kind: 'taken', snapshot: kernel.lastCommand('snapshot').permit.snapshot, pid: 5, ms: 1 })
  return kernel.heard.findLast(({ content }) => (content['data'] as { id?: string } | undefined)?.id === '1')?.content[
    'data'
  ] as Record<string, unknown>
}

function handsOver(kernel: TestKernel): void {
  kernel.says({ kind: 'handed_over', snapshot: kernel.lastCommand('hand_over').snapshot, limits: [] })
}

function gone(kernel: TestKernel, name = '7'): void {
  kernel.deliver({ on: 'client_gone', client: { routing: [Buffer.from(name)] } })
}

/** What the open comm was told of transactions: state and reason. */
function told(kernel: TestKernel): unknown[] {
  return kernel.heard.flatMap(({ content }) => {
    const data = content['data'] as { event?: string; transaction?: { state: string; reason: string } } | undefined
    return data?.event === 'transaction' ? [[data.transaction?.state, data.transaction?.reason]] : []
  })
}

describe('a transaction with a time', () => {
  test('is rolled back when that is over', () => {
    const kernel = open()
    begin(kernel, { timeout_s: 2 })
    kernel.expires('lapse:tx_1')
    handsOver(kernel)
    expect(kernel.state).toMatchObject({ phase: 'idle', generation: 2, transactions: [] })
    expect(kernel.lastCommand('welcome')).toMatchObject({ woken: { reason: 'timeout', resume: false } })
    expect(told(kernel)).toEqual([
      ['open', null],
      ['rolled_back', 'timeout'],
    ])
    expect(kernel.state.waiters.size).toBe(0)
  })

  test('has it no more once it has ended', () => {
    for (const op of ['commit', 'rollback']) {
      const kernel = open()
      begin(kernel, { timeout_s: 2 })
      send(kernel, 'comm_msg', { comm_id: 't', data: { id: '2', op } })
      if (op === 'rollback') handsOver(kernel)
      expect([...kernel.deadlines.keys()]).toEqual([])
    }
  })

  test('has the cell interrupted that runs then, and ends before what else waits', () => {
    const kernel = open()
    begin(kernel, { timeout_s: 2 })
    const cell = kernel.execute('while True: pass')
    const next = kernel.execute('x')
    kernel.expires('lapse:tx_1')
    expect(kernel.did('interrupt_worker')).toHaveLength(1)
    expect(kernel.state.generation).toBe(1)
    kernel.replies('error', {}, { ename: 'KeyboardInterrupt' })
    expect(kernel.report(cell)['warnings']).toEqual([expect.stringContaining('deadline of transaction tx_1')])
    handsOver(kernel)
    expect(kernel.state).toMatchObject({ generation: 2, transactions: [] })
    // It was sent before the failure was seen.
    expect(kernel.reply(next).content).toMatchObject({ status: 'aborted' })
  })

  test('ends inner ones with it, and is not asked again when a cell that failed had ended it', () => {
    const kernel = open()
    begin(kernel, { timeout_s: 2, policy: 'rollback_on_failure' })
    begin(kernel, { timeout_s: 9 })
    kernel.execute('while True: pass')
    kernel.expires('lapse:tx_1')
    kernel.replies('error', {}, { ename: 'KeyboardInterrupt' })
    handsOver(kernel)
    expect(kernel.state).toMatchObject({ phase: 'idle', generation: 2, transactions: [] })
    expect(kernel.deadlines.size).toBe(0)
  })

  test('is lost with a kernel that ends', () => {
    const kernel = open()
    begin(kernel, { timeout_s: 2 })
    kernel.send('control', 'shutdown_request', { restart: true })
    kernel.dies({ code: 0, signal: null })
    kernel.deliver({ on: 'workers_stopped' })
    expect(kernel.exit).toBe(0)
    expect(told(kernel).at(-1)).toEqual(['lost', 'the kernel was restarted'])
    expect([...kernel.deadlines.keys()]).toEqual([])
  })

  test.each([0, -1, '5', 604_801, true, [1]])('cannot have %p', (timeout_s) => {
    const kernel = open()
    expect(begin(kernel, { timeout_s })).toMatchObject({ ok: false, error: { code: 'bad_request' } })
    expect(kernel.state).toMatchObject({ transactions: [], phase: 'idle' })
  })
})

describe('a client that goes', () => {
  test.each([
    ['keep', [['open', null]]],
    [
      'rollback',
      [
        ['open', null],
        ['rolled_back', 'requested'],
      ],
    ],
    [
      'commit',
      [
        ['open', null],
        ['committed', null],
      ],
    ],
  ])('leaves its transaction to %s', (on_disconnect, expected) => {
    const kernel = open()
    expect(begin(kernel, { on_disconnect })).toMatchObject({ ok: true })
    gone(kernel, '8')
    expect(told(kernel)).toHaveLength(1)
    gone(kernel)
    if (on_disconnect === 'rollback') handsOver(kernel)
    expect(told(kernel)).toEqual(expected)
    expect(kernel.state.phase).toBe('idle')
  })

  test('has its transactions ended from the innermost to the outermost', () => {
    const kernel = open()
    begin(kernel, { on_disconnect: 'commit' })
    begin(kernel, { on_disconnect: 'rollback' })
    gone(kernel)
    handsOver(kernel)
    expect(told(kernel).slice(2)).toEqual([
      ['rolled_back', 'requested'],
      ['committed', null],
    ])
  })

  test('does not have a cell interrupted, which may be somebody else’s', () => {
    const kernel = open()
    begin(kernel, { on_disconnect: 'rollback' })
    const cell = kernel.execute('x')
    gone(kernel)
    expect(kernel.did('interrupt_worker')).toEqual([])
    kernel.replies()
    expect(kernel.reply(cell).content).toMatchObject({ status: 'ok' })
    handsOver(kernel)
    expect(kernel.state).toMatchObject({ generation: 2, transactions: [] })
  })

  test('takes back what was begun with rollback_always, whatever it wishes', () => {
    const kernel = open()
    begin(kernel, { on_disconnect: 'commit', policy: 'dry_run' })
    gone(kernel)
    handsOver(kernel)
    expect(told(kernel).at(-1)).toEqual(['rolled_back', 'requested'])
  })

  test('whose going nobody would see is told so', () => {
    const kernel = open()
    expect(begin(kernel, { on_disconnect: 'rollback' }, false)).toMatchObject({
      ok: true,
      warnings: [expect.stringContaining('Ignored on_disconnect')],
    })
    expect(begin(kernel, { on_disconnect: 'keep' }, false)['warnings']).toBeUndefined()
  })

  test('cannot wish for anything else', () => {
    const kernel = open()
    for (const on_disconnect of ['undo', 5, {}, ['keep']]) {
      expect(begin(kernel, { on_disconnect })).toMatchObject({ ok: false, error: { code: 'bad_request' } })
    }
  })

  test('leaves a kernel in peace that has nothing of its', () => {
    const kernel = open()
    gone(kernel)
    kernel.deliver({ on: 'client_gone', client: { routing: [] } })
    expect(kernel.state).toMatchObject({ phase: 'idle', queue: [] })
  })
})
