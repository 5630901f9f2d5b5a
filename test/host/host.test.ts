import { NO_POLICY } from '../../src/kernel/auto-checkpoints.js'
import { SavepointError } from '../../src/errors.js'
import { Host } from '../../src/host/host.js'
import { createSigner } from '../../src/wire/signature.js'
import { FakeClock } from '../fakes/clock.js'
import { FakePorts } from '../fakes/ports.js'
import { incoming } from '../support/messages.js'
import { LIMITS } from '../support/test-kernel.js'

interface Stage {
  readonly host: Host
  readonly ports: FakePorts
  readonly clock: FakeClock
  readonly exits: number[]
  readonly logged: string[]
  send(type: string, content?: object): void
}

function stage(key = 'key'): Stage {
  const ports = new FakePorts()
  const clock = new FakeClock()
  const exits: number[] = []
  const logged: string[] = []
  const host = new Host({
    options: {
      session: 'session',
      seed: 'seed',
      ports: {},
      recover: false,
      linger: true,
      restoreLast: false,
      lazy: false,
      kernelInfo: null,
      checkpoints: NO_POLICY,
      offersSubshells: false,
      records: null,
      limits: LIMITS,
    },
    clients: ports.clients,
    workers: ports.workers,
    store: ports.store,
    usage: ports.usage,
    signer: createSigner('hmac-sha256', key),
    clock,
    log: (_, event) => void logged.push(event),
    pacing: { intervalMs: 5, firstMs: 0, bytesMax: 1_000 },
    holdMs: 2,
    onExit: (code) => void exits.push(code),
  })
  let sent = 0
  const send = (type: string, content: object = {}): void => {
    const message = incoming({ id: `m${(sent += 1)}`, type, content })
    host.deliver({ on: 'message', channel: 'shell', client: { routing: [Buffer.from('ann')] }, message })
  }
  return { host, ports, clock, exits, logged, send }
}

/** The worker of a stage that is up and waits for requests. */
function started(key?: string): Stage {
  const all = stage(key)
  all.host.deliver({ on: 'zygote_ready', kernelInfo: Buffer.from('{"status":"ok"}') })
  all.host.deliver({ on: 'worker_up', token: String(all.ports.find('fork')['token']), pid: 7 })
  return all
}

const turnOfTheLoop = async (): Promise<void> =>
  await new Promise((resolve) => {
    setImmediate(resolve)
  })

