/** Running code over HTTP, with kernels that do what the test says. */

import { get, type ClientRequest, type IncomingMessage } from 'node:http'
import { systemClock } from '../../../src/clock.js'
import type { ExecutionLimits } from '../../../src/gateway/executions/limits.js'
import { createRuns, type RunsOfGateway } from '../../../src/gateway/executions/runs.js'
import { silentLog } from '../../../src/log.js'
import { FakeGatewayKernel, FakeGatewayKernels } from '../../fakes/gateway-kernels.js'
import { KEYS, sign } from '../auth/support.js'
import { testGateway, WITH_TOKEN, type TestGateway } from '../../support/gateway.js'

let gateway: TestGateway<FakeGatewayKernels>
let runs: RunsOfGateway
let kernels: FakeGatewayKernels
let kernel: FakeGatewayKernel
/** Ids of tokens that were revoked. */
const gone = new Set<string>()
/** Event streams, which end with the test. */
const streams: ClientRequest[] = []

async function setUp(limits: Partial<ExecutionLimits> = {}): Promise<void> {
  kernels = new FakeGatewayKernels()
  runs = createRuns({ kernels, clock: systemClock, log: silentLog, limits })
  gateway = await testGateway({
    kernels,
    more: [runs.addRoutes],
    keys: { keys: () => KEYS, revoked: (id) => gone.has(id) },
  })
  // The subject of the gateway's own token may do everything, with everybody's kernels.
  kernel = kernels.add(new FakeGatewayKernel('k'))
}

beforeEach(() => setUp())
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.destroy()
  await runs.close()
  await gateway.close()
})

const RUNS = '/api/kernels/k/executions'

describe('POST executions', () => {
  test('answers with the execution when it has ended', async () => {
    kernel.onMessage = (received) => kernel.run(received, 'hi')
    const { status, body } = await gateway.ask('POST', RUNS, { code: 'x', timeout_s: 5, colour: 'red' })
    expect([status, body.status, body.stdout]).toEqual([200, 'ok', 'hi'])
    expect(body.warnings).toEqual([expect.stringContaining('colour')])
  })

  test('does not wait longer than it was told', async () => {
    const { status, body } = await gateway.ask('POST', `${RUNS}?wait_s=0`, { code: 'x' })
    expect([status, body.status, body.position]).toEqual([202, 'queued', 0])
    kernel.run(kernel.last('execute_request'), 'hi')
    const one = await gateway.ask('GET', `${RUNS}/${body.id}?wait_s=5`)
    expect([one.status, one.body.status, one.body.stdout]).toEqual([200, 'ok', 'hi'])
    const all = await gateway.ask('GET', RUNS)
    expect(all.body).toMatchObject({ total_count: 1, items: [{ id: body.id, status: 'ok' }] })
    expect(all.body.items[0].outputs).toBeUndefined()
    expect((await gateway.ask('GET', `${RUNS}/${body.id}/outputs`)).body).toEqual([
      { output_type: 'stream', name: 'stdout', text: 'hi' },
    ])
  })

  test('is for the kernel that has the id now', async () => {
    kernel.onMessage = (received) => kernel.run(received, 'first')
    const first = await gateway.ask('POST', RUNS, { code: 'x' })
    runs.kernelEnded('k')
    const again = kernels.add(new FakeGatewayKernel('k'))
    again.onMessage = (received) => again.run(received, 'second')
    const second = await gateway.ask('POST', RUNS, { code: 'x' })
    expect([first.body.stdout, second.body.stdout]).toEqual(['first', 'second'])
    expect((await gateway.ask('GET', RUNS)).body.items.map(({ id }: { id: string }) => id)).toEqual([second.body.id])
  })

  test('refuses what it does not understand', async () => {
    for (const [url, body] of [
      [RUNS, {}],
      [RUNS, { code: 3 }],
      [RUNS, { code: 'x', timeout_s: 0 }],
      [RUNS, { code: 'x', idempotency_key: '' }],
      [`${RUNS}?wait_s=soon`, { code: 'x' }],
      [`${RUNS}?wait_s=-1`, { code: 'x' }],
    ] as const) {
      expect((await gateway.ask('POST', url, body)).body).toMatchObject({ code: 'bad_request' })
    }
    expect(kernel.received).toEqual([])
    expect((await gateway.ask('POST', '/api/kernels/none/executions', { code: 'x' })).status).toBe(404)
    expect((await gateway.ask('GET', `${RUNS}/none`)).body).toMatchObject({ code: 'unknown_execution' })
    kernel.executionState = 'dead'
    expect((await gateway.ask('POST', RUNS, { code: 'x' })).status).toBe(410)
  })

  test('runs once what is asked twice with one key', async () => {
    kernel.onMessage = (received) => kernel.run(received, 'hi')
    const request = { code: 'x', idempotency_key: 'a' }
    const [first, second] = [await gateway.ask('POST', RUNS, request), await gateway.ask('POST', RUNS, request)]
    expect(second.body).toEqual(first.body)
    expect(kernel.received).toHaveLength(1)
    expect((await gateway.ask('POST', RUNS, { ...request, code: 'y' })).status).toBe(409)
  })

  test('answers with the question of code that asks for input, which takes one answer', async () => {
    kernel.onMessage = (received) => {
      if (received.type !== 'execute_request') return
      kernel.begin(received)
      kernel.ask(received, 'Name? ')
    }
    const { status, body } = await gateway.ask('POST', RUNS, { code: 'input()' })
    expect([status, body.status, body.input]).toEqual([202, 'running', { prompt: 'Name? ', password: false }])
    const answer = `${RUNS}/${body.id}/input`
    expect((await gateway.ask('POST', answer, { value: 3 })).status).toBe(400)
    expect((await gateway.ask('POST', answer, { value: 'Ann' })).status).toBe(204)
    expect(kernel.last('input_reply').content).toEqual({ value: 'Ann' })
    const again = await gateway.ask('POST', answer, { value: 'Bob' })
    expect([again.status, again.body.code]).toEqual([409, 'already_settled'])
  })

  test('can be taken back', async () => {
    const { body } = await gateway.ask('POST', `${RUNS}?wait_s=0`, { code: 'x' })
    kernel.begin(kernel.last('execute_request'))
    expect((await gateway.ask('DELETE', `${RUNS}/${body.id}`)).status).toBe(204)
    expect(kernel.last('interrupt_request').channel).toBe('control')
  })
})

