/** Many kernels in one process, with real workers. */

import { existsSync } from 'node:fs'
import { Listener, requestFor, type Heard } from './listener.js'
import { openStage, type Stage } from './stage.js'

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
}, 60_000)

afterAll(async () => {
  await stage.close()
}, 30_000)

test('kernels run side by side, each with its own variables', async () => {
  const { kernels } = stage
  const [one, other] = await Promise.all([kernels.start(requestFor()), kernels.start(requestFor())])
  const ann = new Listener(one)
  const bob = new Listener(other, 'bob')
  await Promise.all([ann.run('x = 1'), bob.run('x = 2')])
  await Promise.all([ann.run('print(x)'), bob.run('print(x)')])
  expect([ann.text, bob.text]).toEqual(['1\n', '2\n'])
  expect(kernels.list()).toEqual([one, other])
  const { savepoint, ...seen } = one.status
  expect(seen).toMatchObject({ execution_state: 'idle', connections: 1 })
  expect(seen).not.toHaveProperty('reason')
  expect(savepoint).toMatchObject({ phase: 'idle', transactions: 0, queue: 0, last_death: null })
  expect(savepoint.worker).toMatchObject({ generation: 1 })
  await Promise.all([one.shutdown(), other.shutdown()])
  expect(kernels.list()).toEqual([])
  expect([ann, bob].map(({ heard }) => heard.at(-1)?.type)).toEqual(['ended', 'ended'])
}, 60_000)

test('two clients of one kernel see its outputs, and only the one who asked the reply and the question', async () => {
  const kernel = await stage.kernels.start(requestFor())
  const [ann, bob] = [new Listener(kernel), new Listener(kernel, 'bob')]
  const cell = bob.send('execute_request', { code: 'print("from", input())', allow_stdin: true })
  await bob.next(({ type }) => type === 'input_request')
  bob.send('input_reply', { value: 'bob' }, 'stdin')
  await bob.replyTo(cell)
  expect([ann.text, bob.text]).toEqual(['from bob\n', 'from bob\n'])
  expect(ann.heard.filter(({ channel }) => channel !== 'iopub')).toEqual([])
  expect(kernel.status.connections).toBe(2)
  bob.attachment.detach()
  expect(kernel.status.connections).toBe(1)
  await kernel.shutdown()
}, 60_000)

test('a busy kernel answers kernel_info at once, and is busy; an interrupt ends its cell', async () => {
  const kernel = await stage.kernels.start(requestFor())
  const ann = new Listener(kernel)
  const cell = ann.send('execute_request', { code: 'print("on"); import time; time.sleep(600)' })
  await ann.next(({ type }) => type === 'stream')
  expect(kernel.status.execution_state).toBe('busy')
  expect(await ann.replyTo(ann.send('kernel_info_request'))).toMatchObject({ status: 'ok' })
  expect(kernel.status.execution_state).toBe('busy')
  kernel.interrupt()
  expect(await ann.replyTo(cell)).toMatchObject({ status: 'error', ename: 'KeyboardInterrupt' })
  await ann.next(
    ({ type, content, parent }) => type === 'status' && parent === cell && content['execution_state'] === 'idle',
  )
  expect(kernel.status.execution_state).toBe('idle')
  await kernel.shutdown()
}, 60_000)

test('a restart keeps id and clients, and nothing of the state', async () => {
  const kernel = await stage.kernels.start(requestFor())
  const ann = new Listener(kernel)
  await ann.run('x = 1')
  const before = kernel.status.savepoint.worker?.pid
  const from = ann.heard.length
  await Promise.all([kernel.restart(), kernel.restart()])
  expect(kernel.status).toMatchObject({ execution_state: 'idle', savepoint: { phase: 'idle' } })
  expect(kernel.status.savepoint.worker?.pid).not.toBe(before)
  expect(kernel.status.savepoint.worker?.generation).toBe(2)
  await gone(before)
  const told = ann.heard.slice(from).map(({ type, content }) => content['execution_state'] ?? type)
  expect(told).toEqual(['busy', 'shutdown_reply', 'idle', 'restarted', 'starting', 'busy', 'idle'])
  expect(await ann.run('x')).toMatchObject({ status: 'error', ename: 'NameError', execution_count: 1 })
  await kernel.shutdown()
}, 60_000)

