import { TestKernel } from '../support/test-kernel.js'

const SIGSEGV = { signal: { name: 'SIGSEGV', number: 11 } }
const rollback = { metadata: { savepoint: { transaction: 'rollback_on_failure' } } }

function takenAs(kernel: TestKernel, snapshot: string): void {
  kernel.says({ kind: 'taken', snapshot, pid: 500, ms: 0.5 })
}

describe('a worker that dies', () => {
  test.each([
    [SIGSEGV, 139, /ended by SIGSEGV \(a segmentation fault/],
    [{ signal: { name: 'SIGKILL', number: 9 } }, 137, /ended by SIGKILL \(somebody killed it; the system does so/],
    [{ signal: { name: 'SIGUSR1', number: 10 } }, 138, /ended by SIGUSR1\.$/],
    [{ code: 7 }, 7, /ended by itself with exit code 7\.$/],
    [{ code: 0 }, 1, /ended by itself with exit code 0\.$/],
    [{}, 1, /process ended\.$/],
    [
      { signal: { name: 'SIGKILL', number: 9 }, name: 'out_of_memory', why: 'memory ran out' },
      137,
      /was ended, since memory ran out\.$/,
    ],
  ])('by %j ends the kernel with exit code %i after the cell was told', (cause, code, evalue) => {
    const kernel = new TestKernel()
    const cell = kernel.execute('crash')
    kernel.dies({ signal: null, ...cause })
    expect(kernel.conversation(cell)).toEqual([
      'iopub status busy',
      'iopub execute_input',
      'iopub error',
      'shell execute_reply error',
      'iopub status idle',
    ])
    expect(kernel.reply(cell).content).toMatchObject({
      ename: 'WorkerDied',
      evalue: expect.stringMatching(evalue),
      execution_count: 1,
    })
    expect(kernel.exit).toBeNull()
    kernel.deliver({ on: 'workers_stopped' })
    expect(kernel.exit).toBe(code)
  })

  test('between cells ends the kernel too', () => {
    const kernel = new TestKernel()
    kernel.dies({ code: 3, signal: null })
    kernel.deliver({ on: 'workers_stopped' })
    expect(kernel.exit).toBe(3)
  })

  test('with others waiting does not run them', () => {
    const kernel = new TestKernel()
    kernel.execute('crash')
    kernel.execute('next')
    kernel.dies()
    expect(kernel.told.filter(({ command }) => command.kind === 'request')).toHaveLength(1)
  })

  test('with a request that is no cell answers it with an error', () => {
    const kernel = new TestKernel({ recover: true })
    const [request, comm] = [
      kernel.send('shell', 'complete_request'),
      kernel.send('shell', 'comm_msg', { comm_id: 'w', data: {} }),
    ]
    kernel.dies()
    expect(kernel.reply(request).content).toMatchObject({ status: 'error', ename: 'WorkerDied' })
    kernel.dies()
    expect(kernel.conversation(comm)).toEqual(['iopub status busy', 'iopub status idle'])
    expect(kernel.state).toMatchObject({ phase: 'idle', generation: 3 })
  })

  test('in a cell with a policy brings back the state before that cell', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('crash', rollback)
    takenAs(kernel, 'sn_1')
    kernel.dies(SIGSEGV)
    expect(kernel.did('wake')).toEqual([{ do: 'wake', snapshot: 'sn_1' }])
    expect(kernel.lastCommand('welcome')).toMatchObject({
      generation: 2,
      woken: { reason: 'worker_died', resume: false },
    })
    expect(kernel.reply(cell).content).toMatchObject({ status: 'error', ename: 'WorkerDied' })
    expect(kernel.report(cell)).toMatchObject({
      worker: { generation: 2 },
      transaction: { outcome: 'rolled_back', limits: ['connections that were open when the worker died'] },
    })
    expect(kernel.did('kill')).toEqual([])
    expect(kernel.state.phase).toBe('idle')
  })

  test('in a with block goes on there, and the woken copy ends the cell', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('with savepoint.transaction(): crash()')
    kernel.says({
      kind: 'ask',
      id: 'a',
      op: 'begin',
      parent: cell,
      args: { block: true, policy: 'rollback_on_failure' },
    })
    takenAs(kernel, 'sn_1')
    kernel.dies(SIGSEGV)
    expect(kernel.lastCommand('welcome')).toMatchObject({
      woken: { reason: 'worker_died', resume: true, ename: 'WorkerDied' },
    })
    expect(kernel.state.phase).toBe('busy')
    kernel.replies('ok', { execution_count: 1 })
    expect(kernel.reply(cell).content['status']).toBe('ok')
    expect(kernel.conversation(cell).filter((line) => line.endsWith('idle'))).toHaveLength(1)
  })

  test('before its snapshot was frozen has no way back', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('crash', rollback)
    kernel.dies()
    expect(kernel.did('wake')).toEqual([])
    expect(kernel.report(cell)['transaction']).toMatchObject({ outcome: 'lost' })
  })

  test('in a later cell of a transaction loses the transaction', () => {
    const kernel = new TestKernel({ recover: true })
    kernel.execute('%begin')
    kernel.says({ kind: 'ask', id: 'a', op: 'begin', parent: null, args: {} })
    takenAs(kernel, 'sn_1')
    kernel.replies()
    const cell = kernel.execute('crash')
    kernel.dies(SIGSEGV)
    expect(kernel.state.transactions).toEqual([])
    expect(kernel.did('discard')).toEqual([{ do: 'discard', snapshots: ['sn_1'] }])
    expect(kernel.report(cell)['recovery']).toEqual({
      cause: 'SIGSEGV',
      restored_from: 'none',
      lost: [],
      background_s: 0,
    })
  })

  test('is replaced by an empty one where the kernel may recover, and what waits runs there', () => {
    const kernel = new TestKernel({ recover: true })
    const cell = kernel.execute('crash')
    kernel.dies(SIGSEGV)
    expect(kernel.lastCommand('welcome')).toMatchObject({ generation: 2, execution_count: 2, woken: null })
    expect(kernel.reply(cell).content['status']).toBe('error')
    kernel.deliver({ on: 'settled' })
    const next = kernel.execute('1')
    kernel.replies('ok', { execution_count: 2 })
    expect(kernel.reply(next).content['status']).toBe('ok')
    expect(kernel.exit).toBeNull()
  })

  test('closes the comms of its successor’s clients, but not ours', () => {
    const kernel = new TestKernel({ recover: true })
    kernel.send('shell', 'comm_open', { comm_id: 't', target_name: 'savepoint.transaction' })
    kernel.send('shell', 'comm_open', { comm_id: 'w', target_name: 'jupyter.widget' })
    kernel.replies(null)
    kernel.dies()
    expect([...kernel.state.comms.keys()]).toEqual(['t'])
    expect(kernel.heard.findLast(({ type }) => type === 'comm_close')?.content).toEqual({ comm_id: 'w', data: {} })
  })

  test('while the store answers for a request does not end that request twice', () => {
    const kernel = new TestKernel({ recover: true })
    const request = kernel.send('shell', 'history_request', {})
    kernel.dies()
    kernel.stores([])
    expect(kernel.conversation(request)).toEqual(['iopub status busy', 'shell history_reply ok', 'iopub status idle'])
  })

  test('with a successor that cannot be started ends the kernel', () => {
    const kernel = new TestKernel({ recover: true })
    const cell = kernel.execute('crash')
    kernel.dials = false
    kernel.dies(SIGSEGV)
    kernel.deliver({ on: 'worker_failed', token: kernel.state.worker?.token ?? '', reason: 'no memory' })
    expect(kernel.reply(cell).content['ename']).toBe('WorkerDied')
    kernel.deliver({ on: 'workers_stopped' })
    expect(kernel.exit).toBe(139)
  })

  test('in the middle of a begin refuses it once, with the reason', () => {
    const kernel = new TestKernel()
    kernel.send('shell', 'comm_open', { comm_id: 't', target_name: 'savepoint.transaction' })
    const request = kernel.send('shell', 'comm_msg', { comm_id: 't', data: { id: '1', op: 'begin' } })
    kernel.dies(SIGSEGV)
    expect(
      kernel.heard.find(({ parent, type }) => parent === request && type === 'comm_msg')?.content['data'],
    ).toMatchObject({
      ok: false,
      error: { code: 'kernel_dead' },
    })
    expect(kernel.conversation(request).filter((line) => line.endsWith('idle'))).toHaveLength(1)
  })

  test('while it hands over is replaced all the same', () => {
    const kernel = new TestKernel()
    kernel.execute('x', rollback)
    takenAs(kernel, 'sn_1')
    kernel.replies('error')
    kernel.dies()
    expect(kernel.state).toMatchObject({ phase: 'idle', generation: 2 })
  })
})

