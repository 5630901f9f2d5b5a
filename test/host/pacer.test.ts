import { Pacer } from '../../src/host/pacer.js'
import { FakeClock } from '../fakes/clock.js'

function pacing(): {
  clock: FakeClock
  pacer: Pacer
  sent: string[]
  add: (text: string, name?: 'stdout' | 'stderr', parent?: string, flushed?: boolean) => void
} {
  const clock = new FakeClock()
  const sent: string[] = []
  const pacer = new Pacer(clock, { intervalMs: 5, firstMs: 1, bytesMax: 20 }, (parent, content) => {
    const { name, text } = JSON.parse(content.toString()) as { name: string; text: string }
    sent.push(`${parent.toString()} ${name} ${text}`)
  })
  const add = (text: string, name: 'stdout' | 'stderr' = 'stdout', parent = 'a', flushed = false): void => {
    pacer.add(name, Buffer.from(parent), Buffer.from(text), flushed)
  }
  return { clock, pacer, sent, add }
}

describe('streams', () => {
  test('send the first chunk soon, since somebody waits for it, with what came meanwhile', () => {
    const { clock, sent, add } = pacing()
    add('one')
    add('two')
    expect(sent).toEqual([])
    clock.advance(1)
    expect(sent).toEqual(['a stdout onetwo'])
  })

  test('gather what follows within the interval into one message', () => {
    const { clock, sent, add } = pacing()
    add('one')
    clock.advance(1)
    add('two')
    add('three')
    clock.advance(4)
    expect(sent).toHaveLength(1)
    clock.advance(1)
    expect(sent).toEqual(['a stdout one', 'a stdout twothree'])
  })

  test('send soon again after a pause', () => {
    const { clock, sent, add } = pacing()
    add('one')
    clock.advance(6)
    add('two')
    clock.advance(1)
    expect(sent).toHaveLength(2)
    expect(clock.pending).toBe(0)
  })

  test('send at once what was flushed, but not more often than the interval says', () => {
    const { clock, sent, add } = pacing()
    const flushed = (text: string): void => add(text, 'stdout', 'a', true)
    flushed('one')
    expect(sent).toEqual(['a stdout one'])
    flushed('two')
    flushed('three')
    expect(sent).toHaveLength(1)
    clock.advance(5)
    expect(sent[1]).toBe('a stdout twothree')
    clock.advance(6)
    add('four')
    flushed('')
    expect(sent[2]).toBe('a stdout four')
    flushed('')
    clock.advance(10)
    expect(sent).toHaveLength(3)
    expect(clock.pending).toBe(0)
  })

  test('never mix two streams or two cells, and keep their order', () => {
    const { sent, add, pacer } = pacing()
    for (const [name, parent] of [
      ['stdout', 'a'],
      ['stderr', 'a'],
      ['stdout', 'a'],
      ['stdout', 'b'],
    ] as const) {
      add('x', name, parent)
    }
    pacer.flush()
    expect(sent).toEqual(['a stdout x', 'a stderr x', 'a stdout x', 'b stdout x'])
  })

  test('do not wait for the interval once much is gathered', () => {
    const { sent, add } = pacing()
    add('x')
    add('y'.repeat(20))
    expect(sent).toHaveLength(1)
  })

  test('that are flushed leave no timer behind, and an empty flush sends nothing', () => {
    const { clock, sent, add, pacer } = pacing()
    add('one')
    add('two')
    pacer.flush()
    pacer.flush()
    expect(clock.pending).toBe(0)
    clock.advance(10)
    expect(sent).toHaveLength(1)
  })
})
