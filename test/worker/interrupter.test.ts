import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FakeClock } from '../fakes/clock.js'
import { Interrupter } from '../../src/worker/interrupter.js'

const LIMITS = { interruptRepeatMs: 50, interruptsMax: 3 }

/** A process that tells of each SIGINT. */
async function listener(): Promise<{ pid: number; heard: () => Promise<string>; end: () => void }> {
  const child = spawn(process.execPath, [
    '-e',
    "process.on('SIGINT', () => console.log('heard')); setInterval(() => {}, 1000); console.log('up')",
  ])
  child.stdout.setEncoding('utf8')
  await once(child.stdout, 'data')
  const heard = async (): Promise<string> => String((await once(child.stdout, 'data'))[0]).trim()
  return { pid: child.pid ?? 0, heard, end: () => void child.kill('SIGKILL') }
}

describe('an interrupt', () => {
  const folder = mkdtempSync(join(tmpdir(), 'savepoint-interrupter-'))
  const file = join(folder, 'interrupts')
  afterAll(() => rmSync(folder, { recursive: true }))

  /** What the worker finds: number of the interrupt, how often it was sent, seq of the request. */
  const noted = (): number[][] =>
    readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => line.trim().split(/ +/).map(Number))

  test('is repeated until it was noticed', async () => {
    const clock = new FakeClock()
    const interrupter = new Interrupter(clock, LIMITS, file)
    const worker = await listener()
    for (const send of [() => interrupter.interrupt(worker.pid, 7), () => clock.advance(50)]) {
      const heard = worker.heard()
      send()
      expect(await heard).toBe('heard')
    }
    expect(noted()).toEqual([
      [1, 2, 7],
      [1, 2, 7],
    ])
    interrupter.noticed()
    expect(clock.pending).toBe(0)
    interrupter.interrupt(worker.pid, 8)
    expect(noted()[0]).toEqual([2, 1, 8])
    interrupter.close()
    expect(clock.pending).toBe(0)
    worker.end()
  })

  test('is repeated although another request is answered meanwhile', async () => {
    const clock = new FakeClock()
    const interrupter = new Interrupter(clock, LIMITS, file)
    const worker = await listener()
    interrupter.interrupt(worker.pid, 7)
    interrupter.answered(8)
    expect(clock.pending).toBe(1)
    interrupter.answered(7)
    expect(clock.pending).toBe(0)
    worker.end()
  })

  test('is given up after a while, and harmless for a process that is gone', async () => {
    const clock = new FakeClock()
    const interrupter = new Interrupter(clock, LIMITS, file)
    const worker = await listener()
    interrupter.interrupt(worker.pid, 7)
    clock.advance(50)
    clock.advance(50)
    expect(clock.pending).toBe(0)
    worker.end()
    interrupter.interrupt(4_194_305, 8)
    expect(clock.pending).toBe(0)
  })
})
