/**
 * Seeded disorder: whatever happens in whatever order, the kernel keeps its promises. A failure names its seed; SEED=n
 * runs that one alone.
 */

import { Disorder } from '../fakes/disorder.js'

const SEEDS =
  process.env['SEED'] === undefined ? Array.from({ length: 200 }, (_, i) => i) : [Number(process.env['SEED'])]
const STEPS = 300

function live(seed: number): Disorder {
  const world = new Disorder(seed)
  try {
    for (let i = 0; i < STEPS && world.exit === null; i += 1) world.happen()
    world.calm()
  } catch (error) {
    const last = world.trace.slice(-15).join('\n  ')
    throw new Error(`Seed ${seed}, after ${world.trace.length} events: ${String(error)}\n  ${last}`, { cause: error })
  }
  return world
}

describe('in any order of events', () => {
  test('no request is answered twice, busy and idle pair up, and what is open has a way back', () => {
    const worlds = SEEDS.map(live)
    // A disorder in which hardly anything happens would prove nothing.
    const moved = worlds.filter(({ state }) => state.generation > 3)
    expect(moved.length).toBeGreaterThan(SEEDS.length / 4)
    const heard = worlds.filter(({ served }) => [...served.values()].some(({ beside }) => beside > 0))
    expect(heard.length).toBeGreaterThan(SEEDS.length / 4)
  })

  test('every request is served when the world calms down, unless the kernel has ended', () => {
    for (const seed of SEEDS) {
      const world = live(seed)
      if (world.state.shutdown) continue
      const unserved = [...world.served.values()].filter(({ type, busy, beside, replies, idle }) => {
        const wanted = type.endsWith('_request') ? 1 : 0
        if (beside === 1) return busy + idle > 0
        return busy !== 1 || idle !== 1 || (type !== 'odd_request' && replies !== wanted)
      })
      if (unserved.length > 0)
        throw new Error(
          `Seed ${seed}: not served: ${JSON.stringify(unserved)}\n  ${world.trace.slice(-15).join('\n  ')}`,
        )
      expect(world.state.waiters.size).toBe(0)
      expect([seed, [...world.kernels], world.state.forks.size]).toEqual([seed, [], 0])
    }
  })
})
