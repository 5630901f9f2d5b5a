import { CLOSED, failed, present, succeeded } from '../../src/pool/breaker.js'
import { next, TRANSITIONS, type Cue, type Phase } from '../../src/pool/lifecycle.js'
import { poolLimits } from '../../src/pool/limits.js'
import { startKey } from '../../src/pool/start-key.js'
import type { PoolEffect, PoolEvent, StartFailure } from '../../src/pool/state.js'
import { addShelf, newPool, step } from '../../src/pool/step.js'

type Done<D extends PoolEffect['do']> = Extract<PoolEffect, { readonly do: D }>

/** A pool whose zygotes are up at once and whose workers dial in when the test says so. */
function stage({ target = 0, limits = {}, affinityMs = 1_000 } = {}) {
  const state = newPool({ ...poolLimits, queueLengthMax: 3, affineMax: 1, ...limits }, affinityMs)
  const all: PoolEffect[] = []
  let now = 0
  const tell = (event: PoolEvent): PoolEffect[] => {
    const effects = step(state, event, now)
    all.push(...effects)
    return effects
  }
  const of = <D extends PoolEffect['do']>(kind: D, effects: readonly PoolEffect[] = all): Done<D>[] =>
    effects.filter((each): each is Done<D> => each.do === kind)
  if (target > 0) addShelf(state, 'k', 'python3', 'us', target)
  let pid = 100
  return {
    state,
    tell,
    of,
    pass: (ms: number) => (now += ms),
    want: (request: string, affinity: string | null = null, key = 'k') =>
      tell({ on: 'wanted', request, key, spec: 'python3', tenant: 'us', affinity }),
    up: () => {
      for (const { zygote } of of('start_zygote')) tell({ on: 'zygote_up', zygote })
    },
    /** All that were forked and have not dialled in do so. */
    dial: () => {
      for (const { place, phase } of [...state.members.values()]) {
        if (phase === 'initializing') tell({ on: 'dialled', place, pid: (pid += 1) })
      }
    },
    fail: (reason: StartFailure = 'connect_exited') => {
      const [first] = [...state.members.values()].filter(({ phase }) => phase === 'initializing')
      if (first) tell({ on: 'start_failed', place: first.place, reason, message: 'it ended' })
      return first !== undefined
    },
    granted: () => of('grant').map(({ request }) => request),
    phases: () => [...state.members.values()].map(({ phase }) => phase),
  }
}

describe('PL-20: the life of a pooled worker', () => {
  const phases = Object.keys(TRANSITIONS) as Phase[]
  const cues = [...new Set(phases.flatMap((phase) => Object.keys(TRANSITIONS[phase])))] as Cue[]

  test.each(phases)('%s refuses every move that is not in the table', (phase) => {
    const allowed: Readonly<Partial<Record<Cue, Phase>>> = TRANSITIONS[phase]
    for (const cue of cues) {
      if (allowed[cue] === undefined) expect(() => next(phase, cue)).toThrow(`A pooled worker that is ${phase} cannot`)
      else expect(next(phase, cue)).toBe(allowed[cue])
    }
  })

  test('never leads back to being ready', () => {
    const sources = phases.filter((phase) => (Object.values(TRANSITIONS[phase]) as string[]).includes('ready'))
    expect(sources).toEqual(['initializing'])
  })
})

describe('a kernel that is a fork', () => {
  test('keeps the zygote of the other one, also one that is retired, until it has ended', () => {
    const { state, tell, want, up, dial, of } = stage()
    want('a')
    up()
    dial()
    const [[zygote] = [0]] = state.zygotes
    const [first = ''] = state.members.keys()
    tell({ on: 'stale', key: 'k' })
    const [{ place: fork } = { place: '' }] = of('grant', tell({ on: 'claimed', request: 'b', zygote }))
    tell({ on: 'dialled', place: fork, pid: 7 })
    expect(state.members.get(fork)).toMatchObject({ phase: 'leased', request: 'b', pid: 7, zygote })
    tell({ on: 'discarded', place: first, reason: 'kernel_ended' })
    tell({ on: 'ended', place: first })
    expect(of('stop_zygote')).toEqual([])
    tell({ on: 'discarded', place: fork, reason: 'kernel_ended' })
    tell({ on: 'ended', place: fork })
    expect(of('stop_zygote')).toEqual([{ do: 'stop_zygote', zygote }])
  })
})

