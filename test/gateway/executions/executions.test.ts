import { randomUUID } from 'node:crypto'
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Executions } from '../../../src/gateway/executions/executions.js'
import type { Execution, RunRequest } from '../../../src/gateway/executions/execution.js'
import { executionLimits, type ExecutionLimits } from '../../../src/gateway/executions/limits.js'
import { silentLog } from '../../../src/log.js'
import { FakeClock } from '../../fakes/clock.js'
import { FakeGatewayKernel } from '../../fakes/gateway-kernels.js'
import { parsed } from '../../support/messages.js'

function setUp(limits: Partial<ExecutionLimits> = {}) {
  const clock = new FakeClock()
  let minted = 0
  const mint = (): string => String((minted += 1))
  const gone = new Set<string>()
  const exists = (id: string): boolean => !gone.has(id)
  const executions = new Executions({ clock, log: silentLog, limits: { ...executionLimits, ...limits }, mint, exists })
  const kernel = new FakeGatewayKernel('k')
  const start = (code: string, more: Partial<RunRequest> = {}): Execution =>
    executions.start(kernel, 'ann', { ...PLAIN, code, ...more })
  return { clock, executions, kernel, start, gone }
}

const PLAIN: RunRequest = {
  code: '',
  idempotencyKey: null,
  allowStdin: true,
  storeHistory: true,
  wishes: {},
  warnings: [],
}

