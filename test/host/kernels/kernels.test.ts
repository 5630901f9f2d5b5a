/** Life and number of a gateway's kernels, with workers that do as they are told. */

import { usableRecord, type KernelRecord } from '../../../src/host/kernels/kernel-record.js'
import { SavepointError } from '../../../src/errors.js'
import type { KernelRequest } from '../../../src/host/kernels/ports.js'
import { KERNEL_LIMITS, stage } from './fake-stage.js'
import { Listener, requestFor } from './listener.js'

const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i += 1) await Promise.resolve()
}

describe('the kernels of a gateway', () => {
  test('are there from the request on, with the name that was asked for, and need what was asked for', async () => {
    const { kernels, farm } = stage()
    farm.starts = false
    const started = kernels.start(
      requestFor({
        name: 'savepoint',
        environment: { KERNEL_USERNAME: 'u', LANG: 'C', LD_PRELOAD: 'x' },
        affinity: 's',
      }),
    )
    const [kernel] = kernels.list()
    expect(kernel?.status).toMatchObject({
      execution_state: 'starting',
      savepoint: { phase: 'starting', worker: null },
    })
    farm.latest.comesUp()
    expect(await started).toBe(kernel)
    expect(kernel?.name).toBe('savepoint')
    expect(farm.latest.needs).toEqual({
      kernelId: kernel?.id,
      spec: 'python3',
      tenant: 'ann',
      environment: { KERNEL_USERNAME: 'u', LANG: 'C', KERNEL_ID: kernel?.id },
      cwd: '/tmp',
      affinity: 's',
    })
    expect(kernel?.status).toMatchObject({
      execution_state: 'idle',
      savepoint: { phase: 'idle', worker: { pid: 101 } },
    })
  })

  test('have the ids that clients ask for, which are the same kernel for their owner and taken for others', async () => {
    const { kernels, farm } = stage()
    const kernelId = '0a0a0a0a-1111-2222-3333-444444444444'
    const kernel = await kernels.start(requestFor({ kernelId }))
    expect(kernel.id).toBe(kernelId)
    expect(await kernels.start(requestFor({ environment: { KERNEL_ID: kernelId } }))).toBe(kernel)
    expect(farm.made.length).toBe(1)
    await expect(kernels.start(requestFor({ kernelId, owner: 'bob' }))).rejects.toMatchObject({
      code: 'already_exists',
    })
    await expect(kernels.start(requestFor({ kernelId: '../x' }))).rejects.toMatchObject({ code: 'bad_request' })
    await expect(kernels.start(requestFor({ name: 'none' }))).rejects.toMatchObject({ code: 'unknown_kernelspec' })
  })

  test('of an id whose kernel is just ending follow it', async () => {
    const { kernels, farm, clock } = stage()
    const kernelId = '0a0a0a0a-1111-2222-3333-444444444444'
    const first = await kernels.start(requestFor({ kernelId }))
    farm.ends = false
    const ended = first.shutdown()
    const next = kernels.start(requestFor({ kernelId }))
    clock.advance(KERNEL_LIMITS.endGraceMs)
    await ended
    expect(await next).not.toBe(first)
    expect(kernels.list()).toEqual([await next])
  })

  test('are counted with those that are on their way', async () => {
    const { kernels, farm } = stage({ kernelsMax: 2 })
    farm.starts = false
    const first = kernels.start(requestFor())
    const second = kernels.start(requestFor())
    await expect(kernels.start(requestFor())).rejects.toMatchObject({ code: 'quota_exceeded' })
    for (const workers of farm.made) workers.comesUp()
    await Promise.all([first, second])
    await kernels.list()[0]?.shutdown()
    farm.starts = true
    await kernels.start(requestFor())
    expect(kernels.size).toBe(2)
  })

  test('that cannot start leave nothing behind but the error', async () => {
    const { kernels, farm, clock } = stage({ kernelsMax: 1 })
    farm.failure = new SavepointError('starting', 'No Python.')
    await expect(kernels.start(requestFor())).rejects.toMatchObject({ code: 'starting', message: 'No Python.' })
    farm.failure = null
    farm.starts = false
    const slow = kernels.start(requestFor())
    clock.advance(KERNEL_LIMITS.startMs)
    await expect(slow).rejects.toMatchObject({ code: 'timeout' })
    expect(farm.made.map(({ abandoned }) => abandoned)).toEqual([true, true])
    expect(kernels.list()).toEqual([])
  })

  test('tell listeners of their beginning and end', async () => {
    const { kernels } = stage()
    const told: string[] = []
    const stop = kernels.onChange((_, what) => void told.push(what))
    const kernel = await kernels.start(requestFor())
    await kernel.shutdown()
    stop()
    await kernels.start(requestFor())
    expect(told).toEqual(['started', 'ended'])
  })

  test('are not culled because the clock was set, forwards or back', async () => {
    let setBy = 0
    const { kernels, clock } = stage()
    const real = clock.date.bind(clock)
    clock.date = () => new Date(real().getTime() + setBy)
    const kernel = await kernels.start(requestFor({ name: 'short' }))
    setBy = 86_400_000
    clock.advance(20_000)
    expect(kernel.phase).toBe('ready')
    setBy = -86_400_000
    clock.advance(60_000)
    await turns()
    expect(kernels.find(kernel.id)).toBeUndefined()
  })

  test('are culled when they are idle for long enough, by their kernelspec’s measure', async () => {
    const { kernels, clock } = stage()
    const kept = await kernels.start(requestFor())
    const watched = await kernels.start(requestFor({ name: 'short' }))
    const ann = new Listener(watched)
    await kernels.start(requestFor({ name: 'short' }))
    clock.advance(70_000)
    await turns()
    expect(kernels.list()).toEqual([kept, watched])
    ann.away = true
    clock.advance(10_000)
    await turns()
    expect(kernels.list()).toEqual([kept])
    expect(ann.heard.at(-1)?.type).toBe('ended')
  })

  test('end together, by force where it has to be', async () => {
    const { kernels, farm, clock } = stage()
    await kernels.start(requestFor())
    await kernels.start(requestFor())
    farm.ends = false
    const ended = kernels.stopAll(500)
    await expect(kernels.start(requestFor())).rejects.toMatchObject({ code: 'starting' })
    clock.advance(500)
    await ended
    expect(farm.made.map(({ abandoned }) => abandoned)).toEqual([true, true])
    expect(kernels.list()).toEqual([])
  })
})

