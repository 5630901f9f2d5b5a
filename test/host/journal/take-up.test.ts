/** A host that goes on with a kernel whose host before was killed at any point. */

import { NO_POLICY } from '../../../src/kernel/auto-checkpoints.js'
import { Host } from '../../../src/host/host.js'
import { JournalBudget } from '../../../src/host/journal/budget.js'
import { journalIn } from '../../../src/host/journal/open.js'
import { MemorySegments } from '../../../src/host/journal/memory-segments.js'
import type { KernelJournal } from '../../../src/host/journal/journal.js'
import { kindOf } from '../../../src/host/journal/records.js'
import type { WorkerMemory } from '../../../src/host/ports.js'
import { FakeClock } from '../../fakes/clock.js'
import { FakePorts } from '../../fakes/ports.js'
import { incoming } from '../../support/messages.js'
import { LIMITS } from '../../support/test-kernel.js'

interface Gateway {
  readonly host: Host
  readonly ports: FakePorts
  readonly journal: KernelJournal
  readonly clock: FakeClock
  /** What the workers were told when the kernel was taken up. */
  readonly memory: WorkerMemory | null
}

/** A gateway's process that begins with a kernel, or goes on with the one in the segments. */
function gateway(log: MemorySegments, goesOn: boolean): Gateway {
  const ports = new FakePorts()
  const clock = new FakeClock()
  const budget = new JournalBudget(Infinity)
  const journal = journalIn(log, { clock, report: () => {}, bytesMax: 1e9, budget })
  const recovered = goesOn ? journal.recover() : null
  const host = new Host({
    options: {
      ...{ session: 'session', seed: 'seed', ports: {}, recover: true, linger: false, restoreLast: false, lazy: false },
      ...{ kernelInfo: null, checkpoints: NO_POLICY, offersSubshells: false, records: null, limits: LIMITS },
    },
    clients: ports.clients,
    workers: ports.workers,
    store: ports.store,
    usage: ports.usage,
    signer: null,
    clock,
    log: () => {},
    pacing: { intervalMs: 5, firstMs: 2, bytesMax: 1_000 },
    holdMs: 2,
    journal,
    ...(recovered ? { recovered } : {}),
    onExit: () => {},
  })
  let memory: WorkerMemory | null = null
  if (recovered) {
    host.takeUp(async (given) => {
      memory = given
    })
  }
  return { host, ports, journal, clock, memory }
}

let sent = 0
function send(host: Host, type: string, content: object): void {
  const message = incoming({ id: `m${(sent += 1)}`, type, content })
  host.deliver({ on: 'message', channel: 'shell', client: { routing: [Buffer.from('ws:ann')] }, message })
}

function begun(log: MemorySegments): Gateway {
  sent = 0
  const one = gateway(log, false)
  one.host.deliver({ on: 'zygote_ready', kernelInfo: Buffer.from('{"status":"ok"}') })
  one.host.deliver({ on: 'worker_up', token: String(one.ports.find('fork')['token']), pid: 7 })
  send(one.host, 'execute_request', { code: '1' })
  return one
}

function prints(host: Host, frame: number, text: string): void {
  const event = { kind: 'stream', name: 'stdout', parent: 'm1' } as const
  host.deliver({ on: 'worker', generation: 1, frame, event, parts: [Buffer.from(text)] })
}

function replies({ host }: Gateway, frame: number): void {
  const event = { kind: 'reply', seq: 1, status: 'ok', got: 2 } as const
  const parts = [Buffer.from('{"status":"ok"}'), Buffer.from('{}')]
  host.deliver({ on: 'worker', generation: 1, frame, event, parts })
}

function told({ journal }: Gateway): unknown[] {
  return journal.since(0, Infinity).map(({ seq, channel, to, topic }) => [seq, channel, to, topic])
}

function kindsIn(log: MemorySegments): unknown[] {
  return log.segments.flatMap(({ number }) => [...log.scan(number)].map(({ payload }) => kindOf(payload)))
}

