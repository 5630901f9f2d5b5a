import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import type { PythonEvent } from '../../../src/worker/events.js'
import { OomWatch } from '../../../src/worker/limits/oom.js'
import { Ward } from '../../../src/worker/limits/ward.js'
import { FakeClock } from '../../fakes/clock.js'

const MEMORY = 1_000_000
const bounds = { memoryBytes: MEMORY, cpuPercent: 0, processes: 0, fileBytes: 0 }
const whose = { kernelId: 'k1', tenant: 'local', spec: 'python3' }

let folder = ''
const stops: (() => void)[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'savepoint-ward-'))
})
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
  rmSync(folder, { recursive: true, force: true })
})

/** A kernel whose worker is in a control group, made of plain files; what its kernel hears. */
async function warded(
  usedBytes: number,
): Promise<{ ward: Ward; heard: PythonEvent[]; take: (event: PythonEvent) => void }> {
  mkdirSync(join(folder, 'k1'))
  writeFileSync(join(folder, 'k1', 'memory.current'), String(usedBytes))
  writeFileSync(join(folder, 'k1', 'memory.stat'), '')
  const clock = new FakeClock()
  const oom = new OomWatch(clock, () => 0)
  const cgroups = { version: 2, roots: { memory: folder } } as const
  const ward = new Ward(whose, bounds, { cgroups, oom, clock, log: () => {} }, () => {})
  stops.push(
    () => oom.stop(),
    () => ward.retire(),
  )
  const heard: PythonEvent[] = []
  const take = ward.through((event) => heard.push(event))
  take({ on: 'worker_up', token: 't', pid: 4711 })
  while (heard.length === 0) await turn()
  return { ward, heard, take }
}

const taken: PythonEvent = {
  on: 'worker',
  generation: 1,
  frame: 1,
  event: { kind: 'taken', snapshot: 's1', pid: 4712, ms: 1, limits: [], comms: [] },
  parts: [],
}
const trim: PythonEvent = { on: 'trim', bytesMax: 0, momentsMin: 1 }

test('a copy that is frozen near the wall leaves no older ones beside it', async () => {
  const { heard, take } = await warded(MEMORY * 0.8)
  take(taken)
  expect(heard.slice(1)).toEqual([taken, trim])
})

test('further away from it they are kept', async () => {
  const { heard, take } = await warded(MEMORY * 0.7)
  take(taken)
  expect(heard.slice(1)).toEqual([taken])
})

test('a copy that could not be frozen costs no others', async () => {
  const { heard, take } = await warded(MEMORY * 0.8)
  const failed = { ...taken, event: { ...taken.event, pid: 0 } } as PythonEvent
  take(failed)
  expect(heard.slice(1)).toEqual([failed])
})

describe('beyond its limit', () => {
  const family = (worker: number, copy: number) => [
    { pid: 4711, residentBytes: MEMORY * worker },
    { pid: 4712, residentBytes: MEMORY * copy },
  ]
  const trimmed = (heard: readonly PythonEvent[]) =>
    heard.flatMap((event) => (event.on === 'trim' ? event.momentsMin : []))

  test('a kernel gives up its older moments, and is ended if it has grown since the newest', async () => {
    const { ward, heard, take } = await warded(0)
    take(taken)
    expect([1, 2].map(() => ward.giveWay(family(1.2, 0.9)))).toEqual([true, false])
    expect(trimmed(heard)).toEqual([1])
    ward.isWithin()
    expect(ward.giveWay(family(1.2, 0.9))).toBe(true)
  })

  test('if it has not, the newest goes as well: that one is what is too much', async () => {
    const { ward, heard, take } = await warded(0)
    take(taken)
    expect([1, 2, 3].map(() => ward.giveWay(family(0.92, 0.9)))).toEqual([true, true, false])
    expect(trimmed(heard)).toEqual([1, 0])
  })

  test('and without any it has only grown', async () => {
    const { ward } = await warded(0)
    expect([1, 2].map(() => ward.giveWay(family(0.9, 0.9)))).toEqual([true, false])
  })
})
