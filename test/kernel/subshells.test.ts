import { TestKernel } from '../support/test-kernel.js'

const create = (kernel: TestKernel): string =>
  String(kernel.reply(kernel.send('control', 'create_subshell_request')).content['subshell_id'])
const list = (kernel: TestKernel): unknown =>
  kernel.reply(kernel.send('control', 'list_subshell_request')).content['subshell_id']

/** Requests that the worker was given, as `type seq in subshell`. */
const given = (kernel: TestKernel): string[] =>
  kernel.told.flatMap(({ command }) =>
    command.kind === 'request' ? [`${command.type} ${command.seq} in ${command.subshell ?? 'main'}`] : [],
  )

describe('subshells', () => {
  test('are made, listed and deleted on control, also while a cell runs', () => {
    const kernel = new TestKernel()
    kernel.execute('while True: pass')
    const [a, b] = [create(kernel), create(kernel)]
    expect(list(kernel)).toEqual([a, b])
    expect(kernel.did('nudge_worker')).toHaveLength(2)
    const deleting = kernel.send('control', 'delete_subshell_request', { subshell_id: a })
    expect(kernel.conversation(deleting)).toEqual(['iopub status busy'])
    expect(list(kernel)).toEqual([b])
    kernel.says({ kind: 'subshell_closed', subshell: a })
    expect(kernel.conversation(deleting).slice(1)).toEqual(['control delete_subshell_reply ok', 'iopub status idle'])
  })

  test('are not more than the limit', () => {
    const kernel = new TestKernel({ limits: { subshellsMax: 1 } })
    create(kernel)
    const refused = kernel.reply(kernel.send('control', 'create_subshell_request'))
    expect(refused.content).toMatchObject({ status: 'error', evalue: expect.stringMatching(/^queue_full: /) })
  })

  test('are offered with the setting, beside what the worker offers', () => {
    const kernel = new TestKernel()
    const info = kernel.reply(kernel.send('shell', 'kernel_info_request'))
    expect(info.content['supported_features']).toEqual(['kernel subshells'])
  })

  test('serve their requests beside the main shell, each its own in their order', () => {
    const kernel = new TestKernel()
    const a = create(kernel)
    const main = kernel.execute('main')
    const [first, second] = [kernel.execute('1', { subshell: a }), kernel.execute('2', { subshell: a })]
    expect(given(kernel)).toEqual(['execute_request 2 in main', `execute_request 3 in ${a}`])
    kernel.says({ kind: 'reply', seq: 3, status: 'ok' }, { status: 'ok', execution_count: 7 }, {})
    expect(kernel.conversation(first)).toEqual([
      'iopub status busy',
      'iopub execute_input',
      'shell execute_reply ok',
      'iopub status idle',
    ])
    expect(given(kernel).at(-1)).toBe(`execute_request 4 in ${a}`)
    // Numbers go on from the highest that was told.
    expect(kernel.lastRequest().execution_count).toBe(8)
    kernel.says({ kind: 'reply', seq: 2, status: 'ok' }, { status: 'ok' }, {})
    kernel.says({ kind: 'reply', seq: 4, status: 'ok' }, { status: 'ok' }, {})
    for (const id of [main, second]) expect(kernel.conversation(id).at(-1)).toBe('iopub status idle')
  })

  test('that are not there are an error reply, or nothing but busy and idle where no reply is due', () => {
    const kernel = new TestKernel()
    for (const type of ['execute_request', 'kernel_info_request', 'complete_request', 'made_up_request']) {
      const id = kernel.send('shell', type, { code: '1' }, { subshell: 'nobody' })
      expect(kernel.reply(id).content).toEqual({
        status: 'error',
        ename: 'UnknownSubshellError',
        evalue: "Unknown subshell_id 'nobody'",
        traceback: [],
      })
      expect(kernel.conversation(id)).toHaveLength(3)
    }
    const comm = kernel.send('shell', 'comm_open', { comm_id: 'c', target_name: 't' }, { subshell: 'nobody' })
    expect(kernel.conversation(comm)).toEqual(['iopub status busy', 'iopub status idle'])
    const deleting = kernel.send('control', 'delete_subshell_request', { subshell_id: 'nobody' })
    expect(kernel.reply(deleting).content).toMatchObject({ status: 'error', ename: 'UnknownSubshellError' })
  })

  test('abort after an error what waits for them, and nothing else', () => {
    const kernel = new TestKernel()
    const [a, b] = [create(kernel), create(kernel)]
    const ids = ['main', a, a, b, b].map((subshell) => kernel.execute('x', subshell === 'main' ? {} : { subshell }))
    const completion = kernel.send('shell', 'complete_request', {}, { subshell: a })
    kernel.says({ kind: 'reply', seq: 4, status: 'error' }, { status: 'error' }, {})
    expect(kernel.reply(ids[2] ?? '').content['status']).toBe('aborted')
    expect(given(kernel).at(-1)).toBe(`complete_request 8 in ${a}`)
    kernel.says({ kind: 'reply', seq: 6, status: 'ok' }, { status: 'ok' }, {})
    expect(given(kernel).at(-1)).toBe(`execute_request 7 in ${b}`)
    kernel.says({ kind: 'reply', seq: 8, status: 'ok' }, { status: 'ok' }, {})
    expect(kernel.conversation(completion).at(-1)).toBe('iopub status idle')
  })

  test('take no cell with a transaction', () => {
    const kernel = new TestKernel()
    const subshell = create(kernel)
    const id = kernel.execute('x', { subshell, metadata: { savepoint: { transaction: 'dry_run' } } })
    expect(kernel.reply(id).content).toMatchObject({ evalue: expect.stringMatching(/^engine_unavailable: /) })
    expect(kernel.conversation(id).at(-1)).toBe('iopub status idle')
    expect(given(kernel)).toEqual([])
  })

  test('answer at once what needs no worker', () => {
    const kernel = new TestKernel()
    const subshell = create(kernel)
    kernel.execute('x', { subshell })
    for (const type of ['comm_info_request', 'connect_request', 'kernel_info_request']) {
      expect(kernel.reply(kernel.send('shell', type, {}, { subshell })).content['status']).toBe('ok')
    }
    const history = kernel.send('shell', 'history_request', {}, { subshell })
    kernel.stores([])
    expect(kernel.reply(history).content).toEqual({ status: 'ok', history: [] })
  })

  test('that are deleted finish what they are at, and refuse what waits', () => {
    const kernel = new TestKernel()
    const subshell = create(kernel)
    const [running, waiting] = [kernel.execute('x', { subshell }), kernel.execute('y', { subshell })]
    const deleting = kernel.send('control', 'delete_subshell_request', { subshell_id: subshell })
    expect(kernel.reply(deleting).content).toEqual({ status: 'ok' })
    expect(kernel.reply(waiting).content).toMatchObject({ ename: 'UnknownSubshellError' })
    kernel.says({ kind: 'reply', seq: 2, status: 'ok' }, { status: 'ok' }, {})
    expect(kernel.reply(running).content['status']).toBe('ok')
    expect(kernel.state.subshells.size).toBe(0)
  })

  test('are opened anew in the worker that follows, and what they were at is an error', () => {
    const kernel = new TestKernel({ recover: true })
    const subshell = create(kernel)
    const running = kernel.execute('x', { subshell })
    const completion = kernel.send('shell', 'complete_request', {}, { subshell })
    kernel.dies()
    expect(kernel.reply(running).content).toMatchObject({
      ename: 'SavepointError',
      evalue: expect.stringMatching(/^subshell_lost: /),
    })
    expect(kernel.told.filter(({ command }) => command.kind === 'subshell_open')).toHaveLength(2)
    expect(given(kernel).at(-1)).toBe(`complete_request 3 in ${subshell}`)
    kernel.replies()
    expect(kernel.reply(completion).content['status']).toBe('ok')
  })

  test('have their questions put to the client that asked them', () => {
    const kernel = new TestKernel()
    const subshell = create(kernel)
    const cell = kernel.execute('input()', { subshell, by: 'bob' })
    kernel.execute('x', { by: 'ann' })
    kernel.says({ kind: 'input_request', id: 'q', parent: cell }, { prompt: '', password: false })
    expect(kernel.heard.find(({ type }) => type === 'input_request')?.client).toBe('bob')
  })

  test('are not interrupted', () => {
    const kernel = new TestKernel()
    kernel.execute('x', { subshell: create(kernel) })
    kernel.send('control', 'interrupt_request')
    expect(kernel.did('interrupt_worker')).toEqual([])
  })
})

