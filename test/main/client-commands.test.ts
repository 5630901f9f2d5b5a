/** The commands that speak to a gateway, as programs, with a gateway whose kernels do what the test says. */

import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/clock.js'
import { packageRoot } from '../../src/config.js'
import { createRuns, type RunsOfGateway } from '../../src/gateway/executions/runs.js'
import { forkRoutes } from '../../src/gateway/state/forks.js'
import { silentLog } from '../../src/log.js'
import { recordPath, writeRecord } from '../../src/main/gateway-record.js'
import { FakeGatewayKernel, FakeGatewayKernels, type Received } from '../fakes/gateway-kernels.js'
import { testGateway, TOKEN, type TestGateway } from '../support/gateway.js'

/** Programs are started, on a machine that may be busy. */
const SLOW = 60_000
const PROGRAM = join(packageRoot, 'build', 'src', 'main.js')

let dataDir: string
let runtimeDir: string
let gateway: TestGateway<FakeGatewayKernels>
let runs: RunsOfGateway

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'savepoint-commands-'))
  runtimeDir = mkdtempSync(join(tmpdir(), 'savepoint-runtime-'))
  const kernels = new FakeGatewayKernels()
  runs = createRuns({ kernels, clock: systemClock, log: silentLog })
  gateway = await testGateway({ kernels, more: [runs.addRoutes, forkRoutes] })
})
beforeEach(() => {
  writeFileSync(join(dataDir, 'token'), `${TOKEN}\n`)
  writeRecord(dataDir, { url: gateway.url, release: '1.2.3', startedAt: new Date(0) })
})
afterEach(async () => {
  for (const kernel of gateway.kernels.list()) await kernel.shutdown()
})
afterAll(async () => {
  await runs.close()
  await gateway.close()
  for (const folder of [dataDir, runtimeDir]) rmSync(folder, { recursive: true })
})

interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Running {
  readonly pid: number
  readonly outcome: Promise<Outcome>
  write(text: string): void
}

function begin(...args: string[]): Running {
  const env = { ...process.env, SAVEPOINT_DATA_DIR: dataDir, XDG_RUNTIME_DIR: runtimeDir, SAVEPOINT_TOKEN: undefined }
  const child = spawn(process.execPath, [PROGRAM, ...args], { env, timeout: 60_000 })
  const text = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (text.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (text.stderr += chunk.toString()))
  const outcome = new Promise<Outcome>((resolve) => child.on('close', (code) => resolve({ code, ...text })))
  return { pid: child.pid ?? 0, outcome, write: (line) => void child.stdin.write(line) }
}

const run = (...args: string[]): Promise<Outcome> => begin(...args).outcome
const change = (values: object): void =>
  writeFileSync(
    recordPath(dataDir),
    JSON.stringify({ ...JSON.parse(readFileSync(recordPath(dataDir), 'utf8')), ...values }),
  )

describe('savepoint status', () => {
  test(
    'finds the gateway of the data folder',
    async () => {
      const { code, stdout } = await run('status', '--json')
      expect(code).toBe(0)
      expect(JSON.parse(stdout)).toEqual({
        mode: 'pool',
        url: gateway.url,
        pid: process.pid,
        version: '1.2.3',
        started_at: '1970-01-01T00:00:00.000Z',
        kernels: 0,
        single_pids: [],
        notes: [],
        findings: [expect.objectContaining({ name: 'release', level: 'warning' })],
      })
    },
    SLOW,
  )

  test(
    'tells a gateway that was killed from one that runs',
    async () => {
      change({ pid_started: '1' })
      const { code, stdout } = await run('status')
      expect(code).toBe(3)
      expect(stdout).toMatch(/is stale: it was killed[\s\S]*Nothing runs/)
    },
    SLOW,
  )

  test(
    'says that a gateway does not answer',
    async () => {
      change({ url: 'http://127.0.0.1:1' })
      const { code, stdout } = await run('status')
      expect([code, stdout]).toEqual([3, expect.stringContaining('does not answer')])
    },
    SLOW,
  )

  test(
    'needs no token, and says that it could not count',
    async () => {
      rmSync(join(dataDir, 'token'))
      const { code, stdout } = await run('status', '--json')
      expect([code, JSON.parse(stdout)]).toEqual([
        0,
        expect.objectContaining({ mode: 'pool', kernels: null, notes: [expect.stringContaining('SAVEPOINT_TOKEN')] }),
      ])
      expect(JSON.parse((await run('status', '--json', '--token', TOKEN)).stdout)).toMatchObject({ kernels: 0 })
    },
    SLOW,
  )

  test(
    'finds kernels without a gateway, which use this data folder',
    async () => {
      rmSync(recordPath(dataDir))
      const folder = join(runtimeDir, `savepoint-${userInfo().uid}`, `k${process.pid}`)
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      writeFileSync(join(folder, 'data-dir'), dataDir)
      const { code, stdout } = await run('status', '--json')
      expect([code, JSON.parse(stdout)]).toEqual([
        0,
        expect.objectContaining({ mode: 'single', single_pids: [process.pid] }),
      ])
      writeFileSync(join(folder, 'data-dir'), `${dataDir}-other`)
      expect((await run('status')).code).toBe(3)
      rmSync(folder, { recursive: true })
    },
    SLOW,
  )
})

