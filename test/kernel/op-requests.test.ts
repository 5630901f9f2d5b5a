/** Ops that come without a message. */

import { TestKernel } from '../support/test-kernel.js'

interface Answer {
  readonly id: string
  readonly outcome: {
    readonly ok: boolean
    readonly result?: unknown
    readonly warnings?: readonly string[]
    readonly error?: { readonly code: string }
  }
}

function ask(kernel: TestKernel, data: Record<string, unknown>, id = 'a', waitMs = 1_000): void {
  kernel.deliver({ on: 'op', id, target: 'savepoint.transaction', data, by: 'rest', waitMs })
}

function answers(kernel: TestKernel): Answer[] {
  return kernel.effects.flatMap((effect) => (effect.do === 'answer' ? [effect as Answer] : []))
}

function codes(kernel: TestKernel): unknown[] {
  return answers(kernel).map(({ id, outcome }) => [id, outcome.error?.code ?? null])
}

describe('an op without a comm', () => {
  test('is done at once by a kernel at rest, with a busy and an idle', () => {
    const kernel = new TestKernel()
    const from = kernel.heard.length
    ask(kernel, { op: 'status', colour: 'red' })
    expect(answers(kernel)).toMatchObject([
      { id: 'a', outcome: { ok: true, result: { transactions: [] }, warnings: [expect.stringContaining('colour')] } },
    ])
    expect(kernel.heard.slice(from).map(({ type, content }) => [type, content['execution_state']])).toEqual([
      ['status', 'busy'],
      ['status', 'idle'],
    ])
    expect(kernel.deadlines.size).toBe(0)
  })

  test('takes its place among the requests on shell', () => {
    const kernel = new TestKernel()
    const first = kernel.execute('1')
    ask(kernel, { op: 'status' })
    const last = kernel.execute('2')
    expect(answers(kernel)).toEqual([])
    kernel.says({ kind: 'reply', seq: kernel.state.turn?.request.seq ?? 0, status: 'ok' }, { status: 'ok' }, {})
    expect(codes(kernel)).toEqual([['a', null]])
    expect(kernel.state.turn?.request.message.header.msg_id).toBe(last)
    expect(kernel.heard.find(({ type }) => type === 'execute_reply')?.parent).toBe(first)
  })

  test('that cannot begin in time is given up, and is not done later', () => {
    const kernel = new TestKernel()
    kernel.execute('1')
    ask(kernel, { op: 'begin' })
    kernel.deliver({ on: 'deadline', id: 'op a' })
    expect(codes(kernel)).toEqual([['a', 'kernel_busy']])
    kernel.says({ kind: 'reply', seq: kernel.state.turn?.request.seq ?? 0, status: 'ok' }, { status: 'ok' }, {})
    expect(kernel.state.transactions).toEqual([])
    expect(kernel.state.phase).toBe('idle')
  })

  test('can be taken back before it begins', () => {
    const kernel = new TestKernel()
    kernel.execute('1')
    ask(kernel, { op: 'begin' })
    kernel.deliver({ on: 'withdraw', id: 'a' })
    kernel.deliver({ on: 'withdraw', id: 'unknown' })
    expect(codes(kernel)).toEqual([['a', 'cancelled']])
  })

  test('that does not exist or makes no sense is refused', () => {
    const kernel = new TestKernel()
    ask(kernel, { op: 'dance' }, 'a')
    ask(kernel, {}, 'b')
    ask(kernel, { op: 'begin', policy: 'never' }, 'c')
    expect(codes(kernel)).toEqual([
      ['a', 'unknown_op'],
      ['b', 'bad_request'],
      ['c', 'unknown_policy'],
    ])
  })

  test('is refused when the queue is full, and when the kernel is ending', () => {
    const kernel = new TestKernel({ limits: { queueLengthMax: 1 } })
    kernel.execute('1')
    kernel.execute('2')
    ask(kernel, { op: 'status' })
    expect(codes(kernel)).toEqual([['a', 'queue_full']])
    const other = new TestKernel()
    other.execute('1')
    ask(other, { op: 'status' }, 'waiting')
    other.send('control', 'shutdown_request', { restart: true })
    ask(other, { op: 'status' }, 'late')
    expect(codes(other)).toEqual([
      ['waiting', 'kernel_restarting'],
      ['late', 'kernel_restarting'],
    ])
  })

  test('is told of to the open comms of its target', () => {
    const kernel = new TestKernel()
    kernel.send('shell', 'comm_open', { comm_id: 'c', target_name: 'savepoint.transaction', data: {} })
    ask(kernel, { op: 'begin', name: 'by rest' })
    const { snapshot } = kernel.state.transactions[0] ?? { snapshot: '' }
    kernel.says({ kind: 'taken', snapshot, pid: 9, ms: 1 })
    expect(answers(kernel)).toMatchObject([{ outcome: { ok: true, result: { name: 'by rest', opened_by: 'rest' } } }])
    const told = kernel.heard.findLast(({ type }) => type === 'comm_msg')
    expect(told?.content).toMatchObject({
      comm_id: 'c',
      data: { event: 'transaction', transaction: { name: 'by rest' } },
    })
  })
})