test('what is sent while a kernel restarts runs in the next process', async () => {
  const kernel = await stage.kernels.start(requestFor())
  const ann = new Listener(kernel)
  const restarted = kernel.restart()
  expect(kernel.status.execution_state).toBe('restarting')
  expect(await ann.run('1 + 1')).toMatchObject({ status: 'ok', execution_count: 1 })
  await restarted
  await kernel.shutdown()
}, 60_000)

test('a cell that waits can be taken back, also while its kernel restarts', async () => {
  const kernel = await stage.kernels.start(requestFor())
  const ann = new Listener(kernel, 'ann', { withdraws: true })
  const first = ann.send('execute_request', { code: 'input()', allow_stdin: true })
  const { content } = await ann.next(({ type }) => type === 'input_request')
  expect(content).toMatchObject({ prompt: '' })
  const second = ann.send('execute_request', { code: 'x = 1' })
  ann.attachment.withdraw(second)
  expect(await ann.replyTo(second)).toMatchObject({ status: 'aborted' })
  ann.attachment.withdraw(first)
  const restarted = kernel.restart()
  const third = ann.send('execute_request', { code: 'x = 2' })
  ann.attachment.withdraw(third)
  expect(await ann.replyTo(third)).toMatchObject({ status: 'aborted' })
  await restarted
  expect(await ann.run("print('x' in globals())")).toMatchObject({ status: 'ok', execution_count: 1 })
  expect(ann.text).toBe('False\n')
  await kernel.shutdown()
}, 60_000)

