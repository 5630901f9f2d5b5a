import { OomWatch } from '../../../src/worker/limits/oom.js'
import { FakeClock } from '../../fakes/clock.js'

const KILLED = { code: null, signal: { name: 'SIGKILL', number: 9 } }
const CRASHED = { code: null, signal: { name: 'SIGSEGV', number: 11 } }

describe('a process that was killed', () => {
  test('was so for want of memory if the system says that it killed one, and each kill explains one death', () => {
    let kills = 3
    const watch = new OomWatch(new FakeClock(), () => kills)
    expect(watch.explain(KILLED)).toEqual(KILLED)
    kills = 4
    expect(watch.explain(CRASHED)).toEqual(CRASHED)
    expect(watch.explain(KILLED)).toMatchObject({ ...KILLED, name: 'out_of_memory' })
    expect(watch.explain(KILLED)).toEqual(KILLED)
  })

  test('is told even if the look came between the kill and the news of it', () => {
    let kills = 0
    const clock = new FakeClock()
    const watch = new OomWatch(clock, () => kills)
    kills = 1
    clock.advance(5_000)
    expect(watch.explain(KILLED)).toHaveProperty('name', 'out_of_memory')
  })

  test('has nothing to do with what was killed long before', () => {
    let kills = 0
    const clock = new FakeClock()
    const watch = new OomWatch(clock, () => kills)
    kills = 1
    clock.advance(5_000)
    clock.advance(5_000)
    expect(watch.explain(KILLED)).toEqual(KILLED)
  })
})