describe('an execution', () => {
  test('is a cell of the kernel, with its wishes in the metadata', () => {
    const { kernel, start } = setUp()
    start('1', { wishes: { timeout_s: 3 }, allowStdin: false, storeHistory: false })
    const { content, message } = kernel.last('execute_request')
    expect(content).toMatchObject({ code: '1', silent: false, store_history: false, allow_stdin: false })
    expect(parsed(message.metadataBytes)).toEqual({ savepoint: { timeout_s: 3 } })
    expect(message.header.username).toBe('ann')
  })

  test('is queued, runs, and ends when reply and idle have both come', () => {
    const { kernel, start, executions } = setUp()
    const first = start('print(1)')
    const second = start('2')
    const [one, two] = [kernel.nth(0), kernel.nth(1)]
    expect([executions.model(first), executions.model(second)]).toMatchObject([
      { status: 'queued', position: 0 },
      { status: 'queued', position: 1 },
    ])
    kernel.begin(one, 7)
    expect(first.status).toBe('running')
    kernel.publish('stream', { name: 'stdout', text: 'hi\n' }, one)
    kernel.publish('stream', { name: 'stdout', text: 'not mine' }, two)
    kernel.reply(one, { status: 'ok', execution_count: 7 }, { savepoint: { version: 1, execution_time: 0.5 } })
    expect(first.status).toBe('running')
    kernel.publish('execute_result', { data: { 'text/plain': '3' }, metadata: {}, execution_count: 7 }, one)
    kernel.publish('status', { execution_state: 'idle' }, one)
    expect(executions.model(first)).toMatchObject({
      status: 'ok',
      execution_count: 7,
      stdout: 'hi\n',
      result: { 'text/plain': '3' },
      execution_time: 0.5,
      savepoint: { version: 1 },
    })
    expect(executions.model(second)).toMatchObject({ status: 'queued', position: 0 })
  })

  test('is a client of the kernel for as long as it goes on', () => {
    const { kernel, start } = setUp()
    start('1')
    expect(kernel.clients).toBe(1)
    kernel.run(kernel.last('execute_request'), '')
    expect(kernel.clients).toBe(0)
    start('2')
    expect(kernel.clients).toBe(1)
  })

  test('that fails tells the error; those behind it are aborted', () => {
    const { kernel, start, executions } = setUp()
    const first = start('1/0')
    const second = start('2')
    const [one, two] = [kernel.nth(0), kernel.nth(1)]
    const error = { ename: 'ZeroDivisionError', evalue: 'no', traceback: ['t'] }
    kernel.begin(one)
    kernel.publish('error', error, one)
    kernel.end(one, { status: 'error', execution_count: 1, ...error })
    kernel.end(two, { status: 'aborted', execution_count: 0 })
    expect(executions.model(first)).toMatchObject({ status: 'error', error, outputs: [{ output_type: 'error' }] })
    expect(executions.model(second)).toMatchObject({ status: 'aborted', execution_count: null, error: null })
  })

  test('asked for twice with one key is run once', () => {
    const { kernel, start } = setUp()
    const first = start('1', { idempotencyKey: 'a' })
    expect(start('1', { idempotencyKey: 'a' })).toBe(first)
    kernel.run(kernel.last('execute_request'), '')
    expect(start('1', { idempotencyKey: 'a' })).toBe(first)
    expect(kernel.received).toHaveLength(1)
    expect(() => start('2', { idempotencyKey: 'a' })).toThrow(expect.objectContaining({ code: 'already_exists' }))
  })

  test('that asks for input gets the answer, once', async () => {
    const { kernel, start, executions } = setUp()
    const execution = start('input()')
    const request = kernel.last('execute_request')
    kernel.begin(request)
    const waiting = executions.wait(execution, 1_000)
    kernel.ask(request, 'Name? ', true)
    await waiting
    expect(executions.model(execution)).toMatchObject({
      status: 'running',
      input: { prompt: 'Name? ', password: true },
    })
    executions.answer('k', execution.id, 'Ann')
    const { channel, content, message } = kernel.last('input_reply')
    expect([channel, content]).toEqual(['stdin', { value: 'Ann' }])
    expect(parsed(message.parentBytes)).toMatchObject({ msg_type: 'input_request' })
    expect(() => executions.answer('k', execution.id, 'Bob')).toThrow(
      expect.objectContaining({ code: 'already_settled' }),
    )
  })

  test('that is taken back while it runs is interrupted', () => {
    const { kernel, start, executions } = setUp()
    const execution = start('loop()')
    const request = kernel.last('execute_request')
    kernel.begin(request)
    executions.cancel('k', execution.id)
    expect(kernel.last('interrupt_request').channel).toBe('control')
    kernel.end(request, { status: 'error', ename: 'KeyboardInterrupt', evalue: '', traceback: [] })
    expect(execution.status).toBe('cancelled')
  })

  test('that is taken back while it waits is withdrawn from the queue', () => {
    const { kernel, start, executions } = setUp()
    const [first, second] = [start('1'), start('2')]
    kernel.begin(kernel.nth(0))
    executions.cancel('k', second.id)
    expect(kernel.withdrawn).toEqual([kernel.nth(1).message.header.msg_id])
    expect(() => kernel.last('interrupt_request')).toThrow()
    kernel.end(kernel.nth(1), { status: 'aborted', execution_count: 0 })
    expect([first.status, second.status]).toEqual(['running', 'cancelled'])
  })

  test('that is taken back while it begins is interrupted as soon as that is known', () => {
    const { kernel, start, executions } = setUp()
    const execution = start('loop()')
    const request = kernel.last('execute_request')
    executions.cancel('k', execution.id)
    expect(() => kernel.last('interrupt_request')).toThrow()
    kernel.begin(request)
    expect(kernel.last('interrupt_request').channel).toBe('control')
  })

  test('that was taken back in the moment in which it ended has ended', () => {
    const { kernel, start, executions } = setUp()
    const execution = start('1')
    const request = kernel.last('execute_request')
    kernel.begin(request)
    executions.cancel('k', execution.id)
    kernel.end(request)
    expect(execution.status).toBe('ok')
  })

  test('of a kernel that ends is given up', () => {
    const { kernel, start } = setUp()
    const [first, second] = [start('1'), start('2')]
    kernel.begin(kernel.nth(0))
    kernel.notice('ended')
    expect([first.status, second.status]).toEqual(['error', 'aborted'])
    expect(first.failure).toMatchObject({ ename: 'SavepointError', evalue: expect.stringMatching(/^kernel_dead: /) })
  })

  test('of a kernel that is found dead is given up', () => {
    const { kernel, start } = setUp()
    const execution = start('1')
    kernel.publish('status', { execution_state: 'dead' })
    expect(execution.status).toBe('aborted')
    kernel.executionState = 'dead'
    expect(() => start('2')).toThrow(expect.objectContaining({ code: 'kernel_dead' }))
  })

  test('that was sent while the kernel restarted runs after it; one from before is given up', () => {
    const { kernel, start } = setUp()
    const [running, lost, later] = [start('1'), start('2'), start('3')]
    kernel.begin(kernel.nth(0))
    kernel.notice('restarted')
    expect([running.status, lost.status, later.status]).toEqual(['error', 'queued', 'queued'])
    kernel.run(kernel.nth(2), 'x')
    kernel.reply(kernel.last('comm_info_request'), { status: 'ok', comms: {} })
    expect([lost.status, later.status]).toEqual(['aborted', 'ok'])
    expect(kernel.clients).toBe(0)
  })

  test('keeps no more output than its limit, and says so', () => {
    const { kernel, start, executions } = setUp({ outputBytesMax: 100 })
    const execution = start('print(...)')
    kernel.run(kernel.last('execute_request'), 'x'.repeat(1_000))
    expect(executions.model(execution)).toMatchObject({ status: 'ok', stdout: 'x'.repeat(100) })
    expect(executions.model(execution)['warnings']).toEqual([expect.stringMatching(/bytes of output were left out/)])
  })

  test('has its displays updated by later cells, of anybody', () => {
    const { kernel, start, executions } = setUp()
    const shown = (text: string) => ({ data: { 'text/plain': text }, metadata: {}, transient: { display_id: 'd' } })
    const first = start('display')
    const request = kernel.last('execute_request')
    kernel.begin(request)
    kernel.publish('display_data', shown('1'), request)
    kernel.end(request)
    start('update')
    const second = kernel.last('execute_request')
    kernel.begin(second)
    kernel.publish('update_display_data', shown('2'), second)
    expect(executions.model(first)).toMatchObject({ outputs: [{ data: { 'text/plain': '2' } }] })
    kernel.publish('update_display_data', shown('3'))
    expect(executions.model(first)).toMatchObject({ outputs: [{ data: { 'text/plain': '3' } }] })
  })

  test('survives publications that are no JSON', () => {
    const { kernel, start } = setUp()
    const execution = start('1')
    const request = kernel.last('execute_request')
    kernel.begin(request)
    kernel.publish('display_data', Buffer.from('NaN'), request)
    kernel.publish('stream', Buffer.from('{"text": NaN}'), request)
    kernel.end(request)
    expect(execution.status).toBe('ok')
  })
})

