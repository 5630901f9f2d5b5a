import { spawn } from 'node:child_process'
import { once } from 'node:events'
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
  test('is repeated until it was noticed', async () => {
    const clock = new FakeClock()
    const interrupter = new Interrupter(clock, LIMITS)
    const worker = await listener()
    for (const send of [() => interrupter.interrupt(worker.pid), () => clock.advance(50)]) {
      const heard = worker.heard()
      send()
      expect(await heard).toBe('heard')
    }
    interrupter.noticed()
    expect(clock.pending).toBe(0)
    worker.end()
  })

  test('is given up after a while, and harmless for a process that is gone', async () => {
    const clock = new FakeClock()
    const interrupter = new Interrupter(clock, LIMITS)
    const worker = await listener()
    interrupter.interrupt(worker.pid)
    clock.advance(50)
    clock.advance(50)
    expect(clock.pending).toBe(0)
    worker.end()
    interrupter.interrupt(4_194_305)
    expect(clock.pending).toBe(0)
  })
})
