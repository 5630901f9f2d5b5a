/**
 * jupyter_server's own connection to a gateway, and the one that savepoint-gateway-client puts in its place: the real
 * classes, in a Python of their own.
 */

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { packageRoot } from '../../../src/config.js'
import { V1_SUBPROTOCOL } from '../../../src/wire/websocket.js'
import { KERNEL_ID, openStage, writeV1 } from './stage.js'
import type { Stage } from './stage.js'

const python = process.env['SAVEPOINT_TEST_PYTHON'] ?? 'python3'
const peer = join(packageRoot, 'test', 'gateway', 'channels', 'jupyter_server_peer.py')
const companion = join(packageRoot, 'src', 'python', 'savepoint_gateway_client')
const STOCK = 'jupyter_server.gateway.connections.GatewayWebSocketConnection'
const OURS = 'savepoint_gateway_client.Connection'
const MIB = 1024 * 1024

interface Frame {
  readonly kind: string
  readonly bytes: number
  readonly data: Buffer
}

let stage: Stage
let server: ChildProcess
const got: Frame[] = []
let wake = (): void => {}

async function start(name: string, framing = ''): Promise<void> {
  stage = await openStage()
  got.length = 0
  server = spawn(python, [peer, stage.url.replace('ws:', 'http:'), KERNEL_ID, name, framing], {
    env: { ...process.env, PYTHONPATH: companion, PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  if (server.stdout === null) throw new Error('no stdout')
  createInterface(server.stdout).on('line', (line) => {
    const [kind = '', bytes = '', hex = ''] = line.split(' ')
    got.push({ kind, bytes: Number(bytes), data: Buffer.from(hex, 'hex') })
    wake()
  })
  server.on('exit', () => wake())
  await soon(() => stage.channels.count() > 0)
}

/** Until the gateway's side is as far. */
async function soon(isThere: () => boolean): Promise<void> {
  while (!isThere()) {
    if (server.exitCode !== null) throw new Error('The server has ended.')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Until the browser got something. */
async function until(isThere: () => boolean): Promise<void> {
  while (!isThere()) {
    if (server.exitCode !== null) throw new Error('The server has ended.')
    await new Promise<void>((resolve) => {
      wake = resolve
    })
  }
}

const texts = (): string[] =>
  got
    .filter(({ kind }) => kind === 'text')
    .map(({ data }) => JSON.parse(data.toString() || '{}') as { content?: { text?: string } })
    .map(({ content }) => content?.text ?? '')

afterEach(async () => {
  const timer = setTimeout(() => server.kill('SIGKILL'), 10_000)
  server.stdin?.end()
  if (server.exitCode === null) await once(server, 'exit')
  clearTimeout(timer)
  await stage.stop()
}, 20_000)

test('the stock connection gets text, loses nothing after what it cannot take, and comes back after a 1012', async () => {
  await start(STOCK)
  const header = { msg_id: 'c', msg_type: 'execute_request', session: 's', username: '', date: '', version: '5.3' }
  server.stdin?.write(JSON.stringify({ channel: 'shell', header, parent_header: {}, metadata: {}, content: {} }) + '\n')
  await soon(() => stage.kernel.requests.length > 0)
  stage.kernel.publish({ type: 'comm_msg', content: { data: {} }, buffers: [Buffer.from([0xff, 0xfe])] })
  stage.kernel.publish({
    type: 'display_data',
    content: { data: { 'image/svg+xml': 'x'.repeat(11 * MIB) }, metadata: {} },
  })
  stage.kernel.print('x'.repeat(11 * MIB))
  stage.kernel.print('one')
  await until(() => texts().includes('one'))
  expect(got.every(({ kind }) => kind === 'text')).toBe(true)
  expect(got.filter(({ bytes }) => bytes > MIB / 16).reduce((sum, { bytes }) => sum + bytes, 0)).toBeGreaterThan(
    11 * MIB,
  )
  expect(texts().filter((text) => text.includes('savepoint-gateway-client'))).toHaveLength(2)
  // One connection has carried it all.
  expect(stage.log.filter((event) => event === 'websocket_opened')).toHaveLength(1)

  await stage.drop()
  stage.kernel.print('two')
  await soon(() => stage.channels.count() > 0)
  stage.kernel.print('three')
  await until(() => texts().includes('three'))
  expect(texts().filter((text) => ['two', 'three'].includes(text))).toEqual(['two', 'three'])
}, 60_000)

test('the one of savepoint-gateway-client passes binary frames on, comes back, and tells the browser of the end', async () => {
  await start(OURS, V1_SUBPROTOCOL)
  const header = Buffer.from('{"msg_id":"c","msg_type":"comm_msg"}')
  const parts = [header, ...Array.from({ length: 3 }, () => Buffer.from('{}')), Buffer.from([0xff])]
  server.stdin?.write(writeV1([Buffer.from('shell'), ...parts]).toString('hex') + '\n')
  await soon(() => stage.kernel.requests.length > 0)
  expect(stage.kernel.requests[0]?.message.buffers).toEqual([Buffer.from([0xff])])
  stage.kernel.publish({ type: 'comm_msg', content: {}, buffers: [Buffer.from([0xff, 0xfe])] })
  stage.kernel.publish({ type: 'comm_msg', content: {}, buffers: [Buffer.alloc(11 * MIB, 255)] })
  await until(() => got.length === 2)
  expect(got.map(({ kind }) => kind)).toEqual(['binary', 'binary'])
  expect(got[0]?.data.subarray(-2)).toEqual(Buffer.from([0xff, 0xfe]))
  expect(got[1]?.bytes).toBeGreaterThan(11 * MIB)

  await stage.drop()
  stage.kernel.print('meanwhile')
  await until(() => got.some(({ data }) => data.includes('meanwhile')))
  stage.kernel.end()
  await until(() => got.some(({ kind }) => kind === 'closed'))
  expect(got.at(-1)).toMatchObject({ kind: 'closed', bytes: 1000 })
}, 60_000)

test('the one of savepoint-gateway-client gives a browser of the legacy framing its binary frames', async () => {
  await start(OURS)
  stage.kernel.publish({ type: 'comm_msg', content: {}, buffers: [Buffer.from([0xff, 0xfe])] })
  stage.kernel.print('text')
  await until(() => got.length === 2)
  expect(got.map(({ kind }) => kind)).toEqual(['binary', 'text'])
}, 60_000)