describe('savepoint kernels', () => {
  test(
    'lists, shows and ends them, by the beginning of an id',
    async () => {
      gateway.kernels.add(new FakeGatewayKernel('abc-1', 'local'))
      gateway.kernels.add(new FakeGatewayKernel('abd-2', 'local'))
      const list = await run('kernels', 'list', '--json')
      expect(JSON.parse(list.stdout)).toMatchObject({ total_count: 2, items: [{ id: 'abc-1' }, { id: 'abd-2' }] })
      expect(JSON.parse((await run('kernels', 'show', 'abc')).stdout)).toMatchObject({ id: 'abc-1' })
      expect(await run('kernels', 'show', 'ab')).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('abc-1, abd-2'),
      })
      expect(await run('kernels', 'shutdown', 'abd')).toMatchObject({ code: 0, stdout: 'Ended abd-2.\n' })
      expect(gateway.kernels.list().map(({ id }) => id)).toEqual(['abc-1'])
      expect((await run('kernels', 'interrupt', 'zzz')).code).toBe(3)
    },
    SLOW,
  )

  test(
    'forks one, and says the ids of its forks',
    async () => {
      const source = new FakeGatewayKernel('abc-1', 'local')
      const models = ['f-1', 'f-2'].map((id) => ({ ...source.status, id, name: 'python3' }))
      const asked: unknown[] = []
      const op = async (_target: string, data: object): Promise<object> => {
        asked.push(data)
        return { result: { kernels: models }, warnings: [] }
      }
      gateway.kernels.add(Object.assign(source, { op }))
      expect(await run('kernels', 'fork', 'abc', '--count', '2')).toMatchObject({ code: 0, stdout: 'f-1\nf-2\n' })
      const told = JSON.parse((await run('kernels', 'fork', 'abc', '--json')).stdout) as object
      expect(told).toMatchObject({ total_count: 2, items: [{ id: 'f-1' }, { id: 'f-2' }] })
      expect(asked).toEqual([2, 1].map((count) => ({ op: 'fork', count })))
    },
    SLOW,
  )

  test(
    'starts one and says its id',
    async () => {
      const { code, stdout } = await run('kernels', 'start')
      expect([code, stdout.trim()]).toEqual([0, gateway.kernels.one().id])
    },
    SLOW,
  )

  test(
    'says what is wrong, with an exit code',
    async () => {
      expect((await run('kernels', 'list', '--token', 'wrong')).code).toBe(4)
      writeFileSync(join(dataDir, 'token'), 'of another gateway')
      for (const args of [
        ['kernels', 'list'],
        ['exec', '-c', '1'],
      ]) {
        const { code, stderr } = await run(...args)
        expect([code, stderr]).toEqual([4, expect.stringContaining('--token T, or in SAVEPOINT_TOKEN')])
      }
      expect((await run('kernels', 'list', '--url', 'http://127.0.0.1:1')).code).toBe(3)
      rmSync(recordPath(dataDir))
      expect(await run('kernels', 'list')).toMatchObject({
        code: 3,
        stderr: expect.stringContaining('No gateway is running'),
      })
      const wrong = [
        [],
        ['fly'],
        ['show'],
        ['list', 'x'],
        ['show', 'a', 'b'],
        ['show', '--odd'],
        ['fork'],
        ['fork', 'a', '--count', 'many'],
        ['show', 'a', '--count', '2'],
        ['list', '--url', 'x'],
      ]
      for (const { code } of await Promise.all(wrong.map((args) => run('kernels', ...args)))) expect(code).toBe(2)
    },
    SLOW,
  )
})