describe('a zygote that dies', () => {
  test('ends the kernel after the cell was told', () => {
    const kernel = new TestKernel({ recover: true })
    const cell = kernel.execute('x')
    kernel.deliver({ on: 'zygote_died' })
    expect(kernel.reply(cell).content).toMatchObject({ ename: 'WorkerDied', evalue: expect.stringContaining('zygote') })
    kernel.deliver({ on: 'workers_stopped' })
    expect(kernel.exit).toBe(1)
  })

  test('in the middle of a rollback ends the kernel, and the request that asked for it once', () => {
    for (const recover of [true, false]) {
      const kernel = new TestKernel({ recover })
      kernel.send('shell', 'comm_open', { comm_id: 't', target_name: 'savepoint.transaction' })
      kernel.send('shell', 'comm_msg', { comm_id: 't', data: { id: '1', op: 'begin' } })
      takenAs(kernel, 'sn_1')
      const request = kernel.send('shell', 'comm_msg', { comm_id: 't', data: { id: '2', op: 'rollback' } })
      kernel.deliver({ on: 'zygote_died' })
      expect(kernel.conversation(request)).toEqual(['iopub status busy', 'iopub comm_msg', 'iopub status idle'])
      kernel.deliver({ on: 'workers_stopped' })
      expect(kernel.exit).toBe(1)
      expect(kernel.did('fork')).toHaveLength(1)
    }
  })

  test('before it was warm ends the kernel', () => {
    const kernel = new TestKernel({ dials: false })
    kernel.deliver({ on: 'zygote_died' })
    kernel.deliver({ on: 'workers_stopped' })
    expect(kernel.exit).toBe(1)
  })
})
