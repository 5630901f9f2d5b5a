/**
 * What VS Code asks of an "Existing Jupyter Server", in its order and with its library, @jupyterlab/services in Node:
 * `vscode.mjs URL TOKEN FRAMING`, where FRAMING is `v1` or `legacy`. Ends with code 0 if everything was as it should be.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import services from '@jupyterlab/services'
import { WebSocket } from 'ws'

const { KernelManager, KernelSpecManager, ServerConnection, SessionManager } = services
const [baseUrl, token, framing] = process.argv.slice(2)
const authorization = `token ${token}`

// Does it want a password? A redirect to a login page, or a strange status of /tree, would say so.
const front = await fetch(`${baseUrl}/`, { redirect: 'manual', headers: { authorization } })
assert.doesNotMatch(front.headers.get('location') ?? '', /login/)
const tree = await fetch(`${baseUrl}/tree?`, { redirect: 'manual', headers: { Connection: 'keep-alive' } })
assert.ok([200, 404].includes(tree.status), `/tree: ${tree.status}`)

/** The token as a header, beside the one in the URL; and pings of its own. */
class VSCodeWebSocket extends WebSocket {
  static opened = []
  constructor(url, protocols) {
    super(url, framing === 'v1' ? protocols : [], { headers: { authorization }, rejectUnauthorized: true })
    if (framing === 'legacy') this.binaryType = 'arraybuffer'
    VSCodeWebSocket.opened.push(this)
    this.once('open', () => this.ping())
    this.answered = new Promise((resolve) => this.once('pong', resolve))
  }
}

const serverSettings = ServerConnection.makeSettings({
  baseUrl: `${baseUrl}/`,
  wsUrl: '',
  token,
  appendToken: true,
  init: { cache: 'no-store', credentials: 'same-origin' },
  WebSocket: VSCodeWebSocket,
})

/** What one window of VS Code has. */
function openWindow() {
  const kernels = new KernelManager({ serverSettings })
  const specs = new KernelSpecManager({ serverSettings })
  const sessions = new SessionManager({ serverSettings, kernelManager: kernels })
  return { kernels, specs, sessions, close: () => [sessions, specs, kernels].forEach((each) => each.dispose()) }
}

const one = openWindow()
await Promise.all([one.kernels.ready, one.specs.ready, one.sessions.ready])
await one.specs.refreshSpecs()
assert.equal(one.specs.specs.kernelspecs.python3.language, 'python')
await Promise.all([one.kernels.refreshRunning(), one.sessions.refreshRunning()])

// A session of a path that no file has.
const path = `work/lab-jvsc-${randomUUID()}.ipynb`
const session = await one.sessions.startNew({ path, type: 'notebook', name: 'lab.ipynb', kernel: { name: 'python3' } })
const { kernel } = session
assert.equal((await kernel.info).implementation, 'ipython')
const socket = VSCodeWebSocket.opened.at(-1)
assert.equal(new URL(socket.url).searchParams.get('token'), token)
assert.equal(socket.protocol, framing === 'v1' ? 'v1.kernel.websocket.jupyter.org' : '')
await socket.answered
assert.equal(kernel.connectionStatus, 'connected')

/** Runs code; its status and what it printed. */
async function run(of, code) {
  const texts = []
  const future = of.requestExecute({ code, stop_on_error: false, allow_stdin: true }, false)
  future.onIOPub = ({ header, content }) => {
    if (header.msg_type === 'stream') texts.push(content.text)
  }
  const { content } = await future.done
  return { status: content.status, text: texts.join('') }
}

/** Starts code, and waits until it has printed. */
async function begin(of, code) {
  const future = of.requestExecute({ code, allow_stdin: true }, false)
  await new Promise((resolve) => {
    future.onIOPub = ({ header }) => header.msg_type === 'stream' && resolve()
  })
  return future
}

/** Resolves with the question that a cell asks. */
const question = (future) =>
  new Promise((resolve) => {
    future.onStdin = resolve
  })

assert.deepEqual(await run(kernel, 'x = 6\nprint(x * 7)'), { status: 'ok', text: '42\n' })

// The picker of kernels shows when each was used and by how many; a second window connects to it from there.
const two = openWindow()
await two.kernels.ready
await two.kernels.refreshRunning()
const [model] = [...two.kernels.running()].filter(({ id }) => id === kernel.id)
assert.equal(model.connections, 1)
assert.ok(Date.parse(model.last_activity) > 0)
const again = two.kernels.connectTo({ model })
assert.deepEqual(await run(again, 'print(x)'), { status: 'ok', text: '6\n' })

const looping = await begin(kernel, 'print("here")\nwhile True: pass')
await kernel.interrupt()
assert.equal((await looping.done).content.ename, 'KeyboardInterrupt')

// A question is for the window that ran the cell, and an interrupt takes it back.
const asking = kernel.requestExecute({ code: 'input("who? ")', allow_stdin: true }, false)
assert.equal((await question(asking)).content.prompt, 'who? ')
await kernel.interrupt()
assert.equal((await asking.done).content.ename, 'KeyboardInterrupt')

// A restart in the midst of a question: both windows connect again, and both see the new process.
const pending = kernel.requestExecute({ code: 'input("and now? ")', allow_stdin: true }, false)
await question(pending)
pending.done.catch(() => {})
await kernel.restart()
assert.equal((await run(kernel, 'print("x" in globals())')).text, 'False\n')
await again.reconnect()
assert.equal((await run(again, 'print("x" in globals())')).text, 'False\n')

// Every request of a window that stays is counted on, although an older question was open.
const third = kernel.requestExecute({ code: 'print(input("last? "))', allow_stdin: true }, false)
third.onStdin = ({ header }) => kernel.sendInputReply({ value: 'yes', status: 'ok' }, header)
assert.equal((await third.done).content.status, 'ok')

const gone = new Promise((resolve) => again.disposed.connect(resolve))
await session.shutdown()
await two.kernels.refreshRunning()
await gone
assert.equal([...two.kernels.running()].filter(({ id }) => id === kernel.id).length, 0)
two.close()
one.close()
process.exit(0)
