import { next, TRANSITIONS, type Cue, type Phase } from '../../src/kernel/lifecycle.js'

const PHASES = Object.keys(TRANSITIONS) as Phase[]
const CUES: readonly Cue[] = ['worker_up', 'resumed', 'turn', 'done', 'switch', 'stop', 'end']

describe('a kernel’s life', () => {
  test('every pair of phase and cue either has an entry or is refused', () => {
    for (const phase of PHASES) {
      const legal: Partial<Record<Cue, Phase>> = TRANSITIONS[phase]
      for (const cue of CUES) {
        const to = legal[cue]
        if (to === undefined)
          expect(() => next(phase, cue)).toThrow(`A kernel that is ${phase} cannot take the cue '${cue}'.`)
        else expect(next(phase, cue)).toBe(to)
      }
    }
  })

  test('nothing leads out of dead, and only the end leads out of stopping', () => {
    expect(TRANSITIONS.dead).toEqual({})
    expect(TRANSITIONS.stopping).toEqual({ end: 'dead' })
  })

  test('every phase is reached from starting, and every living one can be stopped', () => {
    const reached = new Set<Phase>(['starting'])
    for (const phase of reached) for (const to of Object.values(TRANSITIONS[phase])) reached.add(to as Phase)
    expect([...reached].toSorted()).toEqual(PHASES.toSorted())
    for (const phase of ['starting', 'idle', 'busy', 'switching'] as const) expect(next(phase, 'stop')).toBe('stopping')
  })
})
