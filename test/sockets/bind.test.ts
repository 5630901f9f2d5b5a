import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { bound, connectionWith, dealerFor, receive, sealed, subscriberFor } from './client.js'
import type { Bound } from './client.js'

let folder = ''
let ends: (() => Promise<unknown>)[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sockets-'))
})
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
  ends = []
  rmSync(folder, { recursive: true, force: true })
})

async function bind(...args: Parameters<typeof bound>): Promise<Bound> {
  const made = await bound(...args)
  ends.push(() => made.channels.close(100))
  return made
}

function listen(where: { path: string } | { port: number; host: string }): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', reject)
    server.listen(where, () => resolve(server))
  })
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}

/** A socket file behind which nobody is left. */
function leaveSocketBehind(path: string): void {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', script])
  if (!existsSync(path)) throw new Error('no socket was left behind')
}

describe('tcp', () => {
  test('a port in use is named together with its channel, and nothing stays bound', async () => {
    const server = await listen({ port: 0, host: '127.0.0.1' })
    ends.push(() => closed(server))
    const { port } = server.address() as AddressInfo
    const free = await bound()
    await free.channels.close(100)
    const taken = connectionWith({ shell_port: free.channels.ports.shell, control_port: port })
    await expect(bound(taken)).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      details: { channel: 'control', port },
      message: expect.stringContaining(`${port} of the control channel`) as string,
    })
    const after = await bind(connectionWith({ shell_port: free.channels.ports.shell }), { bindPatienceMs: 2000 })
    expect(after.channels.ports.shell).toBe(free.channels.ports.shell)
  })

  test('a port that becomes free in time is waited for', async () => {
    const server = await listen({ port: 0, host: '127.0.0.1' })
    const { port } = server.address() as AddressInfo
    const binding = bind(connectionWith({ iopub_port: port }), { bindPatienceMs: 5000 })
    setImmediate(() => server.close())
    expect((await binding).channels.ports.iopub).toBe(port)
  })

  test('an address that this machine does not have is told', async () => {
    await expect(bound(connectionWith({ ip: '192.0.2.1' }))).rejects.toMatchObject({
      code: 'CONNECTION_FILE_INVALID',
      message: expect.stringContaining('192.0.2.1') as string,
    })
  })
})

describe('ipc', () => {
  function ipc(ports: Readonly<Record<string, number>> = {}): ReturnType<typeof connectionWith> {
    return connectionWith({ transport: 'ipc', ip: join(folder, 'kernel'), ...ports })
  }
  const PORTS = { shell_port: 1, iopub_port: 2, stdin_port: 3, control_port: 4, hb_port: 5 }

  test('requests and publications pass through socket files that only the owner may use', async () => {
    const kernel = await bind(ipc(PORTS))
    expect(kernel.channels.ports).toEqual({ shell: 1, iopub: 2, stdin: 3, control: 4, hb: 5 })
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600)
    const subscriber = subscriberFor(kernel)
    expect(await receive(subscriber)).toMatchObject({ type: 'iopub_welcome' })
    const client = dealerFor(kernel, 'shell')
    await client.send(sealed('question'))
    kernel.channels.reply('shell', (await kernel.firstRequest).routing, sealed('answer'))
    expect(await receive(client)).toMatchObject({ type: 'answer' })
    client.close()
    subscriber.close()
  })

  test('port 0 becomes the first number that is free', async () => {
    writeFileSync(join(folder, 'unrelated'), '')
    const kernel = await bind(ipc({ stdin_port: 2 }))
    expect(Object.values(kernel.channels.ports).toSorted()).toEqual([1, 2, 3, 4, 5])
    expect(kernel.channels.ports.stdin).toBe(2)
  })

  test('a socket that a killed kernel left behind is replaced', async () => {
    leaveSocketBehind(join(folder, 'kernel-1'))
    const kernel = await bind(ipc(PORTS))
    const client = dealerFor(kernel, 'shell')
    await client.send(sealed('question'))
    expect((await kernel.firstRequest).message.header.msg_type).toBe('question')
    client.close()
  })

  test('a socket at which somebody listens is never taken over', async () => {
    const server = await listen({ path: join(folder, 'kernel-4') })
    ends.push(() => closed(server))
    await expect(bound(ipc(PORTS))).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      details: { channel: 'control', port: 4 },
    })
  })

  test('a file that is no socket is in the way, and is left alone', async () => {
    writeFileSync(join(folder, 'kernel-3'), 'precious')
    await expect(bound(ipc(PORTS))).rejects.toMatchObject({
      code: 'CONNECTION_FILE_INVALID',
      message: expect.stringContaining('kernel-3') as string,
    })
    expect(statSync(join(folder, 'kernel-3')).size).toBe(8)
  })

  test('a folder that does not exist is named', async () => {
    const connection = connectionWith({ transport: 'ipc', ip: join(folder, 'missing', 'kernel'), ...PORTS })
    await expect(bound(connection)).rejects.toMatchObject({
      code: 'CONNECTION_FILE_INVALID',
      message: expect.stringContaining(join(folder, 'missing')) as string,
    })
  })

  test('a folder that may not be written is told', async () => {
    chmodSync(folder, 0o500)
    // Root may bind everywhere; for everybody else the refusal has to be in words.
    const outcome = await bind(ipc(PORTS)).catch((error: unknown) => error)
    chmodSync(folder, 0o700)
    if (outcome instanceof Error) expect(outcome).toMatchObject({ code: 'CONNECTION_FILE_INVALID' })
  })
})
