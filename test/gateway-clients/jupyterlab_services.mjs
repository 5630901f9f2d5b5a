/**
 * What JupyterLab and VS Code speak to servers with, @jupyterlab/services, in Node: `jupyterlab_services.mjs URL TOKEN
 * FRAMING`, where FRAMING is `v1` or `legacy`. Ends with code 0 if everything was as it should be.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import services from '@jupyterlab/services'
import { WebSocket } from 'ws'

const { KernelManager, KernelSpecManager, ServerConnection, SessionManager } = services
const [baseUrl, token, framing] = process.argv.slice(2)

const sockets = []
class OneFraming extends WebSocket {
  constructor(url, protocols) {
    super(url, framing === 'v1' ? protocols : [])
    // As in a browser, which is what the legacy reader expects.
    this.binaryType = 'arraybuffer'
    sockets.push(this)
  }
}

const serverSettings = ServerConnection.makeSettings({
  baseUrl: `${baseUrl}/`,
  wsUrl: `${baseUrl.replace('http', 'ws')}/`,
  token,
  WebSocket: OneFraming,
})
const kernelManager = new KernelManager({ serverSettings })
const specs = new KernelSpecManager({ serverSettings })
const sessions = new SessionManager({ serverSettings, kernelManager })

await specs.ready
assert.equal(specs.specs?.default, 'python3')
const session = await sessions.startNew({
  path: `${framing}.ipynb`,
  name: '',
  type: 'notebook',
  kernel: { name: 'python3' },
})
const { kernel } = session
assert.ok(kernel)

async function run(code, future = kernel.requestExecute({ code })) {
  const texts = []
  future.onIOPub = ({ header, content }) => {
    if (header.msg_type === 'stream') texts.push(content.text)
  }
  const { content } = await future.done
  return { status: content.status, text: texts.join('') }
}

assert.equal((await kernel.info).status, 'ok')
assert.equal(sockets.at(-1).protocol, framing === 'v1' ? 'v1.kernel.websocket.jupyter.org' : '')
assert.deepEqual(await run('print(6 * 7)'), { status: 'ok', text: '42\n' })

// Input.
const asking = kernel.requestExecute({ code: 'print(input("who? "))', allow_stdin: true })
asking.onStdin = () => kernel.sendInputReply({ value: 'me', status: 'ok' }, asking.msg.header)
assert.equal((await run('', asking)).text, 'me\n')

// Buffers in both ways.
await run(
  'def opened(comm, message):\n' +
    '    comm.on_msg(lambda m: comm.send({}, buffers=[bytes(b)[::-1] for b in m["buffers"]]))\n' +
    'get_ipython().kernel.comm_manager.register_target("echo", opened)',
)
const comm = kernel.createComm('echo')
const echoed = new Promise((resolve) => {
  comm.onMsg = resolve
})
comm.open({})
comm.send({}, {}, [new Uint8Array([1, 2, 255]).buffer, new Uint8Array(0).buffer])
const buffers = (await echoed).buffers.map((each) => [...new Uint8Array(each.buffer ?? each)])
assert.deepEqual(buffers, [[255, 2, 1], []])

// An interrupt.
const endless = kernel.requestExecute({ code: 'print("here")\nwhile True: pass' })
const begun = new Promise((resolve) => {
  endless.onIOPub = ({ header }) => header.msg_type === 'stream' && resolve()
})
await begun
await kernel.interrupt()
assert.equal((await endless.done).content.ename, 'KeyboardInterrupt')

// A connection that breaks in the middle of a cell; the client comes back by itself.
const counting = kernel.requestExecute({ code: 'import time\nfor i in range(8):\n    print(i)\n    time.sleep(0.1)' })
const counted = run('', counting)
await sleep(250)
sockets.at(-1)._socket.destroy()
assert.deepEqual(await counted, { status: 'ok', text: [0, 1, 2, 3, 4, 5, 6, 7].map((i) => `${i}\n`).join('') })

// A restart.
await run('x = 1')
await kernel.restart()
assert.equal((await run('x')).status, 'error')

const ended = new Promise((resolve) => sockets.at(-1).once('close', resolve))
await session.shutdown()
assert.equal(await ended, 1000)
for (const each of [sessions, kernelManager, specs]) each.dispose()
process.exit(0)
