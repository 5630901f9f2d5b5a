import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Request } from 'zeromq'
import { endpointOf } from '../../src/wire/connection.js'
import { bound } from './client.js'
import type { Bound } from './client.js'

function requestTo({ channels, connection }: Bound): Request {
  const socket = new Request({ linger: 0, receiveTimeout: 5000 })
  socket.connect(endpointOf(connection, channels.ports.hb))
  return socket
}

async function echo(socket: Request, bytes: Buffer): Promise<Buffer | undefined> {
  await socket.send(bytes)
  return (await socket.receive())[0]
}

/** Pings a kernel from another process until told to end; says how long the slowest echo took. */
const PINGER = `
  const { Request } = require('zeromq')
  const socket = new Request({ linger: 0, receiveTimeout: 5000 })
  socket.connect(process.argv[1])
  let slowestMs = 0
  let stop = false
  process.stdin.on('data', () => { stop = true })
  const ping = async () => {
    const before = performance.now()
    await socket.send('ping')
    await socket.receive()
    return performance.now() - before
  }
  ping().then(async () => {
    console.log('up')
    while (!stop) {
      slowestMs = Math.max(slowestMs, await ping())
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    console.log(slowestMs)
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
  pinger.stdout.setEncoding('utf8')
  expect(await once(pinger.stdout, 'data')).toEqual(['up\n'])
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1200)
  pinger.stdin.write('stop')
  const [slowestMs] = (await once(pinger.stdout, 'data')) as [string]
  expect(Number(slowestMs)).toBeLessThan(1000)
  await once(pinger, 'exit')
  await kernel.channels.close(100)
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
    timeout: 10_000,
    killSignal: 'SIGKILL',
  })
  expect(await once(child, 'exit')).toEqual([code, null])
})