/** Reads events of a stream until as many are there, or it ends. */
function follow(url: string, headers: Record<string, string> = {}) {
  const events: { id: number; event: string; data: unknown }[] = []
  let text = ''
  let settle: () => void = () => {}
  const asked = get(`${gateway.url}${url}`, { headers: { ...WITH_TOKEN, ...headers }, agent: false })
  streams.push(asked)
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    asked.on('error', reject)
    asked.on('response', resolve)
  })
  const ended = answered.then(
    (answer) =>
      new Promise<void>((resolve) => {
        answer.on('data', (chunk: Buffer) => {
          const blocks = `${text}${chunk.toString()}`.split('\n\n')
          text = blocks.pop() ?? ''
          for (const block of blocks) {
            const [, id, event, data] = /^id: (\d+)\nevent: (\w+)\ndata: (.*)$/.exec(block) ?? []
            if (id !== undefined) events.push({ id: Number(id), event: event ?? '', data: JSON.parse(data ?? '') })
          }
          settle()
        })
        answer.on('close', resolve)
      }),
  )
  // A test that fails destroys it.
  ended.catch(() => {})
  const until = async (count: number): Promise<void> => {
    while (events.length < count) await new Promise<void>((resolve) => (settle = resolve))
  }
  return { events, answered, ended, until, stop: () => asked.destroy() }
}

