/**
 * `node link_probe.mjs PYTHON [CELLS]`: what a cell costs without a client, from Node over the link to a worker and back.
 *
 * Drives the worker of this checkout's build with the frames that a kernel sends, and prints the samples as JSON, in
 * seconds: `execute` (`x=1`, to its reply), `first_output` (`print('x')`, to its first output), `first_output_reply`.
 */

import { randomBytes } from 'node:crypto'
import { systemClock } from '../../dist/clock.js'
import { config, places } from '../../dist/config.js'
import { makeRuntimeDir, runtimeRoot } from '../../dist/worker/runtime-dir.js'
import { OwnZygote } from '../../dist/worker/own-zygote.js'
import { Workers } from '../../dist/worker/workers.js'

const [python, cells = '100'] = process.argv.slice(2)
const dir = makeRuntimeDir(runtimeRoot())
/** What the worker says next is given to whoever waits for it. */
let hear = () => {}
const nextOf = (kind) =>
  new Promise((resolve) => {
    const before = hear
    hear = (event) => (event.kind === kind ? resolve(performance.now()) : before(event))
  })

/** `Promise.withResolvers`, which Node 20 does not have. */
function deferred() {
  let resolve, reject
  const promise = new Promise((...both) => ([resolve, reject] = both))
  return { promise, resolve, reject }
}

const token = randomBytes(16).toString('hex')
const stopped = deferred()
const up = deferred()
const log = (level, event, fields) => process.stderr.write(`${level} ${event} ${JSON.stringify(fields ?? {})}\n`)
const backing = new OwnZygote({
  kernel: `k${process.pid}`,
  dir,
  python,
  starter: places.starter,
  stack: null,
  kernelArguments: [],
  environment: { ...process.env, PYTHONPATH: places.python },
  rendezvous: null,
  lingerS: 0,
  token: randomBytes(16).toString('hex'),
  early: null,
  clock: systemClock,
  log,
  limits: config.workers,
})
const workers = new Workers(
  { cwd: null, workerEnvironment: {}, clock: systemClock, log, limits: config.workers },
  backing,
  {
    zygoteReady: () => workers.fork(token, 1),
    zygoteDied: () => up.reject(new Error('The zygote has died.')),
    workerUp: () => up.resolve(),
    workerSaid: (_generation, event) => hear(event),
    workerDied: () => {},
    workerFailed: (_token, reason) => up.reject(new Error(reason)),
    writerSaid: () => {},
    snapshotGone: () => {},
    output: () => {},
    stopped: () => stopped.resolve(),
  },
)

let seq = 0
const header = (type) =>
  Buffer.from(
    JSON.stringify({
      msg_id: `probe_${seq}`,
      msg_type: type,
      session: 'probe',
      username: 'probe',
      date: '2026-01-01T00:00:00.000000Z',
      version: '5.4',
    }),
  )

function send(type, content) {
  seq += 1
  const envelope = { kind: 'request', seq, type, ...(type === 'execute_request' ? { execution_count: seq } : {}) }
  workers.command(envelope, [header(type), Buffer.from('{}'), Buffer.from(JSON.stringify(content))])
}

const cell = (code) => ({
  code,
  silent: false,
  store_history: true,
  user_expressions: {},
  allow_stdin: false,
  stop_on_error: true,
})

async function sample(code, kind) {
  const output = kind === 'reply' ? null : nextOf(kind)
  const reply = nextOf('reply')
  const begun = performance.now()
  send('execute_request', cell(code))
  const seconds = { output: output === null ? 0 : ((await output) - begun) / 1e3, reply: ((await reply) - begun) / 1e3 }
  hear = () => {}
  return seconds
}

// Nothing of the workers' keeps Node alive by itself; it also bounds the whole.
const deadline = setTimeout(() => up.reject(new Error('It took too long.')), 120_000)
try {
  await workers.start()
  await up.promise
  workers.command({ kind: 'welcome', generation: 1, session: 'probe', execution_count: 1, woken: null }, [])
  for (let i = 0; i < 50; i += 1) await sample('x=1', 'reply')
  const samples = { execute: [], first_output: [], first_output_reply: [] }
  for (let i = 0; i < Number(cells); i += 1) {
    samples.execute.push((await sample('x=1', 'reply')).reply)
    const { output, reply } = await sample("print('x')", 'stream')
    samples.first_output.push(output)
    samples.first_output_reply.push(reply)
    // A print that follows another within milliseconds is gathered with it; somebody who types is slower.
    await new Promise((resolve) => setTimeout(resolve, 6))
  }
  process.stdout.write(`${JSON.stringify(samples)}\n`)
  workers.stop(false)
  await stopped.promise
} finally {
  clearTimeout(deadline)
  workers.abandon()
  dir.remove()
}