describe('whoever wants a worker', () => {
  test('waits for one that is forked for him, in the order of asking', () => {
    const { want, up, dial, granted, of } = stage()
    want('a')
    want('b')
    expect(of('fork')).toEqual([])
    up()
    expect(of('fork')).toHaveLength(2)
    dial()
    expect(granted()).toEqual(['a', 'b'])
  })

  test('is served at once where one is ready; it is replaced later, not on the way', () => {
    const { tell, want, up, dial, granted, of, phases } = stage({ target: 2 })
    tell({ on: 'refill' })
    up()
    dial()
    expect(phases()).toEqual(['ready', 'ready'])
    expect(want('a').map((each) => each.do)).toEqual(['grant', 'refill_soon'])
    expect([granted(), of('fork').length]).toEqual([['a'], 2])
    tell({ on: 'refill' })
    expect(of('fork')).toHaveLength(3)
  })

  test('is refused when too many wait, and told when the deadline has passed', () => {
    const { want, tell, of, state } = stage()
    for (const request of ['a', 'b', 'c', 'd']) want(request)
    expect(of('refuse')).toMatchObject([{ request: 'd', code: 'queue_full' }])
    tell({ on: 'withdrawn', request: 'a', late: true })
    tell({ on: 'withdrawn', request: 'b', late: false })
    expect(of('refuse')).toMatchObject([{ request: 'd' }, { request: 'a', code: 'timeout' }])
    expect(state.queue.map(({ request }) => request)).toEqual(['c'])
  })

  test('gets the next one if the one that was granted is no good', () => {
    const { tell, want, up, dial, granted, of, state } = stage({ target: 2 })
    tell({ on: 'refill' })
    up()
    dial()
    want('a')
    const [first] = of('grant')
    tell({ on: 'invalid', place: first?.place ?? '', reason: 'target_dead', wantedStill: true })
    expect([granted(), of('end').length, state.removed['target_dead']]).toEqual([['a', 'a'], 1, 1])
    const second = of('grant')[1]
    tell({ on: 'invalid', place: second?.place ?? '', reason: 'pipe_closed', wantedStill: true })
    // None is ready any more: one is forked.
    expect([state.queue.length, of('fork').length]).toEqual([1, 3])
    dial()
    expect(granted()).toEqual(['a', 'a', 'a'])
  })
})

describe('a worker that was given back', () => {
  test('goes to the same client, for a time, and to nobody else', () => {
    const { want, up, dial, tell, of, pass, state } = stage()
    want('a', 'ann')
    up()
    dial()
    const place = of('grant')[0]?.place ?? ''
    tell({ on: 'given_back', place, alive: true })
    want('b', 'bob')
    dial()
    expect(of('grant')[1]?.place).not.toBe(place)
    want('c', 'ann')
    expect(of('grant')[2]?.place).toBe(place)
    tell({ on: 'given_back', place, alive: true })
    pass(2_000)
    tell({ on: 'sweep' })
    expect([of('end').at(-1)?.place, state.removed['affinity_expired']]).toEqual([place, 1])
  })

  test('ends if it is anonymous, dead, used often, or one too many', () => {
    const { want, up, dial, tell, of, state } = stage({ limits: { usesMax: 1 } })
    want('a')
    want('b', 'bob')
    want('c', 'cid')
    up()
    dial()
    const [a, b, c] = of('grant').map(({ place }) => place)
    tell({ on: 'given_back', place: a ?? '', alive: true })
    tell({ on: 'given_back', place: b ?? '', alive: false })
    tell({ on: 'given_back', place: c ?? '', alive: true })
    expect(state.removed).toEqual({ given_back: 2, too_many_uses: 1 })
    expect(of('end')).toHaveLength(3)
  })
})

describe('starts that fail', () => {
  test('are tried again after growing pauses; then who waits is told the reason', () => {
    const { want, up, tell, fail, of } = stage()
    want('a')
    up()
    for (let tries = 0; tries < 4; tries += 1) {
      expect(fail()).toBe(true)
      tell({ on: 'retry', key: 'k' })
    }
    expect(of('retry').map(({ afterMs }) => afterMs)).toEqual([0, 100, 200, 200])
    expect(of('refuse')).toMatchObject([{ request: 'a', code: 'internal', details: { reason: 'connect_exited' } }])
    expect(fail()).toBe(false)
  })

  test.each(['connect_failed', 'connect_exited', 'connect_error'] as const)(
    'PL-3: %s has its own name for who waits and in the counts',
    (reason) => {
      const { want, up, tell, fail, of, state } = stage()
      want('a')
      up()
      while (fail(reason)) tell({ on: 'retry', key: 'k' })
      expect(of('refuse')).toMatchObject([{ request: 'a', code: 'internal', details: { reason } }])
      expect(state.removed).toEqual({ [reason]: 4 })
    },
  )

  test('five in a row open the breaker; later one thing is tried at a time', () => {
    const { tell, up, fail, of, want, pass, dial, state } = stage({ target: 3 })
    tell({ on: 'refill' })
    up()
    for (let tries = 0; tries < 5; tries += 1) {
      fail()
      tell({ on: 'retry', key: 'k' })
    }
    expect(state.shelves.get('k')?.breaker.state).toBe('open')
    want('a')
    expect(of('refuse')).toMatchObject([{ request: 'a', code: 'internal' }])
    for (const { place } of of('end')) tell({ on: 'ended', place })
    dial()
    for (const { place } of [...state.members.values()]) tell({ on: 'discarded', place, reason: 'test' })
    for (const { place } of [...state.members.values()]) tell({ on: 'ended', place })
    const forks = of('fork').length
    pass(poolLimits.openMs)
    tell({ on: 'retry', key: 'k' })
    expect(of('fork').length - forks).toBeLessThanOrEqual(1)
  })

  test('the breaker', () => {
    let breaker = CLOSED
    for (let i = 0; i < 5; i += 1) breaker = failed(breaker, poolLimits, 0)
    expect(breaker).toEqual({ state: 'open', until: poolLimits.openMs })
    expect(present(breaker, poolLimits.openMs - 1)).toBe(breaker)
    breaker = present(breaker, poolLimits.openMs)
    for (const state of ['half_open', 'half_open', 'closed']) {
      breaker = succeeded(breaker, poolLimits)
      expect(breaker.state).toBe(state)
    }
    const again = present(failed(CLOSED, { ...poolLimits, failuresToOpen: 1 }, 0), poolLimits.openMs)
    expect(failed(again, poolLimits, 7).state).toBe('open')
  })
})

