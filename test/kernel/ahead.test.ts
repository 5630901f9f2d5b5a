import { TestKernel } from '../support/test-kernel.js'

/** Requests that the worker may begin behind others, as `seq behind seq`, and what was taken back. */
const ahead = (kernel: TestKernel): string[] =>
  kernel.ahead.map(({ command }) =>
    command.kind === 'request'
      ? `${command.seq} behind ${command.behind}`
      : `${command.kind} ${'seq' in command ? command.seq : ''}`,
  )
const requests = (kernel: TestKernel): number[] =>
  kernel.told.flatMap(({ command }) => (command.kind === 'request' ? [command.seq] : []))

function replies(kernel: TestKernel, seq: number, begins?: number): void {
  const next = begins === undefined ? {} : { begins }
  kernel.says({ kind: 'reply', seq, status: 'ok', ...next }, { status: 'ok' }, {})
}

describe('the cell that comes next', () => {
  test('is handed over while one runs, and is not handed over again when the worker has begun it', () => {
    const kernel = new TestKernel()
    const [a, b, c] = [kernel.execute('a'), kernel.execute('b'), kernel.execute('c')]
    expect(ahead(kernel)).toEqual(['2 behind 1'])
    expect(kernel.conversation(b)).toEqual([])
    replies(kernel, 1, 2)
    expect(kernel.conversation(a).at(-1)).toBe('iopub status idle')
    expect(kernel.conversation(b)).toEqual(['iopub status busy', 'iopub execute_input'])
    expect(kernel.heard.find((each) => each.parent === b && each.type === 'execute_input')?.content).toEqual({
      code: 'b',
      execution_count: 2,
    })
    expect(ahead(kernel)).toEqual(['2 behind 1', '3 behind 2'])
    replies(kernel, 2, 3)
    replies(kernel, 3)
    expect(requests(kernel)).toEqual([1])
    expect(kernel.conversation(c).at(-1)).toBe('iopub status idle')
    expect(kernel.did('remember')).toMatchObject([{ line: 1 }, { line: 2 }, { line: 3 }])
  })

  test('is handed over in its turn when the worker has not begun it', () => {
    const kernel = new TestKernel()
    kernel.execute('a')
    const b = kernel.execute('b')
    replies(kernel, 1)
    expect(requests(kernel)).toEqual([1, 2])
    replies(kernel, 2)
    expect(kernel.conversation(b)).toEqual([
      'iopub status busy',
      'iopub execute_input',
      'shell execute_reply ok',
      'iopub status idle',
    ])
  })

  test('can be taken back while it waits, by the client that sent it and said that it may', () => {
    const kernel = new TestKernel()
    kernel.execute('a')
    const b = kernel.execute('b', { withdraws: true })
    const c = kernel.execute('c')
    expect(ahead(kernel)).toEqual([])
    kernel.deliver({ on: 'withdraw_cell', client: { routing: [Buffer.from('bob')] }, id: b })
    kernel.deliver({ on: 'withdraw_cell', client: { routing: [Buffer.from('ann')] }, id: 'unknown' })
    expect(kernel.conversation(b)).toEqual([])
    kernel.deliver({ on: 'withdraw_cell', client: { routing: [Buffer.from('ann')] }, id: b })
    expect(kernel.conversation(b)).toEqual(['iopub status busy', 'shell execute_reply aborted', 'iopub status idle'])
    kernel.deliver({ on: 'withdraw_cell', client: { routing: [Buffer.from('ann')] }, id: 'unknown' })
    expect(ahead(kernel)).toEqual(['3 behind 1'])
    // What the worker may have begun by now goes on.
    kernel.deliver({ on: 'withdraw_cell', client: { routing: [Buffer.from('ann')] }, id: c })
    expect(kernel.conversation(c)).toEqual([])
    replies(kernel, 1, 3)
    replies(kernel, 3)
    expect(requests(kernel)).toEqual([1])
    expect(kernel.conversation(c).at(-1)).toBe('iopub status idle')
  })

  test('is refused after a failure like all that wait', () => {
    const kernel = new TestKernel()
    kernel.execute('a')
    const b = kernel.execute('b')
    kernel.says({ kind: 'reply', seq: 1, status: 'error', ename: 'ValueError', evalue: '' }, { status: 'error' }, {})
    expect(kernel.conversation(b)).toEqual(['iopub status busy', 'shell execute_reply aborted', 'iopub status idle'])
    expect(requests(kernel)).toEqual([1])
  })

  test.each([
    ['a transaction', { savepoint: { transaction: 'dry_run' } }, 'x'],
    ['a deadline', { savepoint: { timeout_s: 1 } }, 'x'],
    ['a transaction by magic', {}, '%%transaction\nx'],
    ['buffered output', { savepoint: { stream_mode: 'buffered' } }, 'x'],
  ])('waits for its turn if it asks for %s, or the one before it does', (_what, metadata, code) => {
    const kernel = new TestKernel()
    kernel.execute('a')
    kernel.execute(code, { metadata })
    kernel.execute('c')
    expect(ahead(kernel)).toEqual([])
    replies(kernel, 1)
    expect(ahead(kernel)).toEqual([])
  })

  test('waits for its turn behind what is no cell, and in a transaction', () => {
    const kernel = new TestKernel()
    kernel.execute('a')
    kernel.send('shell', 'complete_request', { code: '', cursor_pos: 0 })
    kernel.execute('b')
    expect(ahead(kernel)).toEqual([])
    const other = new TestKernel()
    other.execute('a')
    other.says({ kind: 'ask', id: 'q', op: 'begin', parent: null, args: {} })
    other.execute('b')
    expect(ahead(other)).toEqual([])
  })

  test('is taken back when something comes up that it has to be told of', () => {
    const kernel = new TestKernel()
    kernel.execute('a')
    const b = kernel.execute('b')
    kernel.send('control', 'kernel_info_request')
    expect(ahead(kernel)).toEqual(['2 behind 1', 'withdraw 2'])
    replies(kernel, 1)
    expect(kernel.lastRequest()).toMatchObject({ seq: 2, control: { msg_type: 'kernel_info_request' } })
    replies(kernel, 2)
    expect(kernel.conversation(b).at(-1)).toBe('iopub status idle')
  })

  test('is begun all the same if the worker was quicker than that', () => {
    const kernel = new TestKernel()
    kernel.execute('a')
    const b = kernel.execute('b')
    kernel.send('control', 'kernel_info_request')
    replies(kernel, 1, 2)
    expect(requests(kernel)).toEqual([1])
    replies(kernel, 2)
    expect(kernel.conversation(b).at(-1)).toBe('iopub status idle')
  })

  test('that the worker had when it died is run by the next one, or refused if the former failed', () => {
    const kernel = new TestKernel({ recover: true })
    kernel.execute('a')
    const b = kernel.execute('b')
    replies(kernel, 1, 2)
    const c = kernel.execute('c')
    kernel.dies()
    expect(kernel.reply(b).content['status']).toBe('error')
    expect(kernel.reply(c).content['status']).toBe('aborted')
    kernel.execute('d')
    expect(requests(kernel)).toEqual([1, 4])
  })

  test('belongs to the interrupt from the reply on behind which it was begun', () => {
    const kernel = new TestKernel()
    kernel.execute('a')
    kernel.execute('b')
    kernel.deliver({ on: 'interrupt' })
    replies(kernel, 1, 2)
    kernel.deliver({ on: 'interrupt' })
    expect(kernel.did('interrupt_worker')).toMatchObject([{ seq: 1 }, { seq: 2 }])
  })
})
