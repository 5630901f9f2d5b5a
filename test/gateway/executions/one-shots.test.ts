import { Executions } from '../../../src/gateway/executions/executions.js'
import { executionLimits, type ExecutionLimits } from '../../../src/gateway/executions/limits.js'
import { OneShots, type OneShot } from '../../../src/gateway/executions/one-shots.js'
import { silentLog } from '../../../src/log.js'
import { FakeClock } from '../../fakes/clock.js'
import { FakeGatewayKernels, type FakeGatewayKernel, type Received } from '../../fakes/gateway-kernels.js'
import { parsed } from '../../support/messages.js'

/** Code is run at once, and prints itself; `wait` never ends by itself. */
function obey(kernel: FakeGatewayKernel, received: Received): void {
  const code = received.content['code']
  if (received.type === 'execute_request') {
    if (code === 'wait') kernel.begin(received)
    else kernel.run(received, String(code))
  } else if (received.type === 'interrupt_request') {
    const error = { status: 'error', ename: 'KeyboardInterrupt', evalue: '', traceback: [] }
    kernel.end(kernel.last('execute_request'), error)
  }
}

function setUp(limits: Partial<ExecutionLimits> = {}) {
  const clock = new FakeClock()
  const kernels = new FakeGatewayKernels()
  kernels.behave = obey
  const all = { ...executionLimits, ...limits }
  let minted = 0
  const executions = new Executions({
    clock,
    log: silentLog,
    limits: all,
    mint: () => String((minted += 1)),
    exists: () => true,
  })
  const faults: unknown[] = []
  const oneShots = new OneShots({ kernels, executions, clock, limits: all, onFault: (error) => faults.push(error) })
  const run = (code: string, more: Partial<OneShot> = {}, key: string | null = null) =>
    oneShots.run({
      kernelName: 'python3',
      owner: 'ann',
      affinity: null,
      signal: new AbortController().signal,
      run: { code, idempotencyKey: key, allowStdin: false, storeHistory: true, wishes: {}, warnings: [] },
      ...more,
    })
  return { clock, kernels, executions, oneShots, run, faults }
}

describe('a run of code in a kernel of its own', () => {
  test('has its kernel ended after it', async () => {
    const { kernels, run } = setUp()
    expect(await run('x')).toMatchObject({ status: 'ok', stdout: 'x', kernel_id: 'kernel-1' })
    expect(kernels.requests).toMatchObject([{ name: 'python3', owner: 'ann', affinity: null }])
    expect(kernels.list()).toEqual([])
  })

  test('has a deadline', async () => {
    const { kernels, run, clock } = setUp({ executeTimeoutS: 60, executeGraceMs: 1_000 })
    kernels.behave = (kernel, received) => received.type === 'execute_request' && kernel.begin(received)
    const running = run('wait')
    const refused = expect(running).rejects.toMatchObject({ code: 'timeout' })
    await Promise.resolve()
    expect(parsed(kernels.one().last('execute_request').message.metadataBytes)).toEqual({
      savepoint: { timeout_s: 60 },
    })
    clock.advance(61_000)
    await refused
    expect(kernels.list()).toEqual([])
  })

  test('that nobody waits for any more is interrupted', async () => {
    const { kernels, run } = setUp()
    const hungUp = new AbortController()
    const running = run('wait', { signal: hungUp.signal })
    await Promise.resolve()
    hungUp.abort()
    expect(await running).toMatchObject({ status: 'cancelled' })
    expect(kernels.list()).toEqual([])
  })

  test('says why there is no kernel for it', async () => {
    const { kernels, run } = setUp()
    kernels.broken = new Error('full')
    await expect(run('x')).rejects.toThrow('full')
    await expect(run('x', { affinity: 's' })).rejects.toThrow('full')
    kernels.broken = null
    expect(await run('x', { affinity: 's' })).toMatchObject({ status: 'ok' })
  })

  test('says so to those who ask twice, and to nobody else', async () => {
    const { kernels, run } = setUp()
    const unhandled: unknown[] = []
    const onUnhandled = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', onUnhandled)
    kernels.broken = new Error('full')
    await expect(run('x', {}, 'once')).rejects.toThrow('full')
    const both = [run('x', {}, 'twice'), run('x', {}, 'twice')]
    for (const each of both) await expect(each).rejects.toThrow('full')
    kernels.broken = null
    expect(await run('x', {}, 'once')).toMatchObject({ status: 'ok' })
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', onUnhandled)
    expect(unhandled).toEqual([])
  })

  test('asked for twice with one key is run once, also at the same time', async () => {
    const { kernels, run } = setUp()
    const [one, two] = await Promise.all([run('x', {}, 'k'), run('x', {}, 'k')])
    expect(two).toEqual(one)
    expect(await run('x', {}, 'k')).toEqual(one)
    expect(kernels.requests).toHaveLength(1)
    await expect(run('y', {}, 'k')).rejects.toMatchObject({ code: 'already_exists' })
    expect(await run('y', { owner: 'bob' }, 'k')).toMatchObject({ stdout: 'y' })
    const elsewhere = run('x', { affinity: 's' }, 'k')
    await expect(elsewhere).rejects.toMatchObject({ code: 'already_exists' })
  })

  test('answers that are kept for a key are bounded', async () => {
    const { kernels, run } = setUp({ answersKeptMax: 2 })
    for (const key of ['a', 'b', 'c']) await run('x', {}, key)
    await run('x', {}, 'c')
    expect(kernels.requests).toHaveLength(3)
    await run('x', {}, 'a')
    expect(kernels.requests).toHaveLength(4)
  })
})