describe('the events of an execution', () => {
  test('come as they happen, and end with it', async () => {
    const { body } = await gateway.ask('POST', `${RUNS}?wait_s=0`, { code: 'x' })
    const request = kernel.last('execute_request')
    kernel.begin(request)
    const stream = follow(`${RUNS}/${body.id}/events`)
    expect((await stream.answered).headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
    })
    await stream.until(1)
    kernel.publish('stream', { name: 'stdout', text: 'a\nb' }, request)
    await stream.until(2)
    kernel.end(request)
    await stream.ended
    expect(stream.events).toMatchObject([
      { event: 'execute_input' },
      { event: 'stream', data: { name: 'stdout', text: 'a\nb' } },
      { event: 'end', data: { status: 'ok', execution_count: 1 } },
    ])
    const ids = stream.events.map(({ id }) => id)
    expect(ids).toEqual([...new Set(ids)].toSorted((a, b) => a - b))
  })

  test('end when the token that asked for them is revoked', async () => {
    const { body } = await gateway.ask('POST', `${RUNS}?wait_s=0`, { code: 'x' })
    kernel.begin(kernel.last('execute_request'))
    const token = sign({ jti: 'stream', scopes: ['admin'], iat: undefined, exp: Math.floor(Date.now() / 1000) + 600 })
    const stream = follow(`${RUNS}/${body.id}/events`, { authorization: `Bearer ${token}` })
    await stream.until(1)
    gone.add('stream')
    await stream.ended
    expect(stream.events.map(({ event }) => event)).toEqual(['execute_input'])
  })

  test('go on where a client was cut off', async () => {
    kernel.onMessage = (received) => kernel.run(received, 'hi')
    const { body } = await gateway.ask('POST', RUNS, { code: 'x' })
    const whole = follow(`${RUNS}/${body.id}/events`)
    await whole.ended
    const stream = follow(`${RUNS}/${body.id}/events`, { 'last-event-id': `${whole.events[0]?.id}` })
    await stream.ended
    expect(stream.events.map(({ event }) => event)).toEqual(['stream', 'end'])
  })

  test('begin with all there is, for a client that has missed more than is kept', async () => {
    await gateway.close()
    await setUp({ feedBytesMax: 400 })
    kernel.onMessage = (received) => kernel.run(received, 'x'.repeat(1_000))
    const { body } = await gateway.ask('POST', RUNS, { code: 'x' })
    const stream = follow(`${RUNS}/${body.id}/events`)
    await stream.ended
    expect(stream.events).toMatchObject([{ event: 'snapshot', data: { stdout: 'x'.repeat(1_000) } }])
  })

  test('are not followed any more by a client that hung up', async () => {
    const { body } = await gateway.ask('POST', `${RUNS}?wait_s=0`, { code: 'x' })
    const request = kernel.last('execute_request')
    kernel.begin(request)
    const stream = follow(`${RUNS}/${body.id}/events`)
    await stream.until(1)
    stream.stop()
    kernel.end(request)
    expect((await gateway.ask('GET', `${RUNS}/${body.id}`)).body).toMatchObject({ status: 'ok' })
  })
})

describe('POST execute', () => {
  test('runs code in a kernel of its own', async () => {
    gateway.kernels.behave = (made, received) => made.run(received, 'hi')
    const { status, body } = await gateway.ask('POST', '/api/execute', { code: 'x' })
    expect([status, body.status, body.stdout]).toEqual([200, 'ok', 'hi'])
    expect(gateway.kernels.requests).toMatchObject([{ name: 'python3', affinity: null }])
    expect(gateway.kernels.one()).toBe(kernel)
  })

  test('keeps the kernel of a session', async () => {
    gateway.kernels.behave = (made, received) => made.run(received, 'hi')
    const first = await gateway.ask('POST', '/api/execute', { code: 'x', session: 's' })
    const second = await gateway.ask('POST', '/api/execute', { code: 'x', session: 's' })
    expect(second.body.kernel_id).toBe(first.body.kernel_id)
    expect(gateway.kernels.find(first.body.kernel_id)?.last('execute_request').content).toMatchObject({
      allow_stdin: false,
    })
  })

  test('of a client that hangs up is interrupted', async () => {
    const begun = new Promise<FakeGatewayKernel>((resolve) => {
      gateway.kernels.behave = (made, received) => {
        if (received.type === 'execute_request') {
          made.begin(received)
          resolve(made)
        } else {
          made.end(made.last('execute_request'), { status: 'error', ename: 'KeyboardInterrupt' })
          interrupted()
        }
      }
    })
    let interrupted: () => void = () => {}
    const seen = new Promise<void>((resolve) => (interrupted = resolve))
    const body = JSON.stringify({ code: 'wait' })
    const hungUp = new AbortController()
    const asked = fetch(`${gateway.url}/api/execute`, {
      method: 'POST',
      body,
      headers: WITH_TOKEN,
      signal: hungUp.signal,
    })
    const refused = expect(asked).rejects.toThrow()
    await begun
    hungUp.abort()
    await refused
    await seen
  })
})
