import type { Envelope, Numbered, WorkerCommand } from '../../src/link/protocol.js'
import type { Connection } from '../../src/worker/connection.js'
import { WorkerLine } from '../../src/worker/worker-line.js'

function connection(): Connection & { readonly sent: Envelope[] } {
  const sent: Envelope[] = []
  const nothing = (): void => {}
  return {
    sent,
    send: (envelope) => void sent.push(envelope),
    together: (work) => work(),
    pause: nothing,
    resume: nothing,
    close: nothing,
  }
}

const command = (n?: number): Numbered<WorkerCommand> => ({ kind: 'stop', ...(n === undefined ? {} : { n }) })

test('frames are acknowledged in no haste: after many, after many bytes, and before the next command', () => {
  const line = new WorkerLine()
  const link = connection()
  line.open(link)
  const take = (count: number, bytes = 0): number => {
    let last = 0
    for (let each = 0; each < count; each += 1) last = line.take([Buffer.alloc(bytes)]) ?? 0
    return last
  }
  line.durable(take(63))
  expect(link.sent).toEqual([])
  line.durable(take(1))
  expect(link.sent).toEqual([{ kind: 'ack', frames: 64 }])
  line.durable(take(1, 70_000))
  expect(link.sent.at(-1)).toEqual({ kind: 'ack', frames: 65 })
  line.durable(take(1))
  line.send(command(1), [])
  line.send(command(2), [])
  expect(link.sent.slice(-3)).toEqual([{ kind: 'ack', frames: 66 }, command(1), command(2)])
})

test('what is not safe comes again and counts once, and commands go again that were not confirmed', () => {
  const line = new WorkerLine()
  line.open(connection())
  for (const n of [1, 2, 3]) line.send(command(n), [])
  line.confirm(1)
  expect([line.take([]), line.take([]), line.take([])]).toEqual([1, 2, 3])
  line.durable(1)
  line.lost()
  line.send(command(4), [])
  line.send(command(), [])
  expect(line.accepts({ sent: 0, got: 2 })).toBe(false)
  expect(line.accepts({ sent: 3, got: 2 })).toBe(true)
  const link = connection()
  line.reopen(link, { sent: 3, got: 2 })
  expect(link.sent).toEqual([{ kind: 'resume', frames: 1 }, command(3), command(4), command()])
  // Frames 2 and 3 once more, and a new one.
  expect([line.take([]), line.take([]), line.take([])]).toEqual([null, null, 4])
})

test('a worker that lacks commands which are no longer kept cannot come back', () => {
  const line = new WorkerLine()
  line.open(connection())
  for (let n = 1; n <= 10_001; n += 1) line.send(command(n), [])
  expect(line.accepts({ sent: 0, got: 0 })).toBe(false)
  expect(line.accepts({ sent: 0, got: 1 })).toBe(true)
})
