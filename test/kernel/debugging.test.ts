import type { DebuggerEvent } from '../../src/link/protocol.js'
import { bytes } from '../support/messages.js'
import { TestKernel } from '../support/test-kernel.js'

const INFO = { isStarted: false, tmpFilePrefix: '/tmp/ipykernel_1/' }
let seq = 0

/** A kernel whose Python has debugpy. */
function debuggable(options: ConstructorParameters<typeof TestKernel>[0] = {}): TestKernel {
  const kernel = new TestKernel(options)
  kernel.deliver({ on: 'zygote_ready', kernelInfo: bytes({ status: 'ok', debugger: true }) })
  kernel.says({ kind: 'debug_info' }, INFO)
  return kernel
}

function ask(kernel: TestKernel, command: string, args: object = {}): string {
  seq += 1
  return kernel.send('control', 'debug_request', { type: 'request', seq, command, arguments: args })
}

/** The token of the thread that was called last. */
function token(kernel: TestKernel): string {
  return kernel.did('call_debugger').at(-1)?.token ?? 'none was called'
}

function comes(kernel: TestKernel): void {
  kernel.deliver({ on: 'debugger_up', token: token(kernel) })
}

function says(kernel: TestKernel, event: DebuggerEvent, content: object): void {
  kernel.deliver({ on: 'debugger', token: token(kernel), event, parts: [bytes(content)] })
}

/** The thread answers what it was asked last. */
function answers(kernel: TestKernel, attached: boolean, content: object = { success: true }): void {
  const command = kernel.did('tell_debugger').at(-1)?.command
  says(kernel, { kind: 'debug_reply', seq: command?.seq ?? 0, attached }, content)
}

function attach(kernel: TestKernel): string {
  const request = ask(kernel, 'initialize')
  comes(kernel)
  answers(kernel, true)
  return request
}

