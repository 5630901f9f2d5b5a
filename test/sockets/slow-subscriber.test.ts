import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { once } from 'node:events'
import { bound, connectionWith, receive, subscriberFor } from './client.js'

const MIB = 1024 * 1024

/**
 * A subscriber that says what the protocol requires and then reads only when it is told to.
 *
 * Docs: https://rfc.zeromq.org/spec/23/
 */
async function rawSubscriber(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  const greeting = Buffer.alloc(64)
  greeting[0] = 0xff
  greeting[9] = 0x7f
  greeting[10] = 3
  greeting.write('NULL', 12)
  const ready = Buffer.from('\x05READY\x0bSocket-Type\0\0\0\x03SUB', 'latin1')
  socket.write(greeting)
  socket.write(Buffer.concat([Buffer.from([4, ready.length]), ready]))
  // The other side's READY: a subscription that comes before it may be overlooked.
  let heard = ''
  while (!heard.includes('READY')) heard += String(((await once(socket, 'data')) as [Buffer])[0])
  socket.write(Buffer.from([0, 1, 1]))
  await once(socket, 'data')
  socket.pause()
  return socket
}

test('a subscriber that stops reading makes the source pause, loses nothing, and is caught up with', async () => {
  const told: string[] = []
  let caughtUp = (): void => {}
  const drained = new Promise<void>((resolve) => (caughtUp = resolve))
  const kernel = await bound(connectionWith(), {
    outboxBytesMax: 16 * MIB,
    onFull: () => told.push('full'),
    onDrained: () => {
      told.push('drained')
      caughtUp()
    },
  })
  const stalled = await rawSubscriber(kernel.channels.ports.iopub)
  let published = 0
  while (told.length === 0 && published < 200) {
    kernel.channels.publish('t', [Buffer.alloc(MIB, published)])
    published += 1
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(told).toEqual(['full'])
  // The bound, and what is published between two looks.
  expect(published).toBeLessThan(40)
  kernel.channels.publish('t', [Buffer.from('the end')])

  let bytes = 0
  let last = ''
  stalled.resume()
  while (last !== 'the end') {
    const [chunk] = (await once(stalled, 'data')) as [Buffer]
    bytes += chunk.length
    last = chunk.subarray(-7).toString('latin1')
  }
  await drained
  expect(bytes).toBeGreaterThan(published * MIB)
  expect(told).toEqual(['full', 'drained'])
  stalled.destroy()
  await kernel.channels.close(100)
})

test('while one subscriber does not read, the others get everything at once', async () => {
  const kernel = await bound()
  const stalled = await rawSubscriber(kernel.channels.ports.iopub)
  const reader = subscriberFor(kernel)
  await receive(reader)
  for (let n = 0; n < 5000; n += 1) kernel.channels.publish('t', [Buffer.alloc(2000, 1), Buffer.from(String(n))])
  for (let n = 0; n < 5000; n += 1) expect(String((await reader.receive())[2])).toBe(String(n))
  reader.close()
  stalled.destroy()
  await kernel.channels.close(100)
})