describe('the executions of a kernel', () => {
  test('are as many as are kept, and bounded in bytes over all kernels', () => {
    const { kernel, start, executions } = setUp({ keptMax: 3, keptBytesMax: 5_000 })
    const other = new FakeGatewayKernel('other')
    for (let n = 0; n < 5; n += 1) {
      start(`${n}`)
      kernel.run(kernel.last('execute_request'), '')
    }
    expect(executions.list('k')).toHaveLength(3)
    const large = executions.start(other, 'bob', PLAIN)
    other.run(other.last('execute_request'), 'x'.repeat(2_600))
    expect(executions.list('k')).toEqual([])
    expect(executions.get('other', large.id).execution).toBe(large)
  })

  test('wait only so many at a time', () => {
    const { start } = setUp({ waitingMax: 2 })
    start('1')
    start('2')
    expect(() => start('3')).toThrow(expect.objectContaining({ code: 'queue_full' }))
  })

  test('are forgotten with it', () => {
    const { start, executions } = setUp()
    const execution = start('1')
    executions.forgetKernel('k')
    expect(execution.status).toBe('aborted')
    expect(() => executions.get('k', execution.id)).toThrow(expect.objectContaining({ code: 'unknown_execution' }))
  })

  test('that is gone are forgotten after a while', () => {
    const { clock, executions, kernel, start, gone } = setUp()
    start('1')
    kernel.run(kernel.last('execute_request'), '')
    gone.add('k')
    clock.advance(executionLimits.sweepMs)
    executions.start(new FakeGatewayKernel('other'), 'ann', PLAIN)
    expect(executions.list('k')).toEqual([])
  })

  test('can be waited for, for a while', async () => {
    const { clock, kernel, start, executions } = setUp()
    const execution = start('1')
    const short = executions.wait(execution, 10)
    const long = executions.wait(execution, 1_000)
    clock.advance(10)
    await short
    expect(execution.status).toBe('queued')
    kernel.run(kernel.last('execute_request'), '')
    await long
    expect(execution.status).toBe('ok')
    expect(clock.pending).toBe(0)
    await executions.wait(execution, 1_000)
  })
})