describe('a host that takes a kernel up', () => {
  test('knows the worker, what it may not have got, and from where it is to speak again', () => {
    const log = new MemorySegments(() => 1)
    const one = begun(log)
    prints(one.host, 2, 'gathered')
    one.clock.advance(5)
    prints(one.host, 3, 'not in a message yet')
    const two = gateway(log, true)
    expect(two.memory).toMatchObject({ current: { generation: 1, pid: 7, frames: 2, commands: 2 }, outstanding: [] })
    expect(two.memory?.commands.map(({ command }) => [command.kind, command.n])).toEqual([
      ['welcome', 1],
      ['request', 2],
    ])
    expect(two.host.facts).toMatchObject({ phase: 'busy', generation: 1 })
    expect(two.ports.done.filter(({ port }) => port === 'workers')).toEqual([])
  })

  test('answers the request of before to who asked, with the numbers that come next', () => {
    const log = new MemorySegments(() => 1)
    begun(log)
    const two = gateway(log, true)
    replies(two, 2)
    expect(told(two)).toEqual([
      [1, 'iopub', null, 'status'],
      [2, 'iopub', null, 'status'],
      [3, 'iopub', null, 'execute_input'],
      [4, 'shell', 'ws:ann', 'execute_reply'],
      [5, 'iopub', null, 'status'],
    ])
    expect(two.ports.find('shell')).toMatchObject({ to: ['ws:ann'], parent: { msg_id: 'm1' } })
    expect(two.journal.running()).toEqual([])
    // Once more: what was confirmed is not sent again.
    expect(gateway(log, true).memory?.commands).toEqual([])
  })

  test('says what was printed beside the link and came into no message, once', () => {
    const log = new MemorySegments(() => 1)
    const one = begun(log)
    one.host.deliver({ on: 'output', name: 'stderr', text: Buffer.from('from C') })
    const two = gateway(log, true)
    expect(two.ports.find('stream')['content']).toEqual({ name: 'stderr', text: 'from C' })
    expect(gateway(log, true).ports.done.filter(({ what }) => what === 'stream')).toEqual([])
  })

  test('has it written down before anything is done that takes longer, and what is said then does not cover it', () => {
    const log = new MemorySegments(() => 1)
    const one = begun(log)
    one.host.deliver({ on: 'output', name: 'stderr', text: Buffer.from('on stderr') })
    // The text on stderr is said now, since it is not to be merged with the other.
    one.host.deliver({ on: 'output', name: 'stdout', text: Buffer.from('on stdout') })
    expect(kindsIn(log).slice(-3)).toEqual(['heard', 'heard', 'said'])
    expect(one.ports.find('stream')['content']).toEqual({ name: 'stderr', text: 'on stderr' })
    const two = gateway(log, true)
    expect(two.ports.find('stream')['content']).toEqual({ name: 'stdout', text: 'on stdout' })
    expect(gateway(log, true).ports.done.filter(({ what }) => what === 'stream')).toEqual([])
  })

  test('keeps what was read beside the link and may not be told yet, until it is told', () => {
    const log = new MemorySegments(() => 1)
    const one = begun(log)
    const held = { place: 'w1', name: 'stdout' as const, pieces: [{ seq: 2, bytes: Buffer.from('ahead') }] }
    one.host.deliver({ on: 'output', name: 'stdout', text: Buffer.alloc(0), held })
    one.host.deliver({ on: 'output', name: 'stderr', text: Buffer.from('told'), held: { ...held, name: 'stderr' } })
    const two = gateway(log, true)
    expect(two.memory?.held).toMatchObject([held, { ...held, name: 'stderr' }])
    expect(two.memory?.cell).toBe(1)
    expect(told(two).filter((each) => (each as unknown[])[3] === 'stream')).toHaveLength(1)
    two.host.deliver({ on: 'output', name: 'stdout', text: Buffer.from('ahead'), held: { ...held, pieces: [] } })
    // Also when a state was written in between.
    two.host.handOver()
    const three = gateway(log, true)
    expect(three.memory?.held).toMatchObject([{ ...held, name: 'stderr' }])
    expect(told(three).filter((each) => (each as unknown[])[3] === 'stream')).toHaveLength(2)
  })

  test('asks the store again for what it has not answered, and remembers what it may not have kept', () => {
    const log = new MemorySegments(() => 1)
    const one = begun(log)
    replies(one, 2)
    send(one.host, 'history_request', { hist_access_type: 'tail' })
    const two = gateway(log, true)
    expect(two.ports.done.filter(({ port }) => port === 'store').map(({ what }) => what)).toEqual([
      'history',
      'remember',
    ])
  })

  test('lets deadlines of before pass only when the worker had time to come back', async () => {
    const log = new MemorySegments(() => 1)
    const one = gateway(log, false)
    one.host.deliver({ on: 'zygote_ready', kernelInfo: Buffer.from('{"status":"ok"}') })
    const two = gateway(log, true)
    expect(two.clock.pending).toBe(1)
    await Promise.resolve()
    await Promise.resolve()
    expect(two.clock.pending).toBe(2)
    expect(two.memory?.outstanding).toEqual([expect.objectContaining({ do: 'fork', generation: 1 })])
  })
})