describe('runs of one session', () => {
  test('share a kernel, which is kept for a while', async () => {
    const { clock, kernels, run } = setUp({ sessionIdleS: 10 })
    const first = await run('x', { affinity: 's' })
    clock.advance(9_999)
    expect(await run('y', { affinity: 's' })).toMatchObject({ kernel_id: first['kernel_id'] })
    clock.advance(9_999)
    expect(kernels.list()).toHaveLength(1)
    clock.advance(1)
    await new Promise(setImmediate)
    expect(kernels.list()).toEqual([])
    expect(await run('z', { affinity: 's' })).toMatchObject({ kernel_id: 'kernel-2' })
  })

  test('that begin at the same time share it as well', async () => {
    const { kernels, run } = setUp()
    await Promise.all([run('x', { affinity: 's' }), run('y', { affinity: 's' })])
    expect(kernels.requests).toHaveLength(1)
  })

  test('of others, or with another kernelspec, do not', async () => {
    const { kernels, run } = setUp()
    await run('x', { affinity: 's' })
    await run('x', { affinity: 's', owner: 'bob' })
    await run('x', { affinity: 's', kernelName: 'other' })
    expect(kernels.list()).toHaveLength(3)
  })

  test('get a new one when theirs is gone or dead', async () => {
    const { kernels, run } = setUp()
    await run('x', { affinity: 's' })
    await kernels.one().shutdown()
    expect(await run('x', { affinity: 's' })).toMatchObject({ kernel_id: 'kernel-2' })
    kernels.one().executionState = 'dead'
    expect(await run('x', { affinity: 's' })).toMatchObject({ kernel_id: 'kernel-3' })
    expect(kernels.list().map(({ id }) => id)).toEqual(['kernel-3'])
  })

  test('are only so many: the one that was not used for the longest time makes room', async () => {
    const { kernels, run } = setUp({ sessionsMax: 2 })
    for (const affinity of ['a', 'b']) await run('x', { affinity })
    await run('x', { affinity: 'a' })
    await run('x', { affinity: 'c' })
    await new Promise(setImmediate)
    expect(kernels.list().map(({ id }) => id)).toEqual(['kernel-1', 'kernel-3'])
  })

  test('that are all at work leave no room', async () => {
    const { kernels, run } = setUp({ sessionsMax: 1 })
    const running = run('wait', { affinity: 'a' })
    await Promise.resolve()
    await expect(run('x', { affinity: 'b' })).rejects.toMatchObject({ code: 'quota_exceeded' })
    await kernels.one().shutdown()
    await running
  })

  test('have their kernels ended with the gateway', async () => {
    const { kernels, run, oneShots, clock } = setUp()
    await run('x', { affinity: 'a' })
    await oneShots.close()
    expect(kernels.list()).toEqual([])
    expect(clock.pending).toBe(0)
  })
})