describe('executions of an earlier process of the gateway', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'savepoint-executions-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  function inFolder() {
    const kernel = new FakeGatewayKernel('k', 'ann', 'python3', folder)
    const gateway = () => {
      const parts = { clock: new FakeClock(), log: silentLog, limits: executionLimits, exists: () => true }
      return new Executions({ ...parts, mint: randomUUID })
    }
    /** As if the gateway had been ended by force and another one had come. */
    const restarted = (): Executions => {
      kernel.forgetClients()
      const next = gateway()
      next.takeUp(kernel)
      return next
    }
    const executions = gateway()
    const start = (code: string, more: Partial<RunRequest> = {}): Execution =>
      executions.start(kernel, 'ann', { ...PLAIN, code, ...more })
    return { kernel, executions, start, restarted }
  }

  const eventsOf = (executions: Executions, id: string, since = 0): unknown => executions.get('k', id).feed.since(since)

  test('that have ended can be read, and are run once with their key', () => {
    const { kernel, executions, start, restarted } = inFolder()
    const { id } = start('1', { idempotencyKey: 'a' })
    kernel.run(kernel.nth(0), 'hello')
    const [model, events] = [executions.model(executions.get('k', id).execution), eventsOf(executions, id)]
    const next = restarted()
    expect(next.list('k')).toMatchObject([{ id, status: 'ok' }])
    expect(next.model(next.get('k', id).execution)).toEqual(model)
    expect(eventsOf(next, id)).toEqual(events)
    expect(next.start(kernel, 'ann', { ...PLAIN, code: '1', idempotencyKey: 'a' }).id).toBe(id)
    expect(kernel.received).toHaveLength(1)
  })

  test('go on: output from before and after, each event once, and the question that waits', () => {
    const { kernel, executions, start, restarted } = inFolder()
    const { id } = start('input()')
    const request = kernel.nth(0)
    kernel.begin(request)
    kernel.publish('stream', { name: 'stdout', text: 'before ' }, request)
    kernel.ask(request, 'First? ')
    executions.answer('k', id, '1')
    kernel.publish('stream', { name: 'stdout', text: 'between ' }, request)
    kernel.ask(request, 'Second? ')
    const told = executions.get('k', id).feed.latest
    kernel.forgetClients()
    kernel.publish('stream', { name: 'stdout', text: 'meanwhile ' }, request)
    const next = restarted()
    expect(next.model(next.get('k', id).execution)).toMatchObject({ status: 'running', input: { prompt: 'Second? ' } })
    next.answer('k', id, '2')
    kernel.publish('stream', { name: 'stdout', text: 'after' }, request)
    kernel.end(request)
    expect(next.model(next.get('k', id).execution)).toMatchObject({
      status: 'ok',
      stdout: 'before between meanwhile after',
      input: null,
    })
    expect(eventsOf(next, id, told)).toMatchObject([
      { event: 'stream' },
      { event: 'input_reply' },
      { event: 'stream' },
      { event: 'end' },
    ])
    const all = next
      .get('k', id)
      .feed.since(0)
      ?.map(({ event }) => event)
    expect(all).toEqual([
      ...['execute_input', 'stream', 'input_request', 'input_reply', 'stream', 'input_request'],
      ...['stream', 'input_reply', 'stream', 'end'],
    ])
  })

  test('that did not reach the kernel are sent, others are not sent again', () => {
    const { kernel, start, restarted } = inFolder()
    const [first, second] = [start('1'), start('2')]
    kernel.begin(kernel.nth(0))
    const next = restarted()
    kernel.end(kernel.nth(0))
    const before = kernel.received.length
    // The kernel has served all that it knew.
    kernel.reply(kernel.last('comm_info_request'), { status: 'ok', comms: {} })
    const sent = kernel.received.slice(before)
    expect(sent.map(({ content, message }) => [content['code'], message.header.msg_id])).toEqual([['2', second.id]])
    kernel.run(sent[0] ?? kernel.nth(1), '')
    expect([first, second].map(({ id }) => next.get('k', id).execution.status)).toEqual(['ok', 'ok'])
    expect(kernel.clients).toBe(0)
  })

  test('that were taken back are interrupted again, and cancelled in the end', () => {
    const { kernel, executions, start, restarted } = inFolder()
    const { id } = start('loop()')
    kernel.begin(kernel.nth(0))
    executions.cancel('k', id)
    const next = restarted()
    expect(kernel.received.filter(({ type }) => type === 'interrupt_request')).toHaveLength(2)
    kernel.end(kernel.nth(0), { status: 'error', ename: 'KeyboardInterrupt', evalue: '', traceback: [] })
    expect(next.get('k', id).execution.status).toBe('cancelled')
  })

  test('have failed if the kernel is dead', () => {
    const { kernel, start, restarted } = inFolder()
    const [first, second] = [start('1'), start('2')]
    kernel.begin(kernel.nth(0))
    kernel.executionState = 'dead'
    const next = restarted()
    expect([first, second].map(({ id }) => next.get('k', id).execution.status)).toEqual(['error', 'aborted'])
    expect(restarted().list('k')).toMatchObject([{ status: 'error' }, { status: 'aborted' }])
  })

  test('say that output is missing which the journal has no more', () => {
    const { kernel, start, restarted } = inFolder()
    const { id } = start('print(...)')
    const request = kernel.nth(0)
    kernel.begin(request)
    kernel.publish('stream', { name: 'stdout', text: 'old '.repeat(10_000) }, request)
    kernel.journal.trim(1)
    kernel.publish('stream', { name: 'stdout', text: 'new' }, request)
    const next = restarted()
    kernel.end(request)
    const model = next.model(next.get('k', id).execution)
    expect(model).toMatchObject({ status: 'ok', warnings: [expect.stringMatching(/not kept any more/)] })
    expect(eventsOf(next, id)).toBeNull()
  })

  test('are forgotten with their kernel', () => {
    const { kernel, start, restarted, executions } = inFolder()
    start('1')
    executions.forgetKernel('k')
    expect([readdirSync(folder), restarted().list('k'), kernel.clients]).toEqual([[], [], 0])
  })

  test('survive a file that was cut off', () => {
    const { kernel, start, restarted } = inFolder()
    start('1')
    kernel.run(kernel.nth(0), 'hello')
    appendFileSync(join(folder, 'executions.jsonl'), '{"id": "ex_9", "seq": 3, "hea')
    expect(restarted().list('k')).toHaveLength(1)
  })
})
