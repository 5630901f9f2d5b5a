import { TestKernel } from '../support/test-kernel.js'

const open = (kernel: TestKernel, comm_id: string, target_name = 'widget'): string =>
  kernel.send('shell', 'comm_open', { comm_id, target_name, data: {} })
const tell = (kernel: TestKernel, comm_id: string): string => kernel.send('shell', 'comm_msg', { comm_id, data: {} })

/** Requests that the worker was given, as `type seq`, and `(cell)` for those beside a cell. */
const given = (kernel: TestKernel): string[] =>
  kernel.told.flatMap(({ command }) =>
    command.kind === 'request'
      ? [`${command.type} ${command.seq}${command.beside === undefined ? '' : ` (${command.beside})`}`]
      : [],
  )

describe('a comm message while a cell runs', () => {
  test('is handed over at once, and has no busy and no idle once it was served', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('await value')
    const message = tell(kernel, 'w')
    expect(given(kernel)).toEqual(['execute_request 1', 'comm_msg 2 (1)'])
    kernel.says({ kind: 'served', seq: 2 })
    kernel.says({ kind: 'reply', seq: 1, status: 'ok' }, { status: 'ok' }, {})
    expect(kernel.conversation(message)).toEqual([])
    expect(kernel.conversation(cell).at(-1)).toBe('iopub status idle')
    expect(kernel.state.phase).toBe('idle')
  })

  test('is handed over past cells that wait, and with the next cell when it waited with them', () => {
    const kernel = new TestKernel()
    kernel.send('shell', 'complete_request', { code: '', cursor_pos: 0 })
    kernel.execute('a')
    kernel.execute('b')
    tell(kernel, 'w')
    expect(given(kernel)).toEqual(['complete_request 1'])
    kernel.replies()
    expect(given(kernel)).toEqual(['complete_request 1', 'execute_request 2', 'comm_msg 4 (2)'])
  })

  test('that the cell did not let in takes its turn before what came later, also after an error', () => {
    const kernel = new TestKernel()
    kernel.execute('time.sleep(1)')
    const message = tell(kernel, 'w')
    const next = kernel.execute('x')
    const completion = kernel.send('shell', 'complete_request', { code: '', cursor_pos: 0 })
    kernel.says({ kind: 'reply', seq: 1, status: 'error', returned: [2] }, { status: 'error' }, {})
    expect(kernel.reply(next).content['status']).toBe('aborted')
    expect(given(kernel).slice(2)).toEqual(['comm_msg 2'])
    kernel.replies(null)
    expect(kernel.conversation(message)).toEqual(['iopub status busy', 'iopub status idle'])
    kernel.replies()
    expect(kernel.reply(completion).content['status']).toBe('ok')
  })

  test('that reaches the worker when the cell is over is waited for before the next turn', () => {
    const kernel = new TestKernel()
    kernel.execute('a')
    const message = tell(kernel, 'w')
    kernel.execute('b')
    kernel.says({ kind: 'reply', seq: 1, status: 'ok' }, { status: 'ok' }, {})
    expect(given(kernel)).toEqual(['execute_request 1', 'comm_msg 2 (1)'])
    kernel.says({ kind: 'returned', seq: 2 })
    expect(given(kernel).at(-1)).toBe('comm_msg 2')
    kernel.replies(null)
    expect(kernel.conversation(message)).toEqual(['iopub status busy', 'iopub status idle'])
    expect(given(kernel).at(-1)).toBe('execute_request 3')
  })

  test('whose handler outlasts the cell holds nobody up', () => {
    const kernel = new TestKernel()
    kernel.execute('a')
    tell(kernel, 'w')
    kernel.execute('b')
    kernel.says({ kind: 'reply', seq: 1, status: 'ok', going_on: [2] }, { status: 'ok' }, {})
    expect(given(kernel).at(-1)).toBe('execute_request 3')
    kernel.says({ kind: 'served', seq: 2 })
    kernel.replies()
    expect(kernel.state.phase).toBe('idle')
  })

  test('for a comm of ours waits for its turn, and so does what follows it on that comm', () => {
    const kernel = new TestKernel()
    kernel.execute('await value')
    open(kernel, 't', 'savepoint.transaction')
    tell(kernel, 't')
    tell(kernel, 'w')
    expect(given(kernel)).toEqual(['execute_request 1', 'comm_msg 4 (1)'])
  })

  test('without a comm, or with an open that names no target, waits for its refusal', () => {
    const kernel = new TestKernel()
    kernel.execute('await value')
    kernel.send('shell', 'comm_msg', [])
    kernel.send('shell', 'comm_open', { comm_id: 'w' })
    expect(given(kernel)).toEqual(['execute_request 1'])
    kernel.replies()
    expect(given(kernel)).toEqual(['execute_request 1'])
    expect(kernel.state.phase).toBe('idle')
  })

  test('counts among those that wait', () => {
    const kernel = new TestKernel({ limits: { queueLengthMax: 2 } })
    kernel.execute('await value')
    tell(kernel, 'w')
    tell(kernel, 'w')
    const refused = tell(kernel, 'w')
    expect(given(kernel)).toHaveLength(3)
    expect(kernel.conversation(refused)).toEqual(['iopub status busy', 'iopub status idle'])
  })

  test('is given to the worker that follows when this one dies', () => {
    const kernel = new TestKernel({ recover: true })
    kernel.execute('await value')
    const opening = open(kernel, 'w')
    tell(kernel, 'w')
    kernel.dies()
    // The comm that was about to be opened is not closed: nobody had heard of it.
    expect(kernel.heard.some(({ type }) => type === 'comm_close')).toBe(false)
    expect(given(kernel).slice(3)).toEqual(['comm_open 2'])
    kernel.replies(null)
    expect(kernel.conversation(opening)).toEqual(['iopub status busy', 'iopub status idle'])
    expect(given(kernel).at(-1)).toBe('comm_msg 3')
    expect(kernel.state.comms.get('w')?.target).toBe('widget')
  })

  test('is given to the woken worker when the cell is rolled back', () => {
    const kernel = new TestKernel()
    kernel.execute('await value', { metadata: { savepoint: { transaction: 'rollback_on_failure' } } })
    const { permit } = kernel.lastRequest()
    kernel.says({ kind: 'taken', snapshot: permit?.snapshot ?? '', pid: 5, ms: 1 })
    tell(kernel, 'w')
    kernel.says({ kind: 'reply', seq: 1, status: 'error', ename: 'E', evalue: '' }, { status: 'error' }, {})
    kernel.says({ kind: 'handed_over', snapshot: permit?.snapshot ?? '', limits: [] })
    expect(given(kernel).at(-1)).toBe('comm_msg 2')
  })
})