describe('a host', () => {
  test('says starting first, then forks a worker of the first generation', () => {
    const { ports } = started()
    expect(ports.done.map(({ what }) => what)).toEqual(['status', 'fork', 'welcome'])
    expect(ports.find('status')).toMatchObject({ content: { execution_state: 'starting' }, parent: {} })
    expect(ports.find('fork')).toMatchObject({ generation: 1 })
  })

  test('signs what it sends and gives each message an id, a date and the kernel’s session', () => {
    const { ports, send } = started()
    send('kernel_info_request')
    const { header, signature, parent, to } = ports.find('shell')
    expect(header).toMatchObject({
      session: 'session',
      msg_type: 'kernel_info_reply',
      date: '2030-01-01T00:00:00.000Z',
    })
    expect(String(signature)).toMatch(/^[0-9a-f]{64}$/)
    expect(parent).toMatchObject({ msg_id: 'm1' })
    expect(to).toEqual(['ann'])
    const ids = ports.done.map(({ details }) => (details['header'] as { msg_id?: string } | undefined)?.msg_id)
    const given = ids.filter((id) => id !== undefined)
    expect(new Set(given).size).toBe(given.length)
  })

  test('gives a cell to the worker before it tells of it, and tells of it together with what follows', () => {
    const { host, ports, send } = started()
    send('execute_request', { code: '1' })
    expect(ports.done.slice(-2).map(({ what }) => what)).toEqual(['request', 'remember'])
    host.deliver({
      on: 'worker',
      generation: 1,
      event: { kind: 'reply', seq: 1, status: 'ok' },
      parts: [Buffer.from('{"status":"ok"}'), Buffer.from('{}')],
    })
    const told = ports.done.slice(-4).map(({ what }) => what)
    expect(told).toEqual(['status', 'execute_input', 'shell', 'status'])
  })

  test('tells of a cell that lasts within a moment', () => {
    const { ports, clock, send } = started()
    send('execute_request', { code: '1' })
    clock.advance(2)
    expect(ports.done.slice(-2).map(({ what }) => what)).toEqual(['status', 'execute_input'])
  })

  test('gives the next cell to the worker before it answers the last one', () => {
    const { host, ports, send } = started()
    send('execute_request', { code: '1' })
    send('execute_request', { code: '2' })
    host.deliver({
      on: 'worker',
      generation: 1,
      event: { kind: 'reply', seq: 1, status: 'ok' },
      parts: [Buffer.from('{"status":"ok"}'), Buffer.from('{}')],
    })
    const order = ports.done.map(({ what }) => what).filter((what) => what !== 'remember')
    expect(order.slice(-8)).toEqual([
      ...['request', 'request', 'status', 'execute_input', 'shell', 'status'],
      // Of the second cell, since there is something to say anyway.
      ...['status', 'execute_input'],
    ])
  })

  test('sends output before whatever was said after it', () => {
    const { host, ports, send } = started()
    send('execute_request', { code: '1' })
    const stream = (text: string): void => {
      host.deliver({
        on: 'worker',
        generation: 1,
        event: { kind: 'stream', name: 'stdout', parent: 'm1' },
        parts: [Buffer.from(text)],
      })
    }
    for (const text of ['a', 'b', 'c']) stream(text)
    host.deliver({
      on: 'worker',
      generation: 1,
      event: { kind: 'reply', seq: 1, status: 'ok' },
      parts: [Buffer.from('{"status":"ok"}'), Buffer.from('{}')],
    })
    expect(ports.done.slice(-4).map(({ what, details }) => [what, details['content']])).toEqual([
      ['stream', { name: 'stdout', text: 'a' }],
      ['stream', { name: 'stdout', text: 'bc' }],
      ['shell', { status: 'ok' }],
      ['status', { execution_state: 'idle' }],
    ])
  })

  test('answers for the store, and turns its faults into outcomes', async () => {
    for (const [answer, history] of [
      [[[1, 1, 'x']], [[1, 1, 'x']]],
      [new SavepointError('storage_failed', 'full'), []],
      [new TypeError('broken'), []],
    ] as const) {
      const { ports, send, logged } = started()
      ports.answer = answer
      send('history_request', { hist_access_type: 'tail' })
      await turnOfTheLoop()
      expect(ports.find('shell')['content']).toEqual({ status: 'ok', history })
      expect(logged.includes('store_failed')).toBe(answer instanceof TypeError)
    }
  })

  test('reads on before it answers for a cell that failed', async () => {
    const { host, ports, send } = started()
    send('execute_request', { code: '1' })
    const { seq } = ports.find('request') as { seq: number }
    host.deliver({
      on: 'worker',
      generation: 1,
      event: { kind: 'reply', seq, status: 'error' },
      parts: [Buffer.from('{"status":"error"}')],
    })
    send('execute_request', { code: '2' })
    expect(() => ports.find('shell')).toThrow('No shell')
    await turnOfTheLoop()
    await turnOfTheLoop()
    const replies = ports.done.filter(({ what }) => what === 'shell').map(({ details }) => details['content'])
    expect(replies).toEqual([{ status: 'error' }, expect.objectContaining({ status: 'aborted' })])
  })

  test('lets deadlines pass, and no cancelled one', () => {
    const { host, ports, clock, exits } = started()
    host.deliver({ on: 'terminate', code: 9 })
    expect(ports.done.at(-1)?.what).toBe('stop')
    clock.advance(LIMITS.stopMs)
    expect(ports.find('stop_workers')).toEqual({ linger: false })
    host.deliver({ on: 'workers_stopped' })
    expect(exits).toEqual([9])
    clock.advance(1_000_000)
    expect(exits).toEqual([9])
    expect(clock.pending).toBe(0)
  })

  test('takes events that come while it performs effects after those effects', () => {
    const { host, ports, exits } = started()
    const order: string[] = []
    ports.workers.stop = () => {
      order.push('stop')
      host.deliver({ on: 'workers_stopped' })
      order.push('stopped')
      expect(exits).toEqual([])
    }
    host.deliver({ on: 'terminate', code: 0 })
    host.deliver({ on: 'worker_died', generation: 1, cause: { code: 0, signal: null } })
    expect(order).toEqual(['stop', 'stopped'])
    expect(exits).toEqual([0])
  })

  test('goes on with the other effects when one cannot be performed', () => {
    const { ports, clock, send, logged } = started()
    ports.broken = new SavepointError('ZYGOTE_FAILED', 'gone')
    send('execute_request', { code: '1' })
    expect(logged).toContain('effect_failed')
    clock.advance(2)
    expect(ports.done.slice(-3).map(({ what }) => what)).toEqual(['remember', 'status', 'execute_input'])
  })

  test('leaves messages unsigned when there is no key', () => {
    const { ports } = started('')
    expect(ports.find('status')['signature']).toBe('')
  })
})