test('a worker that dies is replaced: the cell is told, and the model tells of it', async () => {
  const kernel = await stage.kernels.start(requestFor())
  const ann = new Listener(kernel)
  expect(await ann.run('import os; os.kill(os.getpid(), 9)')).toMatchObject({ ename: 'WorkerDied' })
  expect(kernel.status.savepoint.last_death).toMatchObject({
    signal: 'SIGKILL',
    exit_code: null,
    reason: expect.stringMatching(/^It was ended by SIGKILL \(somebody/),
  })
  expect(await ann.run('1')).toMatchObject({ status: 'ok', execution_count: 2 })
  await kernel.shutdown()
}, 60_000)

test('a worker that dies at rest is replaced, and clients are told as of a restart', async () => {
  const kernel = await stage.kernels.start(requestFor())
  const ann = new Listener(kernel)
  const last = ann.send('execute_request', { code: 'exit()' })
  const isIdle = ({ content }: Heard): boolean => content['execution_state'] === 'idle'
  await ann.next((heard) => heard.parent === last && isIdle(heard))
  await ann.next(({ content }) => content['execution_state'] === 'restarting')
  await ann.next((heard) => heard.parent !== last && isIdle(heard))
  expect(ann.states).toEqual(['busy', 'idle', 'restarting', 'busy', 'idle'])
  expect(kernel.status).toMatchObject({ execution_state: 'idle', savepoint: { last_death: { exit_code: 0 } } })
  expect(kernel.status.savepoint.last_death).toHaveProperty('reason', 'It ended by itself with exit code 0.')
  expect(await ann.run('1')).toMatchObject({ status: 'ok', execution_count: 2 })
  await kernel.shutdown()
}, 60_000)

test('a client may ask its kernel for an end or for a new process', async () => {
  const kernel = await stage.kernels.start(requestFor())
  const ann = new Listener(kernel)
  expect(await ann.replyTo(ann.send('shutdown_request', { restart: true }, 'control'))).toMatchObject({ restart: true })
  await ann.next(({ type }) => type === 'restarted')
  expect(await ann.run('1')).toMatchObject({ execution_count: 1 })
  ann.send('shutdown_request', { restart: false }, 'control')
  await ann.next(({ type }) => type === 'ended')
  expect(stage.kernels.find(kernel.id)).toBeUndefined()
}, 60_000)

test('transactions and checkpoints can be asked for without a comm, between the cells of clients', async () => {
  const kernel = await stage.kernels.start(requestFor())
  const ann = new Listener(kernel)
  const wishes = { by: 'rest', waitMs: 20_000 }
  await ann.run('x = 1')
  await kernel.op('savepoint.transaction', { op: 'begin' }, wishes)
  expect(kernel.status.savepoint.transactions).toBe(1)
  const cell = ann.run('x = 2')
  const { result } = await kernel.op('savepoint.transaction', { op: 'rollback' }, wishes)
  expect(result).toMatchObject({ state: 'rolled_back' })
  await cell
  await ann.run('print(x)')
  expect(ann.text).toBe('1\n')
  const made = await kernel.op('savepoint.checkpoint', { op: 'create', name: 'by-rest' }, wishes)
  expect(made.result).toMatchObject({ name: 'by-rest', state: 'stored', kernel_id: kernel.id })
  await expect(kernel.op('savepoint.transaction', { op: 'commit' }, wishes)).rejects.toMatchObject({
    code: 'no_transaction',
  })
  ann.send('execute_request', { code: 'import time; time.sleep(600)' })
  await expect(kernel.op('savepoint.transaction', { op: 'begin' }, { by: '', waitMs: 1 })).rejects.toMatchObject({
    code: 'kernel_busy',
  })
  const unanswered = kernel.op('savepoint.transaction', { op: 'begin' }, wishes)
  const restarted = kernel.restart()
  await expect(unanswered).rejects.toMatchObject({ code: 'kernel_restarting' })
  await restarted
  await kernel.shutdown()
}, 60_000)

test('a kernel is told its environment and its folder', async () => {
  const environment = { KERNEL_USERNAME: 'ann', KERNEL_WORKING_DIR: '/usr', LD_PRELOAD: '/nothing' }
  const kernel = await stage.kernels.start(requestFor({ environment }))
  const ann = new Listener(kernel)
  await ann.run(`import os
print(os.getcwd(), os.environ['KERNEL_USERNAME'], os.environ['KERNEL_ID'], os.environ.get('LD_PRELOAD'))`)
  expect(ann.text).toBe(`/usr ann ${kernel.id} None\n`)
  await kernel.shutdown()
}, 60_000)

test('the cells of many kernels run at the same time', async () => {
  const kernels = await Promise.all(Array.from({ length: 6 }, () => stage.kernels.start(requestFor())))
  const clients = kernels.map((kernel) => new Listener(kernel))
  // Each waits for all others: one after another, they would never end.
  const code = `import glob, os, time
open('ready-' + os.environ['KERNEL_ID'], 'w').close()
while len(glob.glob('ready-*')) < ${clients.length}:
    time.sleep(0.01)`
  const replies = await Promise.all(clients.map((client) => client.run(code)))
  expect(replies.map(({ status }) => status)).toEqual(clients.map(() => 'ok'))
  await Promise.all(kernels.map((kernel) => kernel.shutdown()))
}, 60_000)

test('a cell that will not be interrupted does not keep its kernel from ending', async () => {
  const kernel = await stage.kernels.start(requestFor())
  const ann = new Listener(kernel)
  ann.send('execute_request', {
    code: `import os, signal, time
for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, signal.SIG_IGN)
print("on", flush=True)
while True:
    try:
        time.sleep(600)
    except BaseException:
        pass`,
  })
  await ann.next(({ type }) => type === 'stream')
  const pid = kernel.status.savepoint.worker?.pid
  await kernel.shutdown()
  await gone(pid)
  expect(stage.kernels.find(kernel.id)).toBeUndefined()
}, 60_000)

test('a kernel whose Python side is killed altogether gets another one', async () => {
  const kernel = await stage.kernels.start(requestFor())
  const ann = new Listener(kernel)
  await ann.run('import os; print(os.getppid())')
  process.kill(Number(ann.text), 'SIGKILL')
  await ann.next(({ type }) => type === 'restarted')
  expect(await ann.run('1')).toMatchObject({ status: 'ok', execution_count: 1 })
  expect(ann.states).toContain('restarting')
  expect(kernel.status.savepoint.last_death).toHaveProperty('reason', expect.stringMatching(/its zygote, is gone\.$/))
  await kernel.shutdown()
}, 60_000)

/** Resolves when there is no such process any more. */
async function gone(pid: number | undefined): Promise<void> {
  const deadline = Date.now() + 20_000
  while (existsSync(`/proc/${pid}`) && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  expect(existsSync(`/proc/${pid}`)).toBe(false)
}