describe('a comm message where there are subshells', () => {
  const send = (kernel: TestKernel, parent: string): void =>
    kernel.says({ kind: 'publish', type: 'comm_msg', parent, comm_id: 'w' }, {}, {})

  test('goes to the code that spoke last on its comm', () => {
    const kernel = new TestKernel()
    const subshell = create(kernel)
    const opening = kernel.send('shell', 'comm_open', { comm_id: 'w', target_name: 't' }, { subshell })
    expect(given(kernel).at(-1)).toBe(`comm_open 2 in ${subshell}`)
    kernel.says({ kind: 'reply', seq: 2, status: null })
    kernel.send('shell', 'comm_msg', { comm_id: 'w' })
    expect(given(kernel).at(-1)).toBe('comm_msg 3 in main')
    kernel.says({ kind: 'reply', seq: 3, status: null })
    send(kernel, opening)
    kernel.send('shell', 'comm_msg', { comm_id: 'w' })
    expect(given(kernel).at(-1)).toBe(`comm_msg 4 in ${subshell}`)
    kernel.says({ kind: 'reply', seq: 4, status: null })
    send(kernel, kernel.execute('x'))
    kernel.replies()
    kernel.send('shell', 'comm_msg', { comm_id: 'w' }, { subshell })
    expect(given(kernel).at(-1)).toBe('comm_msg 6 in main')
  })

  test('goes to the main shell when that code’s subshell is gone, and when the comm is ours', () => {
    const kernel = new TestKernel()
    const subshell = create(kernel)
    const opening = kernel.send('shell', 'comm_open', { comm_id: 'w', target_name: 't' }, { subshell })
    send(kernel, opening)
    kernel.says({ kind: 'reply', seq: 2, status: null })
    kernel.send('control', 'delete_subshell_request', { subshell_id: subshell })
    kernel.send('shell', 'comm_msg', { comm_id: 'w' }, { subshell })
    expect(given(kernel).at(-1)).toBe('comm_msg 4 in main')
    kernel.says({ kind: 'reply', seq: 4, status: null })
    const ours = kernel.send(
      'shell',
      'comm_open',
      { comm_id: 't', target_name: 'savepoint.transaction' },
      { subshell: create(kernel) },
    )
    expect(kernel.conversation(ours)).toContain('iopub comm_msg')
  })

  test('is served beside a cell of its subshell', () => {
    const kernel = new TestKernel()
    const subshell = create(kernel)
    kernel.execute('await value', { subshell })
    const message = kernel.send('shell', 'comm_msg', { comm_id: 'w' }, { subshell })
    expect(kernel.lastRequest()).toMatchObject({ type: 'comm_msg', beside: 2, subshell })
    kernel.says({ kind: 'reply', seq: 2, status: 'ok', returned: [3] }, { status: 'ok' }, {})
    expect(kernel.lastRequest()).toMatchObject({ seq: 3, subshell })
    kernel.says({ kind: 'reply', seq: 3, status: null })
    expect(kernel.conversation(message)).toEqual(['iopub status busy', 'iopub status idle'])
  })
})
