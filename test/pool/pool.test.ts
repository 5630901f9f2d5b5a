import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { systemClock } from '../../src/clock.js'
import { packageRoot } from '../../src/config.js'
import { startTestPool, until, waitForPoolReady, type TestPool } from '../support/pool.js'

let stage: TestPool
afterEach(async () => stage.close())

const removed = (reason: string): number => stage.pool.status().removed[reason] ?? 0
const ready = (): number[] =>
  stage.pool.status().items.flatMap(({ state, pid }) => (state === 'ready' && pid !== null ? [pid] : []))

describe('kernels of one zygote', () => {
  test('have workers of their own, with their environment, folder and connection file', async () => {
    stage = await startTestPool()
    const one = await stage.kernel({ environment: { KERNEL_NAME: 'one' } }).start()
    const two = await stage.kernel({ environment: { KERNEL_NAME: 'two' }, cwd: '/' }).start()
    expect(await one.run('import os; x = 1; print(os.environ["KERNEL_NAME"], os.getcwd())')).toBe(`one ${stage.folder}`)
    expect(await two.run('import os; print(os.environ["KERNEL_NAME"], os.getcwd(), "x" in dir())')).toBe('two / False')
    expect(await two.run('print(get_ipython().kernel.parent.connection_file)')).toBe(`${stage.folder}/kernel-k2.json`)
    expect(await one.run('os.system("echo child")')).toBe('child')
    const parents = await Promise.all([one, two].map(async (each) => await each.run('print(os.getppid())')))
    expect(parents[0]).toBe(parents[1])
    await one.run(
      'from savepoint_worker import birth, worker; os.makedirs(birth.undo_folder(worker.Worker.current().spec.stdout) + "/1"); print()',
    )
    const files = (): string[] => readdirSync(stage.folder).filter((name) => /\.(out|err|int|undo)$/.test(name))
    expect(files().filter((name) => name.endsWith('.undo'))).toHaveLength(1)
    await Promise.all([one.stop(), two.stop()])
    expect(stage.pool.status().total_count).toBe(0)
    await until(() => files().length === 0, 'its pipes are removed, and the copies that a transaction kept')
  })

  test('end alone, with what they left behind, also a child that asked not to be ended', async () => {
    stage = await startTestPool()
    const one = await stage.kernel().start()
    const two = await stage.kernel().start()
    const start =
      'import subprocess; p = subprocess.Popen(["sh", "-c", "trap : TERM; while :; do sleep 1; done"]); print(p.pid)'
    const [child, other] = [Number(await one.run(start)), Number(await two.run(start))]
    process.kill(one.pid, 'SIGKILL')
    await one.until(({ on }) => on === 'worker_died')
    await one.stop()
    await until(() => !isAlive(child), 'the child of the kernel that ended is gone')
    expect([isAlive(other), await two.run('print(p.poll())')]).toEqual([true, 'None'])
    await two.stop()
  })

  test('run at the same time', async () => {
    stage = await startTestPool()
    const kernels = await Promise.all(Array.from({ length: 8 }, async () => await stage.kernel().start()))
    // Each waits for all others: one after another, they would never end.
    const code = `import glob, os, time
open(f'ready-{os.getpid()}', 'w').close()
while len(glob.glob('ready-*')) < ${kernels.length}:
    time.sleep(0.01)`
    const replies = await Promise.all(kernels.map(async (each) => await each.replyTo(each.send(code))))
    expect(replies.map(({ status }) => status)).toEqual(kernels.map(() => 'ok'))
  })

  test('interrupt only their own cell', async () => {
    stage = await startTestPool()
    const [one, two] = await Promise.all([stage.kernel().start(), stage.kernel().start()])
    const seq = one.send('import time; print("at it", flush=True); time.sleep(600)')
    // It goes on for a moment after it may end: an interrupt that hits it, too, may come a little later.
    const other = two.send(`import os, time; print("at it", flush=True)
while not os.path.exists('may-end'): time.sleep(0.01)
time.sleep(0.5)`)
    await Promise.all([one, two].map(async (each) => await until(() => each.output.includes('at it'), 'the cell runs')))
    one.workers.interrupt(one.pid, seq)
    const interrupted = await one.replyTo(seq)
    writeFileSync(join(stage.folder, 'may-end'), '')
    const replies = [interrupted, await two.replyTo(other)]
    expect(replies.map(({ status, ename }) => [status, ename])).toEqual([
      ['error', 'KeyboardInterrupt'],
      ['ok', undefined],
    ])
  })

  test('are forked: the copy has a place of its own below the same zygote, and outlives the other kernel', async () => {
    stage = await startTestPool()
    const source = await stage.kernel({ environment: { KERNEL_ID: 'k1' } }).start()
    await source.run('import os; x = 1')
    await source.freeze('copy')
    const needs = { environment: { KERNEL_ID: 'k2' } }
    const fork = await stage.kernel(needs, source.workers.place ?? '').become('copy')
    expect(fork.workers.place).not.toBe(source.workers.place)
    expect(await fork.run('print(x, os.environ["KERNEL_ID"]); os.system("echo child")')).toBe('1 k2\nchild')
    expect(stage.pool.status().items.map(({ kernel_id, pid }) => [kernel_id, pid])).toEqual([
      ['k1', source.pid],
      ['k2', fork.pid],
    ])
    await source.stop()
    expect(await fork.run('print(x)')).toBe('1')
    expect(stage.pool.status().zygotes.map(({ workers }) => workers)).toEqual([1])
    process.kill(fork.pid, 'SIGKILL')
    await fork.until(({ on }) => on === 'worker_died')
    await fork.fork()
    expect(await fork.run('print("x" in dir())')).toBe('False')
    await fork.stop()
    expect(stage.pool.status().total_count).toBe(0)
  })

  test('that were to be forked and have ended are told of at once', async () => {
    stage = await startTestPool()
    const source = await stage.kernel().start()
    const place = source.workers.place ?? ''
    await expect(stage.kernel({}, place).become('no such copy')).rejects.toThrow('snapshot_gone')
    await source.stop()
    await expect(stage.kernel({}, place).become('copy')).rejects.toMatchObject({ code: 'kernel_dead' })
  })

  test('of two tenants, or of environments that count at the start, have different zygotes', async () => {
    stage = await startTestPool()
    const us = await stage.kernel().start()
    const them = await stage.kernel({ tenant: 'them' }).start()
    const zoned = await stage.kernel({ environment: { TZ: 'Asia/Tokyo', KERNEL_X: '1' } }).start()
    const free = await stage.kernel({ environment: { COLOUR: 'blue' } }).start()
    const parent = 'import os, time; print(os.getppid(), time.tzname[0], os.environ.get("COLOUR"))'
    const told = (await Promise.all([us, them, zoned, free].map(async (each) => await each.run(parent)))).map((text) =>
      text.split(' '),
    )
    expect(new Set(told.map(([pid]) => pid)).size).toBe(3)
    expect([told[0]?.[0], told[2]?.[1], told[3]?.[2]]).toEqual([told[3]?.[0], 'JST', 'blue'])
  })
})

