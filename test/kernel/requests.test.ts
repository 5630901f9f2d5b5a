import { TestKernel } from '../support/test-kernel.js'

describe('requests', () => {
  test('are refused when too many wait, and those that wait are served', () => {
    const kernel = new TestKernel({ limits: { queueLengthMax: 2 } })
    kernel.execute('a')
    const waiting = [kernel.execute('b'), kernel.execute('c')]
    const refused = kernel.execute('d')
    expect(kernel.reply(refused).content).toMatchObject({
      status: 'error',
      evalue: expect.stringMatching(/^queue_full: /),
    })
    expect(kernel.conversation(refused)).toEqual([
      'iopub status busy',
      'iopub error',
      'shell execute_reply error',
      'iopub status idle',
    ])
    for (let i = 0; i < 3; i += 1) kernel.replies()
    for (const id of waiting) expect(kernel.reply(id).content['status']).toBe('ok')
  })

  test('for kernel_info wait for a warm zygote, up to the limit', () => {
    const kernel = new TestKernel({ dials: false, limits: { queueLengthMax: 1 } })
    const [first, second] = [kernel.send('control', 'kernel_info_request'), kernel.send('shell', 'kernel_info_request')]
    expect(kernel.conversation(first)).toEqual([])
    expect(kernel.reply(second).content).toMatchObject({
      status: 'error',
      evalue: expect.stringMatching(/^queue_full: /),
    })
    kernel.deliver({ on: 'zygote_ready', kernelInfo: Buffer.from('{"status":"ok"}') })
    expect(kernel.conversation(first)).toEqual([
      'iopub status busy',
      'control kernel_info_reply ok',
      'iopub status idle',
    ])
  })

  test('for kernel_info on shell have their turn like others, but do not wait long for a cell', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('x')
    const [patient, second] = [kernel.send('shell', 'kernel_info_request'), kernel.send('shell', 'kernel_info_request')]
    expect(kernel.conversation(patient)).toEqual([])
    kernel.expires('info ')
    expect(kernel.conversation(patient)).toEqual([
      'iopub status busy',
      'shell kernel_info_reply ok',
      'iopub status idle',
    ])
    expect(kernel.conversation(second)).toEqual([])
    kernel.replies()
    expect(kernel.heard.findIndex(({ parent }) => parent === second)).toBeGreaterThan(
      kernel.heard.findLastIndex(({ parent }) => parent === cell),
    )
    expect(kernel.conversation(second)).toHaveLength(3)
  })

  test('that need a worker wait until there is one', () => {
    const kernel = new TestKernel({ dials: false })
    const cell = kernel.execute('1')
    kernel.deliver({ on: 'zygote_ready', kernelInfo: Buffer.from('{}') })
    expect(kernel.told).toEqual([])
    kernel.deliver({ on: 'worker_up', token: 'not the one', pid: 1 })
    expect(kernel.state.phase).toBe('starting')
    kernel.deliver({ on: 'worker_up', token: kernel.state.worker?.token ?? '', pid: 1 })
    kernel.replies()
    expect(kernel.reply(cell).content['status']).toBe('ok')
  })

  test.each(['constructor', 'toString', '__proto__', 'hasOwnProperty', 'made_up_request'])(
    'of type %s go to the worker',
    (type) => {
      const kernel = new TestKernel()
      for (const channel of ['shell', 'control'] as const) {
        const id = kernel.send(channel, type)
        expect(kernel.lastRequest().type).toBe(type)
        kernel.replies(null)
        expect(kernel.conversation(id)).toEqual(['iopub status busy', 'iopub status idle'])
      }
    },
  )

  test('on control are answered while a cell runs', () => {
    const kernel = new TestKernel()
    kernel.execute('while True: pass')
    for (const type of ['kernel_info', 'comm_info', 'connect', 'debug', 'interrupt']) {
      const id = kernel.send('control', `${type}_request`)
      const [busy, reply, idle] = kernel.conversation(id)
      expect([busy, reply?.split(' ')[1], idle]).toEqual(['iopub status busy', `${type}_reply`, 'iopub status idle'])
    }
    expect(kernel.did('interrupt_worker')).toHaveLength(1)
  })

  test('for a cell on control wait for their turn like those on shell, and are answered on control', () => {
    const kernel = new TestKernel()
    const id = kernel.send('control', 'execute_request', { code: '1' })
    kernel.replies()
    expect(kernel.reply(id).channel).toBe('control')
  })

  test('with content that is no object are refused', () => {
    const kernel = new TestKernel()
    for (const type of [
      'history_request',
      'comm_info_request',
      'comm_open',
      'comm_msg',
      'comm_close',
      'shutdown_request',
    ]) {
      const id = kernel.send('shell', type, Buffer.from('{broken}'))
      const heard = kernel.conversation(id)
      expect([heard.at(0), heard.at(-1)]).toEqual(['iopub status busy', 'iopub status idle'])
      expect(heard).toHaveLength(type.endsWith('_request') ? 3 : 2)
    }
    const id = kernel.send('control', 'shutdown_request', Buffer.from('{broken}'))
    expect(kernel.reply(id).content['status']).toBe('error')
    expect(kernel.state.phase).toBe('idle')
  })

  test('for the history are answered from the store, with nothing when it fails', () => {
    const kernel = new TestKernel()
    const [good, bad, late] = ['a', 'b', 'c'].map(() =>
      kernel.send('shell', 'history_request', { hist_access_type: 'tail', n: 1 }),
    )
    kernel.stores([[1, 1, 'x']])
    kernel.storeFails('storage_failed')
    kernel.expires('store:')
    expect(kernel.reply(good ?? '').content).toEqual({ status: 'ok', history: [[1, 1, 'x']] })
    for (const id of [bad, late]) expect(kernel.reply(id ?? '').content).toEqual({ status: 'ok', history: [] })
  })

  test('keep their header for late output, the latest cell stands in for those that were forgotten', () => {
    const kernel = new TestKernel({ limits: { parentsMax: 2 } })
    const old = kernel.execute('a')
    kernel.replies()
    const late = (parent: string): string | null => {
      kernel.says({ kind: 'stream', name: 'stdout', parent }, Buffer.from('late'))
      return kernel.heard.at(-1)?.parent ?? null
    }
    expect(late(old)).toBe(old)
    kernel.send('control', 'kernel_info_request')
    const latest = kernel.execute('b')
    expect(late(old)).toBe(latest)
    expect(late('never heard of')).toBe(latest)
    expect(kernel.state.parents.size).toBe(2)
  })

  test('for the usage are answered while a cell runs, with what was measured', () => {
    const kernel = new TestKernel()
    kernel.execute('while True: pass')
    const usage = kernel.send('control', 'usage_request')
    const { id } = kernel.effects.findLast((each) => each.do === 'measure') ?? { id: '' }
    expect(kernel.conversation(usage)).toEqual(['iopub status busy'])
    kernel.deliver({ on: 'measured', id, usage: { kernel_memory: 7 } })
    expect(kernel.reply(usage).content).toEqual({ kernel_memory: 7 })
    expect(kernel.conversation(usage)).toEqual(['iopub status busy', 'control usage_reply', 'iopub status idle'])
  })

  test('for the usage that cannot be measured in time are answered with an error', () => {
    const kernel = new TestKernel()
    const usage = kernel.send('control', 'usage_request')
    const { id } = kernel.effects.findLast((each) => each.do === 'measure') ?? { id: '' }
    kernel.deliver({ on: 'deadline', id })
    expect(kernel.reply(usage).content).toMatchObject({ status: 'error', evalue: expect.stringMatching(/^timeout: /) })
    kernel.deliver({ on: 'measured', id, usage: {} })
    expect(kernel.conversation(usage)).toHaveLength(3)
  })
})