describe('a debugger', () => {
  test('that is not there answers with nothing', () => {
    const kernel = new TestKernel()
    const request = ask(kernel, 'initialize')
    expect(kernel.reply(request).content).toEqual({})
    expect(kernel.conversation(request)).toEqual(['iopub status busy', 'control debug_reply', 'iopub status idle'])
    expect(kernel.did('call_debugger')).toEqual([])
  })

  test('that nobody uses tells its facts without being called, while a cell runs, too', () => {
    const kernel = debuggable()
    kernel.execute('1')
    expect(kernel.reply(ask(kernel, 'debugInfo')).content).toEqual({
      type: 'response',
      request_seq: seq,
      success: true,
      command: 'debugInfo',
      body: INFO,
    })
    expect(kernel.reply(ask(kernel, 'setBreakpoints')).content).toEqual({})
    expect(kernel.did('call_debugger')).toEqual([])
  })

  test('tells nothing before the worker has said where its cells are', () => {
    const kernel = new TestKernel()
    kernel.deliver({ on: 'zygote_ready', kernelInfo: bytes({ status: 'ok', debugger: true }) })
    const request = ask(kernel, 'debugInfo')
    expect(kernel.conversation(request)).toEqual([])
    kernel.says({ kind: 'debug_info' }, INFO)
    expect(kernel.reply(request).content['body']).toEqual(INFO)
  })

  test('is called once, and asked one thing after the other', () => {
    const kernel = debuggable()
    const [first, second] = [ask(kernel, 'initialize'), ask(kernel, 'attach')]
    expect(kernel.conversation(second)).toEqual([])
    comes(kernel)
    expect(kernel.did('tell_debugger')).toHaveLength(1)
    answers(kernel, true, { success: true, body: 1 })
    expect(kernel.reply(first).content).toEqual({ success: true, body: 1 })
    answers(kernel, true)
    expect(kernel.conversation(second)).toEqual(['iopub status busy', 'control debug_reply', 'iopub status idle'])
    expect(kernel.did('call_debugger')).toHaveLength(1)
    expect(kernel.did('dismiss_debugger')).toEqual([])
  })

  test('is dismissed when it was disconnected, and called anew afterwards', () => {
    const kernel = debuggable()
    attach(kernel)
    const before = token(kernel)
    const request = ask(kernel, 'disconnect')
    answers(kernel, false)
    expect(kernel.did('dismiss_debugger')).toHaveLength(1)
    expect(kernel.reply(request).content).toEqual({ success: true })
    attach(kernel)
    expect(token(kernel)).not.toBe(before)
    kernel.deliver({ on: 'debugger_gone', token: before })
    expect(kernel.state.debugging.attached).toBe(true)
  })

  test('that only showed variables is dismissed at once', () => {
    const kernel = debuggable()
    const request = ask(kernel, 'inspectVariables')
    comes(kernel)
    answers(kernel, false, { body: {} })
    expect(kernel.reply(request).content).toEqual({ body: {} })
    expect(kernel.did('dismiss_debugger')).toHaveLength(1)
    expect(kernel.heard.filter(({ type }) => type === 'debug_event')).toEqual([])
  })

  test('publishes events of the latest request', () => {
    const kernel = debuggable()
    const request = attach(kernel)
    says(kernel, { kind: 'debug_event' }, { type: 'event', event: 'stopped' })
    expect(kernel.heard.at(-1)).toMatchObject({ type: 'debug_event', parent: request, content: { event: 'stopped' } })
  })

  test('that does not come, or does not answer, is given up with an answer', () => {
    const kernel = debuggable()
    const first = ask(kernel, 'initialize')
    kernel.expires('debugger_up:')
    expect(kernel.reply(first).content).toMatchObject({ success: false, command: 'initialize', type: 'response' })
    expect(kernel.state.debugging.attached).toBe(false)
    attach(kernel)
    const second = ask(kernel, 'stackTrace')
    kernel.expires('debug:')
    expect(kernel.reply(second).content).toMatchObject({ success: false })
    expect(kernel.heard.findLast(({ type }) => type === 'debug_event')?.content).toMatchObject({ event: 'terminated' })
  })

  test('ends with its worker, and who waits is told', () => {
    const kernel = debuggable({ recover: true })
    attach(kernel)
    kernel.execute('f()')
    const request = ask(kernel, 'stackTrace')
    kernel.dies()
    expect(kernel.reply(request).content).toMatchObject({ success: false, message: expect.stringMatching(/died/) })
    kernel.says({ kind: 'debug_info' }, INFO)
    expect(kernel.reply(ask(kernel, 'debugInfo')).content['body']).toEqual(INFO)
  })

  test('answers while the kernel ends', () => {
    const kernel = debuggable()
    attach(kernel)
    const request = ask(kernel, 'stackTrace')
    kernel.send('control', 'shutdown_request', { restart: false })
    expect(kernel.reply(request).content).toMatchObject({ success: false })
    expect(kernel.reply(ask(kernel, 'threads')).content).toMatchObject({ success: false })
  })

  test('that is asked nonsense says so', () => {
    const kernel = debuggable()
    const request = kernel.send('control', 'debug_request', [])
    expect(kernel.reply(request).content).toMatchObject({ type: 'response', success: false })
  })

  test('whose queue is full refuses', () => {
    const kernel = debuggable({ limits: { queueLengthMax: 1 } })
    ask(kernel, 'initialize')
    ask(kernel, 'attach')
    expect(kernel.reply(ask(kernel, 'threads')).content).toMatchObject({ status: 'error' })
  })
})

describe('while a debugger is attached', () => {
  test('no transaction begins and no checkpoint is written', () => {
    const kernel = debuggable()
    attach(kernel)
    const cell = kernel.execute('x', { metadata: { savepoint: { transaction: 'rollback_on_failure' } } })
    expect(kernel.reply(cell).content['evalue']).toMatch(/^engine_unavailable: /)
    kernel.execute('%begin')
    for (const op of ['begin', 'checkpoint']) {
      kernel.says({ kind: 'ask', id: op, op, parent: null, args: {} })
      expect(kernel.lastCommand('answer')).toMatchObject({ id: op, ok: false, error: { code: 'engine_unavailable' } })
    }
    kernel.replies()
    ask(kernel, 'disconnect')
    answers(kernel, false)
    kernel.execute('%begin')
    kernel.says({ kind: 'ask', id: 'after', op: 'begin', parent: null, args: {} })
    expect(kernel.lastCommand('answer')).toMatchObject({ id: 'after', ok: true })
  })

  test('a rollback leaves it behind, and says so', () => {
    const kernel = debuggable()
    const cell = kernel.execute('x', { metadata: { savepoint: { transaction: 'rollback_on_failure' } } })
    kernel.says({ kind: 'taken', snapshot: 'sn_1', pid: 7, ms: 1 })
    attach(kernel)
    kernel.replies('error', {}, { ename: 'E', evalue: 'e' })
    kernel.says({ kind: 'handed_over', snapshot: 'sn_1', limits: [] })
    expect(kernel.report(cell)).toMatchObject({
      transaction: { outcome: 'rolled_back', limits: ['the debugger, which has to be attached again'] },
    })
    expect(kernel.state.debugging.attached).toBe(false)
  })
})