describe('ready workers', () => {
  test('are leased at once, replaced afterwards, and never given to anybody else', async () => {
    stage = await startTestPool({ size: 2 })
    await waitForPoolReady(stage)
    const before = ready()
    const kernel = await stage.kernel({ environment: { KERNEL_NAME: 'leased' } }).start()
    expect(before).toContain(kernel.pid)
    expect(await kernel.run('import os; print(os.environ["KERNEL_NAME"])')).toBe('leased')
    await until(() => ready().length === 2, 'there are two ready workers again')
    expect(ready()).not.toContain(kernel.pid)
    await kernel.stop()
    expect([isAlive(kernel.pid), stage.pool.status().leases]).toEqual([false, 1])
  })

  test('know nothing of the cells that the zygote has rehearsed with, and wake nobody but themselves', async () => {
    stage = await startTestPool({ size: 2 })
    await waitForPoolReady(stage)
    const kernels = await Promise.all([stage.kernel().start(), stage.kernel().start()])
    const code = [
      'import os, threading',
      'print(get_ipython().execution_count, In[1:], Out, [name for name in ("_", "_i") if globals().get(name)],',
      '      threading.active_count())',
      'print(os.fstat(get_ipython().kernel.worker.loop._csock.fileno()).st_ino)',
    ].join('\n')
    const told = (await Promise.all(kernels.map(async (each) => await each.run(code)))).map((text) => text.split('\n'))
    expect(told.map(([facts]) => facts)).toEqual(['1 [] {} [] 1', '1 [] {} [] 1'])
    expect(told[0]?.[1]).not.toBe(told[1]?.[1])
  })

  test('are enough for twenty kernels that start at once, whatever their number', async () => {
    stage = await startTestPool({ size: 2 })
    const kernels = await Promise.all(Array.from({ length: 20 }, async () => await stage.kernel().start()))
    expect(
      new Set(await Promise.all(kernels.map(async (each) => await each.run('import os; print(os.getpid())')))).size,
    ).toBe(20)
    await Promise.all(kernels.map(async (each) => await each.stop()))
    await waitForPoolReady(stage)
    expect(ready()).toHaveLength(2)
  })

  test('leave nothing to wait for once they are leased', async () => {
    const waits: number[] = []
    const after = (ms: number, callback: () => void): (() => void) => {
      waits.push(ms)
      const cancel = systemClock.after(ms, callback)
      return () => {
        waits.splice(waits.indexOf(ms), 1)
        cancel()
      }
    }
    stage = await startTestPool({ size: 1, clock: { ...systemClock, after }, limits: { waitMs: 77_777 } })
    await waitForPoolReady(stage)
    const kernel = await stage.kernel().start()
    expect(waits.filter((ms) => ms > 70_000)).toEqual([])
    await kernel.stop()
  })

  test('PL-9: one that works is leased', async () => {
    stage = await startTestPool({ size: 1 })
    await waitForPoolReady(stage)
    const lease = await stage.acquire()
    expect([lease.worker.fault(lease.request), lease.worker.pid]).toEqual([null, stage.pool.status().items[0]?.pid])
    lease.giveBack()
    lease.giveBack()
    await until(() => !isAlive(lease.worker.pid), 'an anonymous one ends when it is given back')
    expect(removed('given_back')).toBe(1)
  })

  test('PL-9: one whose connection is closed is removed, and another one is leased', async () => {
    stage = await startTestPool({ size: 2 })
    await waitForPoolReady(stage)
    const [first] = stage.processes()
    // Stopped, it cannot end with its connection.
    process.kill(first?.pid ?? 0, 'SIGSTOP')
    first?.attach({ onFrame: () => {}, onClose: () => {} }).close()
    await until(() => first?.fault('') === 'pipe_closed', 'the connection is closed')
    const lease = await stage.acquire()
    expect(lease.worker.pid).not.toBe(first?.pid)
    expect(removed('pipe_closed')).toBe(1)
    lease.discard('test')
    await until(() => ready().length === 2, 'it was replaced')
    expect(removed('test')).toBe(1)
  })

  test('PL-9: one that is dead is removed before anybody gets it', async () => {
    stage = await startTestPool({ size: 1 })
    await waitForPoolReady(stage)
    const [dead = 0] = ready()
    process.kill(dead, 'SIGKILL')
    await until(() => !ready().includes(dead), 'it is missed')
    const kernel = await stage.kernel().start()
    expect([kernel.pid !== dead, await kernel.run('print(1)')]).toEqual([true, '1'])
    expect(removed('target_dead') + removed('pipe_closed')).toBe(1)
  })

  test('PL-9: one that is owned by somebody else is not leased', async () => {
    stage = await startTestPool({ size: 2 })
    await waitForPoolReady(stage)
    const [first] = stage.processes()
    if (first) first.owner = 'somebody else'
    const lease = await stage.acquire()
    expect([lease.worker === first, removed('not_owned')]).toEqual([false, 1])
  })

  test('PL-9: one that dies during the connection is replaced, and the kernel notices nothing', async () => {
    stage = await startTestPool({ size: 2 })
    await waitForPoolReady(stage)
    const kernel = stage.kernel()
    await kernel.workers.start()
    const doomed = stage.pool.status().items.find(({ state }) => state === 'leased')?.pid ?? 0
    // Stopped, it looks alive but reads nothing; then it is gone with all that it was told.
    process.kill(doomed, 'SIGSTOP')
    await kernel.fork()
    const seq = kernel.send('print("served")')
    process.kill(doomed, 'SIGKILL')
    expect((await kernel.replyTo(seq)).status).toBe('ok')
    expect([kernel.output.includes('served'), kernel.pid === doomed, removed('died_during_connect')]).toEqual([
      true,
      false,
      1,
    ])
    expect(kernel.events.some(({ on }) => on === 'worker_died')).toBe(false)
  })

  test('end when somebody kills their zygote: kernels hear of it, and the next lease works', async () => {
    stage = await startTestPool({ size: 1 })
    await waitForPoolReady(stage)
    const kernel = await stage.kernel().start()
    process.kill(stage.pool.status().zygotes[0]?.pid ?? 0, 'SIGKILL')
    await kernel.until(({ on }) => on === 'zygote_died')
    const next = await stage.kernel().start()
    expect(await next.run('print("here")')).toBe('here')
    await waitForPoolReady(stage)
    expect(isAlive(kernel.pid)).toBe(false)
  })

  test('are renewed when something was installed where their zygote imports from', async () => {
    const site = join(process.env['TMPDIR'] ?? '/tmp', `savepoint-site-${process.pid}`)
    mkdirSync(site)
    try {
      stage = await startTestPool({ size: 1, searchPath: site })
      await waitForPoolReady(stage)
      const [old = 0] = ready()
      const kept = await stage.kernel().start()
      await waitForPoolReady(stage)
      writeFileSync(join(site, 'notes.txt'), 'what a cell writes into its folder installs nothing')
      await stage.acquire()
      expect(stage.pool.status().zygotes).toHaveLength(1)
      await waitForPoolReady(stage)
      mkdirSync(join(site, 'new_package-1.0.dist-info'))
      writeFileSync(join(site, 'new_package.py'), 'here = True')
      // The system tells of it in the next turn of the loop. Who installs is another process, which takes its time.
      await until(() => stage.pool.zygote(1)?.changedFolder() === site, 'it is noticed')
      const kernel = await stage.kernel().start()
      expect(await kernel.run('import new_package, os; print(new_package.here)')).toBe('True')
      expect(await kept.run('import os; print(os.getppid())')).not.toBe(await kernel.run('print(os.getppid())'))
      expect([kept.pid, removed('stale') > 0]).toEqual([old, true])
      const zygotes = stage.pool.status().zygotes
      expect(zygotes.map(({ state }) => state).toSorted()).toEqual(['ready', 'retired'])
      await kept.stop()
    } finally {
      rmSync(site, { recursive: true, force: true })
    }
  })

  test('have what was preloaded, and do without what could not be', async () => {
    stage = await startTestPool({ size: 1, preload: ['colorsys', 'no_such_module'] })
    await waitForPoolReady(stage)
    const kernel = await stage.kernel().start()
    expect(await kernel.run('import sys; print("colorsys" in sys.modules, "no_such_module" in sys.modules)')).toBe(
      'True False',
    )
    const [zygote] = stage.pool.status().zygotes
    expect(zygote?.preload_failed['no_such_module']).toContain('ModuleNotFoundError')
    expect(stage.logged.filter(({ event }) => event === 'preload_failed')).toHaveLength(1)
  })
})

