import { TestKernel } from '../support/test-kernel.js'

const BUFFERED = { savepoint: { stream_mode: 'buffered' } }

function prints(kernel: TestKernel, name: 'stdout' | 'stderr', text: string, parent: string | null): void {
  kernel.says({ kind: 'stream', name, parent }, Buffer.from(text))
}

/** A cell in stream mode `buffered` that has begun, and what it says on iopub beside busy and execute_input. */
function buffered(options: ConstructorParameters<typeof TestKernel>[0] = {}): {
  kernel: TestKernel
  cell: string
  seen: () => string[]
} {
  const kernel = new TestKernel(options)
  const cell = kernel.execute('print', { metadata: BUFFERED })
  return { kernel, cell, seen: () => kernel.conversation(cell).slice(2) }
}

describe('the text of a buffered cell', () => {
  test('goes out when the cell ends, one message a stream, stdout first', () => {
    const { kernel, cell, seen } = buffered()
    prints(kernel, 'stderr', 'e1', cell)
    prints(kernel, 'stdout', 'o1', cell)
    prints(kernel, 'stderr', 'e2', cell)
    kernel.deliver({ on: 'output', name: 'stdout', text: Buffer.from('o2') })
    expect(seen()).toEqual([])
    kernel.replies()
    expect(seen()).toEqual(['iopub stream o1o2', 'iopub stream e1e2', 'shell execute_reply ok', 'iopub status idle'])
    expect(kernel.report(cell)['warnings']).toEqual([])
  })

  test('stands behind what was displayed and behind the error', () => {
    const { kernel, cell, seen } = buffered()
    prints(kernel, 'stdout', 'text', cell)
    kernel.says({ kind: 'publish', type: 'display_data', parent: cell }, { data: {} }, {})
    kernel.says({ kind: 'publish', type: 'error', parent: cell }, { ename: 'E' }, {})
    kernel.replies('error')
    expect(seen().map((line) => line.split(' ')[1])).toEqual([
      'display_data',
      'error',
      'stream',
      'execute_reply',
      'status',
    ])
  })

  test('goes out before a question and before clear_output, which concern it', () => {
    const { kernel, cell, seen } = buffered()
    prints(kernel, 'stdout', 'menu', cell)
    kernel.says({ kind: 'input_request', id: 'q', parent: cell }, { prompt: '?', password: false })
    prints(kernel, 'stdout', 'old', cell)
    kernel.says({ kind: 'publish', type: 'clear_output', parent: cell }, { wait: false }, {})
    prints(kernel, 'stdout', 'new', cell)
    kernel.replies()
    expect(seen().slice(0, 5)).toEqual([
      'iopub stream menu',
      'stdin input_request',
      'iopub stream old',
      'iopub clear_output',
      'iopub stream new',
    ])
  })

  test('goes out early when more has gathered than the limit, and the reply says so once', () => {
    const { kernel, cell, seen } = buffered({ limits: { bufferedBytesMax: 10 } })
    for (let i = 0; i < 5; i += 1) prints(kernel, 'stdout', '123456', cell)
    kernel.replies()
    expect(seen()).toEqual([
      'iopub stream 123456123456',
      'iopub stream 123456123456',
      'iopub stream 123456',
      'shell execute_reply ok',
      'iopub status idle',
    ])
    expect(kernel.report(cell)['warnings']).toEqual([
      'Output was sent before the end of the cell, since more than 10 bytes had gathered.',
    ])
  })

  test('is not lost with the worker, nor when the kernel ends', () => {
    const died = buffered({ recover: true })
    prints(died.kernel, 'stdout', 'last words', died.cell)
    died.kernel.dies()
    expect(died.seen()).toContain('iopub stream last words')

    const ended = buffered()
    prints(ended.kernel, 'stdout', 'last words', ended.cell)
    ended.kernel.send('control', 'shutdown_request', { restart: false })
    ended.kernel.expires('worker_ended')
    ended.kernel.deliver({ on: 'workers_stopped' })
    expect(ended.seen()).toContain('iopub stream last words')
  })

  test('is all that is held back: other cells and the time between cells are not concerned', () => {
    const { kernel, cell } = buffered()
    kernel.replies()
    const next = kernel.execute('next')
    prints(kernel, 'stdout', 'late', cell)
    prints(kernel, 'stdout', 'at once', next)
    expect(kernel.conversation(cell)).toContain('iopub stream late')
    expect(kernel.conversation(next)).toContain('iopub stream at once')
  })

  test('is released before what a rollback says', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('%%transaction dry_run\nprint', { metadata: BUFFERED })
    kernel.says({ kind: 'taken', snapshot: 'sn_1', pid: 7, ms: 1 })
    prints(kernel, 'stdout', 'printed, ', cell)
    kernel.replies()
    kernel.says({ kind: 'handed_over', snapshot: 'sn_1', limits: [] })
    kernel.dies()
    expect(kernel.conversation(cell).filter((line) => line.includes(' stream '))).toEqual([
      expect.stringMatching(/^iopub stream printed, Rolled back/),
    ])
  })
})

test.each([['sometimes'], [7], [['buffered']]])('the stream mode %j keeps a cell from running', (stream_mode) => {
  const kernel = new TestKernel()
  const cell = kernel.execute('x', { metadata: { savepoint: { stream_mode } } })
  expect(kernel.told.filter(({ command }) => command.kind === 'request')).toEqual([])
  expect(kernel.reply(cell).content).toMatchObject({
    status: 'error',
    ename: 'SavepointError',
    evalue: expect.stringMatching(/^bad_request: /),
  })
})

test.each([['realtime'], [null]])('the stream mode %j sends text at once', (stream_mode) => {
  const kernel = new TestKernel()
  const cell = kernel.execute('x', { metadata: { savepoint: { stream_mode } } })
  prints(kernel, 'stdout', 'soon', cell)
  expect(kernel.conversation(cell)).toContain('iopub stream soon')
})