describe('a zygote', () => {
  test('that is stale forks no more, gives up its ready workers, and ends with its last one', () => {
    const { tell, up, dial, want, of, state } = stage({ target: 2 })
    tell({ on: 'refill' })
    up()
    dial()
    want('a')
    const leased = of('grant')[0]?.place ?? ''
    tell({ on: 'stale', key: 'k' })
    expect([of('start_zygote').length, state.removed['stale']]).toEqual([2, 1])
    for (const { place } of of('end')) tell({ on: 'ended', place })
    expect(of('stop_zygote')).toEqual([])
    tell({ on: 'discarded', place: leased, reason: 'kernel_ended' })
    tell({ on: 'ended', place: leased })
    expect(of('stop_zygote')).toHaveLength(1)
  })

  test('that is lost is followed by another one', () => {
    const { tell, up, dial, want, of, state } = stage({ target: 1 })
    tell({ on: 'refill' })
    up()
    dial()
    want('a')
    const message = 'it ended'
    tell({ on: 'zygote_lost', zygote: of('start_zygote')[0]?.zygote ?? 0, reason: 'connect_exited', message })
    expect([of('start_zygote').length, state.members.size, state.removed['zygote_died']]).toEqual([2, 0, 1])
  })

  test('without workers ends after a while, unless ready ones come from it', () => {
    const { tell, up, dial, want, of, pass } = stage({ target: 1 })
    tell({ on: 'refill' })
    want('x', null, 'other')
    up()
    dial()
    const other = of('grant')[0]?.place ?? ''
    tell({ on: 'discarded', place: other, reason: 'kernel_ended' })
    tell({ on: 'ended', place: other })
    pass(poolLimits.zygoteIdleMs + 1)
    tell({ on: 'sweep' })
    expect(of('stop_zygote').map(({ zygote }) => zygote)).toEqual([of('start_zygote')[1]?.zygote])
  })

  test('is one for all whose start is the same', () => {
    const spec = { python: '/p', stack: null, preload: [], environment: { LANG: 'C' } }
    const keyOf = (environment: Record<string, string>, changes = {}, tenant = 'us'): string =>
      startKey('python3', { ...spec, ...changes }, tenant, environment).key
    const plain = keyOf({})
    expect([keyOf({ KERNEL_X: '1', JPY_Y: '2' }), keyOf({ LANG: 'C' }), keyOf({ COLOUR: 'blue' })]).toEqual([
      plain,
      plain,
      plain,
    ])
    const others = [
      keyOf({ LANG: 'D' }),
      keyOf({ PYTHONHASHSEED: '1' }),
      keyOf({}, {}, 'them'),
      keyOf({}, { preload: ['numpy'] }),
    ]
    expect(new Set([plain, ...others]).size).toBe(5)
    // Once libraries are loaded, who knows what they have read.
    expect(keyOf({ OMP_NUM_THREADS: '1' }, { preload: ['numpy'] })).not.toBe(keyOf({}, { preload: ['numpy'] }))
  })
})

describe('resting workers', () => {
  test('are looked at, and removed when they are old or large', () => {
    const { tell, up, dial, of, pass, state } = stage({ target: 2 })
    tell({ on: 'refill' })
    up()
    dial()
    tell({ on: 'sweep' })
    const [one, two] = of('look').map(({ place }) => place)
    tell({ on: 'measured', place: one ?? '', bytes: poolLimits.memoryBytesMax + 1 })
    tell({ on: 'measured', place: two ?? '', bytes: 3_000_000 })
    expect(state.removed).toEqual({ too_large: 1 })
    pass(poolLimits.ageMsMax + 1)
    tell({ on: 'sweep' })
    expect(state.removed).toEqual({ too_large: 1, too_old: 1 })
  })
})
