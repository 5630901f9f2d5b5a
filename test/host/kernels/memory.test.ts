import { MemoryMeter } from '../../../src/host/kernels/memory.js'
import { Turns } from '../../../src/host/kernels/turns.js'
import type { KernelFacts } from '../../../src/kernel/facts.js'
import { FakeClock } from '../../fakes/clock.js'

const factsOf = (pid: number): KernelFacts => ({ worker: { pid }, frozen: [] }) as unknown as KernelFacts
const settle = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve))

test('the memory of many kernels is measured a few at a time, and of each in the end', async () => {
  const turns = new Turns(2)
  const waiting: (() => void)[] = []
  let most = 0
  const measure = async (pid: number | null): Promise<object> => {
    await new Promise<void>((resolve) => {
      waiting.push(resolve)
      most = Math.max(most, waiting.length)
    })
    return { kernel_memory: pid }
  }
  const meters = Array.from(
    { length: 20 },
    () => new MemoryMeter({ measure, weigh: async () => [] }, turns, new FakeClock(), 10_000),
  )
  const refresh = (): void => meters.forEach((meter, i) => meter.refresh(factsOf(i + 1)))
  refresh()
  refresh()
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    next()
    await settle()
  }
  expect(most).toBe(2)
  expect(meters.map(({ latest }) => latest.memory_bytes)).toEqual(meters.map((_, i) => i + 1))
  refresh()
  expect(waiting).toEqual([])
})

test('one that cannot be measured keeps nobody from a turn', async () => {
  const turns = new Turns(2)
  const failing = Array.from({ length: 5 }, async () => await turns.take(() => Promise.reject(new Error('gone'))))
  expect((await Promise.allSettled(failing)).every(({ status }) => status === 'rejected')).toBe(true)
  expect(await turns.take(async () => await Promise.resolve('measured'))).toBe('measured')
})
