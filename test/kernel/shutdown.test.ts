import { TestKernel } from '../support/test-kernel.js'

const order = (kernel: TestKernel): string[] =>
  kernel.effects.flatMap((effect) => {
    if (effect.do === 'command' && effect.command.kind !== 'welcome') return [effect.command.kind]
    if (effect.do === 'reply') return [effect.message.type]
    return ['interrupt_worker', 'stop_workers', 'exit'].includes(effect.do) ? [effect.do] : []
  })

describe('a shutdown', () => {
  test('lets the worker end first, then all processes, then tells the client, then exits', () => {
    const kernel = new TestKernel()
    const request = kernel.send('control', 'shutdown_request', { restart: false })
    expect(order(kernel)).toEqual(['stop'])
    kernel.dies({ code: 0, signal: null })
    expect(order(kernel)).toEqual(['stop', 'stop_workers'])
    kernel.deliver({ on: 'workers_stopped' })
    expect(order(kernel)).toEqual(['stop', 'stop_workers', 'shutdown_reply', 'exit'])
    expect(kernel.conversation(request)).toEqual([
      'iopub status busy',
      'iopub shutdown_reply ok',
      'control shutdown_reply ok',
      'iopub status idle',
    ])
    expect(kernel.exit).toBe(0)
  })

  test('interrupts a running cell, so that its exit handlers can run', () => {
    const kernel = new TestKernel()
    kernel.execute('while True: pass')
    kernel.send('control', 'shutdown_request', { restart: true })
    expect(order(kernel).slice(-2)).toEqual(['interrupt_worker', 'stop'])
  })

  test('leaves no cell without an answer', () => {
    const kernel = new TestKernel()
    const [running, waiting] = [kernel.execute('1'), kernel.execute('2')]
    kernel.send('control', 'shutdown_request', { restart: false })
    // The worker read both commands at once, and obeyed the second one first.
    kernel.dies({ code: 0, signal: null })
    kernel.deliver({ on: 'workers_stopped' })
    for (const cell of [running, waiting]) {
      expect(kernel.reply(cell).content['status']).toBe('aborted')
      expect(kernel.conversation(cell).filter((line) => line.endsWith('idle'))).toHaveLength(1)
    }
    expect(order(kernel).slice(-4)).toEqual(['execute_reply', 'execute_reply', 'shutdown_reply', 'exit'])
  })

  test('waits no longer than its deadlines', () => {
    const kernel = new TestKernel()
    kernel.send('control', 'shutdown_request', {})
    kernel.expires('worker_ended')
    kernel.expires('workers_stopped')
    expect(kernel.exit).toBe(0)
  })

  test('on shell takes its turn', () => {
    const kernel = new TestKernel()
    kernel.execute('a')
    const request = kernel.send('shell', 'shutdown_request', { restart: true })
    expect(order(kernel)).toEqual(['request'])
    kernel.replies()
    kernel.dies({ code: 0, signal: null })
    kernel.deliver({ on: 'workers_stopped' })
    expect(kernel.reply(request).content).toEqual({ status: 'ok', restart: true })
    expect(kernel.conversation(request).filter((line) => line.endsWith('idle'))).toHaveLength(1)
  })

  test('that is asked for twice is answered twice and done once', () => {
    const kernel = new TestKernel()
    kernel.deliver({ on: 'terminate', code: 143 })
    const requests = [1, 2].map(() => kernel.send('control', 'shutdown_request', { restart: true }))
    kernel.dies({ code: 0, signal: null })
    kernel.deliver({ on: 'workers_stopped' })
    for (const request of requests) expect(kernel.conversation(request)).toContain('control shutdown_reply ok')
    expect(order(kernel).filter((each) => each === 'stop_workers')).toHaveLength(1)
    expect(kernel.exit).toBe(143)
  })

  test('while the kernel starts does not wait for a worker', () => {
    const kernel = new TestKernel({ dials: false })
    kernel.deliver({ on: 'zygote_ready', kernelInfo: Buffer.from('{}') })
    kernel.send('control', 'shutdown_request', {})
    expect(order(kernel)).toEqual(['stop_workers'])
    kernel.deliver({ on: 'workers_stopped' })
    expect(kernel.exit).toBe(0)
    expect(kernel.did('log')).toEqual([])
  })

  test('in the middle of a rollback refuses the rollback and ends in order', () => {
    for (const recover of [true, false]) {
      const kernel = new TestKernel({ recover })
      kernel.send('shell', 'comm_open', { comm_id: 't', target_name: 'savepoint.transaction' })
      kernel.send('shell', 'comm_msg', { comm_id: 't', data: { id: '1', op: 'begin' } })
      kernel.says({ kind: 'taken', snapshot: 'sn_1', pid: 500, ms: 0.5 })
      kernel.dials = false
      const request = kernel.send('shell', 'comm_msg', { comm_id: 't', data: { id: '2', op: 'rollback' } })
      kernel.says({ kind: 'handed_over', snapshot: 'sn_1', limits: [] })
      const { token } = kernel.state.worker ?? { token: '' }
      kernel.send('control', 'shutdown_request', {})
      expect(kernel.conversation(request)).toEqual(['iopub status busy', 'iopub comm_msg', 'iopub status idle'])
      kernel.deliver({ on: 'worker_up', token, pid: 9 })
      kernel.deliver({ on: 'workers_stopped' })
      expect(kernel.exit).toBe(0)
    }
  })

  test('refuses what code in the kernel still asks for', () => {
    const kernel = new TestKernel()
    kernel.execute('atexit')
    kernel.send('control', 'shutdown_request', {})
    kernel.says({ kind: 'ask', id: 'a', op: 'checkpoint', parent: null, args: {} })
    expect(kernel.lastCommand('answer')).toMatchObject({ id: 'a', ok: false, error: { code: 'not_available' } })
  })

  test('is the last thing that happens: a dead kernel does nothing', () => {
    const kernel = new TestKernel()
    kernel.deliver({ on: 'terminate', code: 0 })
    kernel.expires('worker_ended')
    kernel.deliver({ on: 'workers_stopped' })
    const before = kernel.effects.length
    kernel.send('control', 'kernel_info_request')
    kernel.dies()
    kernel.deliver({ on: 'zygote_died' })
    expect(kernel.effects).toHaveLength(before)
  })

  test('while the zygote dies still ends', () => {
    const kernel = new TestKernel()
    kernel.deliver({ on: 'terminate', code: 5 })
    kernel.deliver({ on: 'zygote_died' })
    expect(kernel.exit).toBe(5)
  })
})
