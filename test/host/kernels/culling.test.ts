import { isToCull, type CullFacts } from '../../../src/host/kernels/culling.js'

const IDLE: CullFacts = { executionState: 'idle', lastActivity: 0, connections: 0, idleTimeoutS: null }
const SETTINGS = { idleTimeoutS: 10, connected: false, busy: false }

describe('culling', () => {
  test('ends what was idle for longer than the time, and nothing if there is none', () => {
    expect(isToCull(IDLE, SETTINGS, 10_000)).toBe(false)
    expect(isToCull(IDLE, SETTINGS, 10_001)).toBe(true)
    expect(isToCull(IDLE, { ...SETTINGS, idleTimeoutS: 0 }, 1e9)).toBe(false)
  })

  test('goes by what the kernelspec says, if it says something', () => {
    expect(isToCull({ ...IDLE, idleTimeoutS: 100 }, SETTINGS, 50_000)).toBe(false)
    expect(isToCull({ ...IDLE, idleTimeoutS: 0 }, SETTINGS, 1e9)).toBe(false)
    expect(isToCull({ ...IDLE, idleTimeoutS: 5 }, { ...SETTINGS, idleTimeoutS: 0 }, 6_000)).toBe(true)
  })

  test('spares what is busy or has clients, unless told otherwise', () => {
    const busy = { ...IDLE, executionState: 'busy' } as const
    expect(isToCull(busy, SETTINGS, 1e9)).toBe(false)
    expect(isToCull(busy, { ...SETTINGS, busy: true }, 1e9)).toBe(true)
    expect(isToCull({ ...IDLE, connections: 1 }, SETTINGS, 1e9)).toBe(false)
    expect(isToCull({ ...IDLE, connections: 1 }, { ...SETTINGS, connected: true }, 1e9)).toBe(true)
  })

  test('ends the dead', () => {
    expect(isToCull({ ...IDLE, executionState: 'dead', connections: 1 }, SETTINGS, 0)).toBe(true)
  })
})