describe('a kernel of a gateway', () => {
  test('that loses its Python side gets another one, and clients are told', async () => {
    const { kernels, farm } = stage()
    const kernel = await kernels.start(requestFor())
    const ann = new Listener(kernel)
    farm.latest.lost()
    await turns()
    expect(ann.heard.map(({ type, content }) => content['execution_state'] ?? type)).toEqual([
      'restarting',
      'restarted',
      'starting',
      // That its variables are gone.
      'stream',
      'busy',
      'idle',
    ])
    expect(kernel.status).toMatchObject({ execution_state: 'idle' })
    expect(kernel.status).not.toHaveProperty('reason')
  })

  test('that loses it again and again is dead, says so, and can be restarted by hand', async () => {
    const { kernels, farm } = stage()
    const kernel = await kernels.start(requestFor())
    const ann = new Listener(kernel)
    for (let i = 0; i < 3; i += 1) {
      farm.latest.lost()
      await turns()
    }
    expect(ann.states.at(-1)).toBe('dead')
    expect(kernel.status).toMatchObject({ execution_state: 'dead', reason: expect.stringContaining('3 times') })
    expect(() => kernel.interrupt()).toThrow(expect.objectContaining({ code: 'kernel_dead' }))
    await expect(kernel.op('savepoint.transaction', { op: 'status' }, { by: '', waitMs: 0 })).rejects.toMatchObject({
      code: 'kernel_dead',
    })
    ann.send('execute_request', { code: '1' })
    await kernel.restart()
    expect(kernel.status).toMatchObject({ execution_state: 'idle', savepoint: { queue: 0 } })
    expect(kernel.status).not.toHaveProperty('reason')
  })

  test('whose restart fails is dead, and who asked for the restart is told why', async () => {
    const { kernels, farm } = stage()
    const kernel = await kernels.start(requestFor())
    farm.failure = new SavepointError('starting', 'No Python.')
    await expect(kernel.restart()).rejects.toMatchObject({ code: 'starting' })
    expect(kernel.status).toMatchObject({ execution_state: 'dead', reason: 'No Python.' })
    await kernel.shutdown()
    expect(kernels.list()).toEqual([])
  })

  test('that does not end in time for a restart is ended by force', async () => {
    const { kernels, farm, clock } = stage()
    const kernel = await kernels.start(requestFor())
    farm.ends = false
    const restarted = kernel.restart()
    clock.advance(KERNEL_LIMITS.restartGraceMs)
    await restarted
    expect(farm.made.map(({ abandoned }) => abandoned)).toEqual([true, false])
  })

  test('keeps what is sent while it restarts, up to a bound', async () => {
    const { kernels, farm, clock } = stage()
    const kernel = await kernels.start(requestFor())
    const ann = new Listener(kernel)
    farm.ends = false
    const restarted = kernel.restart()
    const ids = [1, 2, 3].map((n) => ann.send('execute_request', { code: `${n}` }))
    expect(kernel.status.savepoint.queue).toBe(2)
    clock.advance(KERNEL_LIMITS.restartGraceMs)
    await restarted
    expect(kernel.status.savepoint).toMatchObject({ phase: 'busy', queue: 1 })
    clock.advance(10)
    expect(ann.heard.findLast(({ type }) => type === 'execute_input')?.parent).toBe(ids[0])
  })

  test('can be ended while it restarts', async () => {
    const { kernels, farm } = stage()
    const kernel = await kernels.start(requestFor())
    farm.starts = false
    const restarted = kernel.restart()
    const refused = expect(restarted).rejects.toMatchObject({ code: 'kernel_dead' })
    await turns()
    await kernel.shutdown()
    await refused
    expect(kernels.list()).toEqual([])
    expect(() => kernel.attach(new Listener(kernel))).toThrow(expect.objectContaining({ code: 'kernel_dead' }))
  })

  test('has its memory measured when somebody looks, but not too often', async () => {
    let measured = 0
    const measure = async (): Promise<object> => ({ kernel_memory: (measured += 1), savepoint: { snapshot_bytes: 2 } })
    const { kernels, clock } = stage({ newUsage: () => ({ measure, weigh: async () => [] }) })
    const kernel = await kernels.start(requestFor())
    expect(kernel.status.savepoint).toMatchObject({ memory_bytes: null, snapshot_bytes: null })
    await turns()
    expect(kernel.status.savepoint).toMatchObject({ memory_bytes: 1, snapshot_bytes: 2 })
    await turns()
    clock.advance(KERNEL_LIMITS.measuredMs)
    expect(kernel.status.savepoint).toMatchObject({ memory_bytes: 1 })
    await turns()
    expect(kernel.status.savepoint).toMatchObject({ memory_bytes: 2 })
  })
})

