import { TestKernel } from '../support/test-kernel.js'

const INFO = { status: 'ok', implementation: 'kept' }

function warm(kernel: TestKernel): void {
  kernel.deliver({ on: 'zygote_ready', kernelInfo: Buffer.from('{"status":"ok","implementation":"ipython"}') })
}

describe('a lazy kernel', () => {
  test('starts nothing for what needs no worker', () => {
    const kernel = new TestKernel({ lazy: { kernelInfo: INFO } })
    const info = kernel.send('shell', 'kernel_info_request')
    expect(kernel.reply(info).content['implementation']).toBe('kept')
    const comms = kernel.send('shell', 'comm_info_request')
    expect(kernel.reply(comms).content).toMatchObject({ status: 'ok', comms: {} })
    const history = kernel.send('shell', 'history_request', { hist_access_type: 'tail', n: 1 })
    kernel.stores([])
    expect(kernel.reply(history).content).toMatchObject({ status: 'ok', history: [] })
    kernel.send('control', 'interrupt_request')
    expect(kernel.did('start_zygote')).toEqual([])
    expect(kernel.did('fork')).toEqual([])
  })

  test('starts Python once for the first cell, and one worker', () => {
    const kernel = new TestKernel({ lazy: { kernelInfo: INFO } })
    const cells = [kernel.execute('1'), kernel.execute('2')]
    const info = kernel.send('control', 'kernel_info_request')
    expect(kernel.reply(info).content['implementation']).toBe('kept')
    expect(kernel.did('start_zygote')).toHaveLength(1)
    expect(kernel.conversation(cells[0] ?? '')).toEqual([])
    warm(kernel)
    kernel.replies()
    kernel.replies()
    expect(kernel.did('fork')).toHaveLength(1)
    expect(kernel.did('start_zygote')).toHaveLength(1)
    expect(cells.map((cell) => kernel.reply(cell).content['status'])).toEqual(['ok', 'ok'])
    expect(kernel.reply(kernel.send('control', 'kernel_info_request')).content['implementation']).toBe('ipython')
  })

  test('asks Python for kernel_info if nothing is kept, and still forks no worker', () => {
    const kernel = new TestKernel({ lazy: { kernelInfo: null } })
    const info = kernel.send('shell', 'kernel_info_request')
    expect(kernel.did('start_zygote')).toHaveLength(1)
    warm(kernel)
    expect(kernel.reply(info).content['implementation']).toBe('ipython')
    expect(kernel.did('fork')).toEqual([])
    const cell = kernel.execute('1')
    expect(kernel.did('fork')).toHaveLength(1)
    kernel.replies()
    expect(kernel.reply(cell).content['status']).toBe('ok')
  })

  test('wakes for requests on comms and for completions, too', () => {
    for (const [type, content] of [
      ['complete_request', { code: 'a', cursor_pos: 1 }],
      ['comm_open', { comm_id: 'c', target_name: 'widget', data: {} }],
    ] as const) {
      const kernel = new TestKernel({ lazy: { kernelInfo: INFO } })
      kernel.send('shell', type, content)
      expect(kernel.did('start_zygote')).toHaveLength(1)
    }
  })

  test('ends as it is when nothing was started', () => {
    const kernel = new TestKernel({ lazy: { kernelInfo: INFO } })
    kernel.send('control', 'shutdown_request', { restart: false })
    kernel.deliver({ on: 'workers_stopped' })
    expect(kernel.exit).toBe(0)
  })

  test('ends, and tells the cell so, when Python cannot be started', () => {
    const kernel = new TestKernel({ lazy: { kernelInfo: INFO } })
    const cell = kernel.execute('1')
    kernel.deliver({ on: 'zygote_died' })
    kernel.deliver({ on: 'workers_stopped' })
    expect(kernel.reply(cell).content['status']).toBe('aborted')
    expect(kernel.exit).toBe(1)
  })
})