describe('savepoint exec', () => {
  /** Every kernel does this with each request to execute. */
  function behave(act: (kernel: FakeGatewayKernel, received: Received) => void): void {
    gateway.kernels.behave = (kernel, received) => {
      if (received.type === 'execute_request') act(kernel, received)
    }
  }

  test(
    'prints what the code prints, and ends the kernel that it started',
    async () => {
      behave((kernel, received) => {
        kernel.begin(received)
        kernel.publish('stream', { name: 'stdout', text: 'out\n' }, received)
        kernel.publish('stream', { name: 'stderr', text: 'err\n' }, received)
        kernel.publish('execute_result', { data: { 'text/plain': '3', 'text/html': '<b>' }, metadata: {} }, received)
        kernel.end(received)
      })
      expect(await run('exec', '-c', '-1 + 4')).toEqual({ code: 0, stdout: 'out\n3\n', stderr: 'err\n' })
      expect(gateway.kernels.list()).toEqual([])
    },
    SLOW,
  )

  test(
    'passes code, policy and deadline on, and the whole execution back',
    async () => {
      const seen: Received[] = []
      behave((kernel, received) => {
        seen.push(received)
        kernel.run(received, 'hi')
      })
      const file = join(dataDir, 'code.py')
      writeFileSync(file, 'code()')
      const { code, stdout } = await run('exec', file, '--policy', 'dry_run', '--timeout', '5', '--json')
      expect([code, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ status: 'ok', stdout: 'hi' })])
      expect(seen[0]?.content['code']).toBe('code()')
      expect(JSON.parse(String(seen[0]?.message.metadataBytes))).toEqual({
        savepoint: { transaction: 'dry_run', timeout_s: 5 },
      })
    },
    SLOW,
  )

  test(
    'shows the traceback of code that failed, and ends with 1',
    async () => {
      behave((kernel, received) => {
        const error = { ename: 'E', evalue: 'no', traceback: ['\u001b[31mtrace\u001b[0m', 'back'] }
        kernel.begin(received)
        kernel.publish('error', error, received)
        kernel.end(received, { status: 'error', ...error })
      })
      expect(await run('exec', '-c', '1/0')).toEqual({ code: 1, stdout: '', stderr: 'trace\nback\n' })
    },
    SLOW,
  )

  test(
    'ends with 5 when the deadline has passed',
    async () => {
      behave((kernel, received) => {
        const error = { ename: 'KeyboardInterrupt', evalue: '', traceback: [] }
        kernel.begin(received)
        kernel.publish('error', error, received)
        const warnings = ['The cell was interrupted at its deadline of 0.5 s.']
        kernel.end(received, { status: 'error', ...error }, { savepoint: { warnings } })
      })
      const { code, stderr } = await run('exec', '-c', 'loop()', '--timeout', '0.5')
      expect([code, stderr]).toEqual([5, expect.stringContaining('at its deadline of 0.5 s')])
      expect((await run('exec', '-c', 'loop()', '--timeout', '9')).code).toBe(1)
    },
    SLOW,
  )

  test(
    'answers input() with the lines that it gets, and with their end',
    async () => {
      behave((kernel, received) => {
        kernel.begin(received)
        kernel.ask(received, 'a? ')
        const answers: unknown[] = []
        const { onMessage } = kernel
        kernel.onMessage = (next) => {
          if (next.type !== 'input_reply') return onMessage?.(next)
          answers.push(next.content['value'])
          if (answers.length < 3) return kernel.ask(received, 'more? ')
          kernel.publish('stream', { name: 'stdout', text: JSON.stringify(answers) }, received)
          kernel.end(received)
        }
      })
      const running = begin('exec', '-c', 'input()')
      running.write('one\ntwo\n')
      // The third question gets no line: the input ends with it.
      running.write('\u0004\n')
      const { code, stdout } = await running.outcome
      expect([code, stdout]).toEqual([0, 'a? more? more? ["one","two","\\u0004"]'])
    },
    SLOW,
  )

  test(
    'interrupts the code at Ctrl-C',
    async () => {
      let begun: () => void = () => {}
      const started = new Promise<void>((resolve) => (begun = resolve))
      gateway.kernels.behave = (kernel, received) => {
        if (received.type === 'execute_request') {
          kernel.begin(received)
          begun()
        } else if (received.type === 'interrupt_request') {
          kernel.end(kernel.last('execute_request'), { status: 'error', ename: 'KeyboardInterrupt', evalue: '' })
        }
      }
      const running = begin('exec', '-c', 'loop()')
      await started
      process.kill(running.pid, 'SIGINT')
      expect((await running.outcome).code).toBe(130)
      expect(gateway.kernels.list()).toEqual([])
    },
    SLOW,
  )

  test(
    'says what is wrong, with an exit code',
    async () => {
      const wrong = [[], ['-c'], ['-c', 'x', 'file'], ['a', 'b'], ['-c', 'x', '--timeout', '0'], ['--odd']]
      for (const { code } of await Promise.all(wrong.map((args) => run('exec', ...args)))) expect(code).toBe(2)
      expect((await run('exec', join(dataDir, 'none.py'))).code).toBe(3)
      expect((await run('exec', '-c', 'x', '--kernel', 'zzz')).code).toBe(3)
    },
    SLOW,
  )
})

describe('savepoint console', () => {
  test(
    'says that there is no such kernel',
    async () => {
      expect((await run('console', 'zzz')).code).toBe(3)
    },
    SLOW,
  )
})
