/** Kernels that are made of copies of another one: all of them, or none. */

import type { OpResult } from '../../../src/host/kernels/ports.js'
import type { GatewayKernel } from '../../../src/host/kernels/kernel.js'
import type { KernelModel } from '../../../src/host/kernels/kernel-status.js'
import { stage } from './fake-stage.js'
import { requestFor } from './listener.js'

const ask = (kernel: GatewayKernel, data: object = {}): Promise<OpResult> =>
  kernel.op('savepoint.transaction', { op: 'fork', ...data }, { by: 'ann', waitMs: 1_000 })

async function fork(kernel: GatewayKernel, data: object = {}): Promise<readonly KernelModel[]> {
  return ((await ask(kernel, data)).result as { kernels: readonly KernelModel[] }).kernels
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 10; i += 1) await new Promise((resolve) => setImmediate(resolve))
}

describe('forks of a kernel', () => {
  test('are kernels like it, with ids of their own', async () => {
    const { kernels, farm } = stage()
    const affinity = 'session'
    const source = await kernels.start(
      requestFor({ name: 'savepoint', owner: 'bob', environment: { KERNEL_A: '1' }, affinity }),
    )
    const heard: unknown[] = []
    kernels.onChange((id, what) => void heard.push([id, what]))
    const made = await fork(source, { count: 3 })
    expect(made.map(({ id }) => id)).toEqual(
      kernels
        .list()
        .slice(1)
        .map(({ id }) => id),
    )
    expect(heard).toEqual(made.map(({ id }) => [id, 'started']))
    expect(farm.became).toEqual([
      ['w1', 'fk_1'],
      ['w1', 'fk_1.1'],
      ['w1', 'fk_1.2'],
    ])
    const [first] = made
    expect(first).toMatchObject({ name: 'savepoint', execution_state: 'idle', savepoint: { transactions: 0 } })
    expect(kernels.find(first?.id ?? '')?.owner).toBe('bob')
    const needs = { ...farm.made[0]?.needs, kernelId: first?.id, affinity: null }
    const environment = { KERNEL_A: '1', KERNEL_ID: first?.id }
    expect(farm.made[1]?.needs).toEqual({ ...needs, environment })
    expect(farm.discarded).toEqual([])
    expect(kernels.forked).toBe(3)
  })

  test('are counted, all of them, before one is made', async () => {
    for (const limits of [{ kernelsMax: 3 }, { kernelsPerOwnerMax: 3 }]) {
      const { kernels, farm } = stage(limits)
      const source = await kernels.start(requestFor())
      await expect(ask(source, { count: 3 })).rejects.toMatchObject({ code: 'quota_exceeded' })
      expect([kernels.size, farm.made.length]).toEqual([1, 1])
      expect(farm.discarded).toEqual(['fk_1', 'fk_1.1', 'fk_1.2'])
      expect(await fork(source, { count: 2 })).toHaveLength(2)
      await expect(ask(source)).rejects.toMatchObject({ code: 'quota_exceeded' })
    }
  })

  test('take the places of kernels that rest, as far as they need them', async () => {
    const { kernels } = stage({ kernelsMax: 4 })
    const rested = await Promise.all(['a', 'b', 'c'].map((affinity) => kernels.start(requestFor({ affinity }))))
    const source = await kernels.start(requestFor())
    for (const each of rested) await kernels.leave(each)
    expect(await fork(source, { count: 2 })).toHaveLength(2)
    expect(kernels.size).toBe(3)
  })

  test('of which one does not come up are ended, and the reason is told', async () => {
    const { kernels, farm } = stage()
    const source = await kernels.start(requestFor())
    farm.damaged = 'fk_1.1'
    await expect(ask(source, { count: 3 })).rejects.toMatchObject({
      message: expect.stringContaining('it is damaged') as string,
    })
    expect(kernels.list()).toEqual([source])
    expect(farm.made.slice(1).map(({ abandoned }) => abandoned)).toEqual([true, true, true])
    expect(await fork(source)).toHaveLength(1)
  })

  test('are ended when the kernel ends before they are told of', async () => {
    for (const how of ['shutdown', 'restart'] as const) {
      const { kernels, farm } = stage()
      const source = await kernels.start(requestFor())
      farm.becomes = false
      const asked = ask(source)
      const refused = expect(asked).rejects.toMatchObject({ code: 'kernel_restarting' })
      await turns()
      expect(kernels.size).toBe(2)
      const fork = farm.latest
      const done = source[how]()
      await refused
      // It comes up when nobody waits for it any more.
      fork.fork(farm.token, 1)
      await done
      await turns()
      expect([how, kernels.list().map(({ id }) => id)]).toEqual([how, how === 'restart' ? [source.id] : []])
    }
  })

  test('can be forked, and are empty after a restart', async () => {
    const { kernels, farm } = stage()
    const source = await kernels.start(requestFor())
    const [first] = await fork(source)
    const child = kernels.find(first?.id ?? '')
    if (!child) throw new Error('There is no such kernel.')
    expect(await fork(child)).toHaveLength(1)
    expect(farm.became).toHaveLength(2)
    await child.restart()
    expect([farm.became.length, farm.latest.copiesAt]).toEqual([2, undefined])
  })

  test('of a gateway that shuts down are refused', async () => {
    const { kernels } = stage()
    const source = await kernels.start(requestFor())
    const stopped = kernels.stopAll()
    await expect(ask(source)).rejects.toMatchObject({ code: 'kernel_dead' })
    await stopped
  })
})
