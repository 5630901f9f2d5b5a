import type { LogFields } from '../../src/log.js'
import { refusalLog } from '../../src/sockets/refusals.js'
import { ManualClock } from './manual-clock.js'

function setup(): {
  lines: [string, LogFields | undefined][]
  clock: ManualClock
  refused: ReturnType<typeof refusalLog>
} {
  const lines: [string, LogFields | undefined][] = []
  const clock = new ManualClock()
  return { lines, clock, refused: refusalLog((_level, event, fields) => lines.push([event, fields]), clock) }
}

test('each refused message is one line with its channel and code', () => {
  const { lines, refused } = setup()
  refused('shell', 'WIRE_BAD_SIGNATURE')
  expect(lines).toEqual([['message_refused', { channel: 'shell', code: 'WIRE_BAD_SIGNATURE' }]])
})

test('a flood of junk costs a few lines, and how much was left unsaid is told later', () => {
  const { lines, clock, refused } = setup()
  for (let n = 0; n < 1000; n += 1) refused('shell', 'WIRE_NO_DELIMITER')
  expect(lines).toHaveLength(20)
  clock.advance(10_000)
  refused('control', 'WIRE_BAD_JSON')
  expect(lines.slice(20)).toEqual([
    ['messages_refused', { count: 980 }],
    ['message_refused', { channel: 'control', code: 'WIRE_BAD_JSON' }],
  ])
})