describe('a gateway that is killed', () => {
  test('leaves no zygote, no worker, no child of a worker and nobody who waits', async () => {
    stage = await startTestPool()
    const gateway = spawn(process.execPath, [join(packageRoot, 'build', 'test', 'support', 'pool-process.js')])
    const [line] = (await once(createInterface(gateway.stdout), 'line')) as [string]
    const { pids, folder } = JSON.parse(line) as { pids: number[]; folder: string }
    const children = pids.flatMap(childrenOf)
    expect([pids.length, children.length > 0, pids.every(isAlive)]).toEqual([4, true, true])
    gateway.kill('SIGKILL')
    await until(() => ![...pids, ...children].some(isAlive), 'everything has ended')
    rmSync(dirname(folder), { recursive: true, force: true })
  })
})

describe('a pool that cannot start workers', () => {
  test('says why, after it has tried again', async () => {
    stage = await startTestPool()
    const failure = stage.kernel({ spec: 'broken' }).start()
    await expect(failure).rejects.toMatchObject({ code: 'internal', details: { reason: 'connect_exited' } })
    expect(stage.pool.status().failing).toEqual([{ kernelspec: 'broken', reason: 'connect_exited', breaker: 'closed' }])
    expect(existsSync(stage.folder)).toBe(true)
  })

  test('does not know every kernelspec', async () => {
    stage = await startTestPool()
    await expect(stage.kernel({ spec: 'nothing' }).start()).rejects.toMatchObject({ code: 'unknown_kernelspec' })
  })
})

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
}

/** A process that has ended but was not yet asked for its status does not live. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
