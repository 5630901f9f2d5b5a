import { BacklogWatch, queuedBytesInTable } from '../../src/sockets/backlog.js'
import { ManualClock } from './manual-clock.js'

const MIB = 1024 * 1024

interface Setup {
  readonly watch: BacklogWatch
  readonly clock: ManualClock
  /** What the system says about the send queues. */
  readonly system: { queued: number | null; looks: number }
  readonly cleared: { count: number }
}

function setup(queued: number | null): Setup {
  const clock = new ManualClock()
  const system = { queued, looks: 0 }
  const cleared = { count: 0 }
  const watch = new BacklogWatch({
    bytesMax: 20 * MIB,
    clock,
    queuedBytes: () => {
      system.looks += 1
      return system.queued
    },
    onCleared: () => (cleared.count += 1),
  })
  return { watch, clock, system, cleared }
}

function publish(watch: BacklogWatch, bytes: number): void {
  for (let sent = 0; sent < bytes; sent += MIB) watch.published(MIB)
}

test('nobody lags while the queues are empty, however much is published', () => {
  const { watch, clock } = setup(0)
  publish(watch, 500 * MIB)
  expect([watch.lagging, clock.pending]).toEqual([false, 0])
})

test('a subscriber that takes nothing is noticed after the bound, and waited for until its queue is empty', () => {
  const { watch, clock, system, cleared } = setup(2 * MIB)
  publish(watch, 16 * MIB)
  expect(watch.lagging).toBe(false)
  publish(watch, 8 * MIB)
  expect(watch.lagging).toBe(true)
  for (let turn = 0; turn < 50; turn += 1) clock.advance(20)
  expect([watch.lagging, cleared.count]).toEqual([true, 0])
  system.queued = 0
  clock.advance(20)
  expect([watch.lagging, cleared.count, clock.pending]).toEqual([false, 1, 0])
})

test('a subscriber that catches up now and then never makes anybody wait', () => {
  const { watch, system } = setup(2 * MIB)
  for (let turn = 0; turn < 10; turn += 1) {
    system.queued = 2 * MIB
    publish(watch, 16 * MIB)
    system.queued = 0
    publish(watch, 4 * MIB)
  }
  expect(watch.lagging).toBe(false)
})

test('where the queues cannot be seen nobody is made to wait', () => {
  const { watch } = setup(null)
  publish(watch, 500 * MIB)
  expect(watch.lagging).toBe(false)
})

test('small publications do not cost a look at the system', () => {
  const { watch, system } = setup(0)
  for (let n = 0; n < 1000; n += 1) watch.published(1000)
  expect(system.looks).toBe(0)
})

test('after closing no timer is left', () => {
  const { watch, clock } = setup(1)
  publish(watch, 40 * MIB)
  watch.close()
  expect(clock.pending).toBe(0)
})

test('the table of connections is read by port, local side and state', () => {
  const table = [
    '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
    '   0: 0100007F:1F90 00000000:0000 0A 000000FF:00000000 00:00000000 00000000  0  0 1 1 0 100 0 0 10 0',
    '   1: 0100007F:1F90 0100007F:C001 01 002A0C04:00000000 04:00000083 00000000  0  0 2 1 0 20 4 30 10 -1',
    '   2: 0100007F:1F90 0100007F:C002 01 00000001:00000000 00:00000000 00000000  0  0 3 1 0 20 4 30 10 -1',
    '   3: 0100007F:C001 0100007F:1F90 01 00000500:0000F60C 00:00000000 00000000  0  0 4 1 0 20 4 30 10 -1',
    '   4: 0100007F:1F91 0100007F:C003 01 00000700:00000000 00:00000000 00000000  0  0 5 1 0 20 4 30 10 -1',
    '',
  ].join('\n')
  expect(queuedBytesInTable(table, 8080)).toBe(0x2a0c04 + 1)
  expect(queuedBytesInTable(table, 80)).toBe(0)
})
