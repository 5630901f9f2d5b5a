import { Outbox } from '../../src/sockets/outbox.js'

/** A socket that takes a message when it is told to, and complains about a second send as ZeroMQ does. */
class SlowSink {
  readonly sent: string[] = []
  #pending: { resolve: () => void; reject: (error: Error) => void } | null = null

  send(frames: (Buffer | string)[]): Promise<void> {
    if (this.#pending !== null) throw new Error('EBUSY')
    this.sent.push(frames.join(''))
    return new Promise((resolve, reject) => (this.#pending = { resolve, reject }))
  }

  async take(error?: Error): Promise<void> {
    const pending = this.#pending
    this.#pending = null
    if (error === undefined) pending?.resolve()
    else pending?.reject(error)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

interface Setup {
  readonly sink: SlowSink
  readonly outbox: Outbox
  readonly failures: unknown[]
  readonly drained: { count: number }
}

function setup(bytesMax = 1000): Setup {
  const sink = new SlowSink()
  const failures: unknown[] = []
  const drained = { count: 0 }
  const outbox = new Outbox(sink, {
    bytesMax,
    onFailed: (error) => failures.push(error),
    onDrained: () => (drained.count += 1),
  })
  return { sink, outbox, failures, drained }
}

function message(text: string): Buffer[] {
  return [Buffer.from(text)]
}

test('the first message goes out within the call', () => {
  const { sink, outbox } = setup()
  outbox.send(message('a'))
  expect(sink.sent).toEqual(['a'])
})

test('messages go out in order, and one at a time', async () => {
  const { sink, outbox, failures } = setup()
  for (const text of ['a', 'b', 'c']) outbox.send(message(text))
  expect(sink.sent).toEqual(['a'])
  await sink.take()
  outbox.send(message('d'))
  expect(sink.sent).toEqual(['a', 'b'])
  for (let turn = 0; turn < 3; turn += 1) await sink.take()
  expect(sink.sent).toEqual(['a', 'b', 'c', 'd'])
  expect(failures).toEqual([])
})

test('thousands of messages keep their order', async () => {
  const sent: number[] = []
  const outbox = new Outbox(
    {
      send: (frames) => {
        sent.push(Number(frames[0]))
        return Promise.resolve()
      },
    },
    { bytesMax: 10, onFailed: (error) => sent.push(Number.NaN, Number(error)) },
  )
  const numbers = Array.from({ length: 5000 }, (_, n) => n)
  for (const n of numbers) outbox.send(message(String(n)))
  await outbox.flushed()
  expect(sent).toEqual(numbers)
})

test('what exceeds the bound is kept, and the outbox says that it is full until half of it is gone', async () => {
  const { sink, outbox, drained } = setup(10)
  for (const text of ['under way', '12345', '67890']) outbox.send(message(text))
  expect(outbox.full).toBe(false)
  outbox.send(message('x'))
  expect(outbox.full).toBe(true)
  await sink.take()
  expect([outbox.full, drained.count]).toEqual([true, 0])
  await sink.take()
  expect([outbox.full, drained.count]).toEqual([false, 1])
  await sink.take()
  expect(sink.sent).toEqual(['under way', '12345', '67890', 'x'])
  expect(drained.count).toBe(1)
})

test('one message larger than the bound passes', async () => {
  const { sink, outbox, drained } = setup(10)
  outbox.send(message('a'))
  outbox.send(message('x'.repeat(100)))
  expect(outbox.full).toBe(true)
  await sink.take()
  expect([outbox.full, drained.count, sink.sent.length]).toEqual([false, 1, 2])
})

test('a message that fails is told, and the next one is sent', async () => {
  const { sink, outbox, failures } = setup()
  outbox.send(message('a'))
  outbox.send(message('b'))
  await sink.take(new Error('EHOSTUNREACH'))
  expect(failures).toEqual([new Error('EHOSTUNREACH')])
  expect(sink.sent).toEqual(['a', 'b'])
})

test('a sink that throws instead of rejecting is no different', async () => {
  const failures: unknown[] = []
  const outbox = new Outbox(
    {
      send: () => {
        throw new Error('ENOTSOCK')
      },
    },
    { bytesMax: 10, onFailed: (error) => failures.push(error) },
  )
  outbox.send(message('a'))
  outbox.send(message('b'))
  await outbox.flushed()
  expect(failures).toEqual([new Error('ENOTSOCK'), new Error('ENOTSOCK')])
})

test('flushed waits for the last message', async () => {
  const { sink, outbox } = setup()
  let isFlushed = false
  await outbox.flushed()
  outbox.send(message('a'))
  outbox.send(message('b'))
  const flushed = outbox.flushed().then(() => (isFlushed = true))
  await sink.take()
  expect(isFlushed).toBe(false)
  await sink.take()
  await flushed
  expect(isFlushed).toBe(true)
})

test('closing forgets what waits, ends the waiting for it, and hides the failure of the pending send', async () => {
  const { sink, outbox, failures } = setup()
  outbox.send(message('a'))
  outbox.send(message('b'))
  const flushed = outbox.flushed()
  outbox.close()
  await flushed
  await sink.take(new Error('EAGAIN'))
  outbox.send(message('c'))
  expect(sink.sent).toEqual(['a'])
  expect(failures).toEqual([])
})

test('the bytes of a message stay the same, whatever form its frames are given', async () => {
  const taken: Buffer[][] = []
  const send = (frames: (Buffer | string)[]): Promise<void> => {
    // As the binding does: strings are sent in UTF-8.
    taken.push(frames.map((frame) => (typeof frame === 'string' ? Buffer.from(frame, 'utf8') : frame)))
    return Promise.resolve()
  }
  const outbox = new Outbox({ send }, { bytesMax: 1000, onFailed: () => {} })
  const bytes = [0, 128, 129, 300, 8192, 8193, 100_000].flatMap((size) => [
    Buffer.alloc(size, 'a'),
    Buffer.alloc(size, 'é'),
    Buffer.alloc(size, 0xff),
    Buffer.alloc(size, 0),
  ])
  outbox.send(bytes)
  await outbox.flushed()
  expect(taken).toEqual([bytes])
})

test('what is held waits in order, and goes out when it is let go', async () => {
  const { sink, outbox } = setup()
  outbox.hold()
  for (const text of ['a', 'b']) outbox.send(message(text))
  expect(sink.sent).toEqual([])
  let isFlushed = false
  void outbox.flushed().then(() => (isFlushed = true))
  outbox.release()
  await sink.take()
  expect(isFlushed).toBe(false)
  await sink.take()
  expect([sink.sent, isFlushed]).toEqual([['a', 'b'], true])
})