describe('a client that cannot keep up', () => {
  test('holds the kernel up until it has caught up, has gone, or has had its time', async () => {
    const { kernels, farm, clock } = stage()
    const kernel = await kernels.start(requestFor())
    const [ann, bob] = [new Listener(kernel), new Listener(kernel, 'bob')]
    const held = (): boolean => farm.latest.paused
    ann.attachment.fallenBehind()
    ann.attachment.fallenBehind()
    bob.attachment.fallenBehind()
    expect(held()).toBe(true)
    ann.attachment.caughtUp()
    expect(held()).toBe(true)
    bob.attachment.detach()
    expect(held()).toBe(false)
    ann.attachment.fallenBehind()
    clock.advance(KERNEL_LIMITS.holdMaxMs)
    expect(held()).toBe(false)
    ann.away = true
    ann.attachment.fallenBehind()
    expect(held()).toBe(false)
  })

  test('may be patient without end if it was attached as such, and holds the next process, too', async () => {
    const { kernels, farm, clock } = stage()
    const kernel = await kernels.start(requestFor())
    const ann = new Listener(kernel, 'ann', { patient: true, counted: false })
    expect(kernel.status.connections).toBe(0)
    ann.attachment.fallenBehind()
    clock.advance(10 * KERNEL_LIMITS.holdMaxMs)
    expect(farm.latest.paused).toBe(true)
    await kernel.restart()
    expect(farm.made.map(({ paused }) => paused)).toEqual([false, true])
  })

  test('or that fails takes nobody else along', async () => {
    const { kernels } = stage()
    const kernel = await kernels.start(requestFor())
    const broken = (): never => {
      throw new Error('broken')
    }
    kernel.attach({ publish: broken, reply: broken, notice: broken })
    const ann = new Listener(kernel)
    await ann.replyTo(ann.send('kernel_info_request'))
    await kernel.shutdown()
    expect(ann.heard.at(-1)?.type).toBe('ended')
  })
})

