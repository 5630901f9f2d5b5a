import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { Request } from 'zeromq'
import { endpointOf } from '../../src/wire/connection.js'
import { bound } from './client.js'
import type { Bound } from './client.js'

/** Nothing is waited for longer; what is right comes much sooner. */
const PATIENCE_MS = 30_000
const BLOCK_MS = 1200

function requestTo({ channels, connection }: Bound): Request {
  const socket = new Request({ linger: 0, receiveTimeout: PATIENCE_MS })
  socket.connect(endpointOf(connection, channels.ports.hb))
  return socket
}

async function echo(socket: Request, bytes: Buffer): Promise<Buffer | undefined> {
  await socket.send(bytes)
  return (await socket.receive())[0]
}

/** Pings a kernel from another process until told to end; says of each ping when it was sent and when answered. */
const PINGER = `
  const { Request } = require('zeromq')
  const socket = new Request({ linger: 0, receiveTimeout: ${PATIENCE_MS} })
  socket.connect(process.argv[1])
  let stop = false
  process.stdin.on('data', () => { stop = true })
  const ping = async () => {
    const sent = process.hrtime.bigint()
    await socket.send('ping')
    await socket.receive()
    console.log(sent + ' ' + process.hrtime.bigint())
  }
  ping().then(async () => {
    while (!stop) {
      await ping()
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    socket.close()
    process.exit()
  })
`

test('what a client sends comes back, byte for byte', async () => {
  const kernel = await bound()
  const clients = [requestTo(kernel), requestTo(kernel)]
  for (const bytes of [Buffer.from('ping'), Buffer.alloc(0), Buffer.from([0, 255, 1]), Buffer.alloc(5000, 7)]) {
    for (const client of clients) expect(await echo(client, bytes)).toEqual(bytes)
  }
  for (const client of clients) client.close()
  await kernel.channels.close(100)
})

test('a second kernel in the same process, which echoes otherwise, shows no difference', async () => {
  const kernels = [await bound(), await bound()]
  for (const kernel of kernels) {
    const client = requestTo(kernel)
    for (const text of ['one', 'two']) expect(String(await echo(client, Buffer.from(text)))).toBe(text)
    client.close()
  }
  for (const kernel of kernels) await kernel.channels.close(100)
})

test('the heartbeat goes on while the event loop is blocked for longer than a client waits', async () => {
  const kernel = await bound()
  const endpoint = endpointOf(kernel.connection, kernel.channels.ports.hb)
  const pinger = spawn(process.execPath, ['-e', PINGER, endpoint], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(pinger, 'exit')
  const pings = createInterface({ input: pinger.stdout })[Symbol.asyncIterator]()
  // Both processes read the same clock.
  const nextPing = async (): Promise<bigint[]> => {
    const { value, done } = await pings.next()
    if (done === true) throw new Error('The pinger has ended.')
    return value.split(' ').map(BigInt)
  }
  await nextPing()
  // The pinger may itself be held up for as long as a block lasts, on a busy machine; not in every block.
  let answered = 0
  for (let block = 0; answered === 0 && block < 10; block += 1) {
    const begin = process.hrtime.bigint()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BLOCK_MS)
    const end = process.hrtime.bigint()
    // Once there is a ping from behind the block, those before it have been told of.
    for (;;) {
      const [sent = 0n, received = 0n] = await nextPing()
      if (sent > end) break
      if (sent > begin && received < end) answered += 1
    }
  }
  pinger.stdin.write('stop')
  await ended
  await kernel.channels.close(100)
  expect(answered).toBeGreaterThan(0)
})

/** Ends in one of the ways in which a process ends, with its heartbeat running. */
const KERNEL = (end: string): string => `
  import { startHeartbeat } from ${JSON.stringify(new URL('../../src/sockets/heartbeat.js', import.meta.url).href)}
  import * as zmq from 'zeromq'
  const router = new zmq.Router({ linger: 0 })
  await router.bind('tcp://127.0.0.1:*')
  const heartbeat = await startHeartbeat(zmq, router, () => {})
  ${end}
`

test.each([
  ['closes it', 'await heartbeat.close()', 0],
  ['exits without closing it', 'process.exit(3)', 3],
  ['dies of an exception', 'throw new Error("expected")', 1],
])('a process that %s ends', async (_name, end, code) => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', KERNEL(end)], {
    stdio: 'ignore',
    timeout: PATIENCE_MS,
    killSignal: 'SIGKILL',
  })
  expect(await once(child, 'exit')).toEqual([code, null])
})