describe('kernels that their client may have again', () => {
  const leased = (more: Partial<KernelRequest> = {}): KernelRequest => requestFor({ affinity: 'me', ...more })

  test('are for a next gateway like others once they were taken back', async () => {
    const kept: KernelRecord[] = []
    const { kernels } = stage({ records: { keep: (record) => void kept.push(record), forget: () => {} } })
    const kernel = await kernels.start(leased())
    await kernels.leave(kernel)
    expect(usableRecord(kept.at(-1))).toBeNull()
    expect(await kernels.start(leased())).toBe(kernel)
    expect(usableRecord(kept.at(-1))).toMatchObject({ id: kernel.id, phase: 'ready' })
  })

  test('have ended for everybody, and come back with the same worker to who asks for the same', async () => {
    const { kernels, farm } = stage()
    const kernel = await kernels.start(leased())
    const told: string[] = []
    kernels.onChange((id, what) => void told.push(`${what} ${id === kernel.id}`))
    const ann = new Listener(kernel)
    await kernels.leave(kernel)
    expect(ann.heard.at(-1)?.type).toBe('ended')
    expect([kernels.find(kernel.id), kernels.list()]).toEqual([undefined, []])
    for (const other of [
      leased({ owner: 'bob' }),
      leased({ affinity: 'you' }),
      requestFor(),
      leased({ name: 'short' }),
    ]) {
      expect(await kernels.start(other)).not.toBe(kernel)
    }
    expect(await kernels.start(leased({ environment: { KERNEL_USERNAME: 'u' } }))).not.toBe(kernel)
    const made = farm.made.length
    expect(await kernels.start(leased())).toBe(kernel)
    expect(farm.made.length).toBe(made)
    expect(kernels.find(kernel.id)).toBe(kernel)
    expect(told.filter((each) => each.endsWith('true'))).toEqual(['ended true', 'started true'])
    expect(kernel.status.savepoint.phase).toBe('idle')
  })

  test('wait for so long, in so great a number, and not past the end of the gateway', async () => {
    const { kernels, clock } = stage()
    const [first, second, third, fourth] = await Promise.all([1, 2, 3, 4].map(() => kernels.start(leased())))
    if (!first || !second || !third || !fourth) throw new Error('There are fewer than four.')
    for (const each of [first, second, third]) await kernels.leave(each)
    await first.shutdown()
    expect([first.phase, second.phase, third.phase]).toEqual(['ended', 'ready', 'ready'])
    clock.advance(60_000)
    await Promise.all([second.shutdown(), third.shutdown()])
    expect(await kernels.start(leased())).not.toBe(third)
    await kernels.leave(fourth)
    await kernels.stopAll()
    expect(fourth.phase).toBe('ended')
  })

  test('really end where they are not at rest', async () => {
    const { kernels } = stage()
    const kernel = await kernels.start(leased())
    const ann = new Listener(kernel)
    ann.send('execute_request', { code: 'long' })
    await kernels.leave(kernel)
    expect(kernel.phase).toBe('ended')
  })

  test('give way to a kernel of their id for their owner, and to nobody else', async () => {
    const { kernels } = stage()
    const kernel = await kernels.start(leased())
    await kernels.leave(kernel)
    await expect(kernels.start(requestFor({ kernelId: kernel.id, owner: 'bob' }))).rejects.toMatchObject({
      code: 'already_exists',
    })
    expect((await kernels.start(requestFor({ kernelId: kernel.id }))).id).toBe(kernel.id)
    expect(kernel.phase).toBe('ended')
  })

  test('make room for others', async () => {
    const { kernels } = stage({ kernelsMax: 1 })
    const kernel = await kernels.start(leased())
    await kernels.leave(kernel)
    await kernels.start(requestFor())
    await kernel.shutdown()
    expect(kernel.phase).toBe('ended')
    await expect(kernels.start(leased())).rejects.toMatchObject({ code: 'quota_exceeded' })
  })
})
