import { systemClock } from '../../../src/clock.js'
import { createComplain } from '../../../src/gateway/channels/compose.js'
import { dialectOf } from '../../../src/gateway/channels/dialect.js'
import { V1_SUBPROTOCOL } from '../../../src/wire/websocket.js'
import { frames } from './stage.js'

const dialect = (subprotocol: string): ReturnType<typeof dialectOf> =>
  dialectOf(subprotocol, '', createComplain(systemClock))

test('a message that many clients get is framed once for each framing, whoever gets it in between', () => {
  const sealed = frames({ type: 'stream', content: { name: 'stdout', text: 'x' } })
  const framed = [V1_SUBPROTOCOL, '', V1_SUBPROTOCOL, ''].map((name) => dialect(name).encode('iopub', sealed))
  expect(framed[2]?.[0]?.pieces[0]).toBe(framed[0]?.[0]?.pieces[0])
  expect(framed[3]?.[0]?.pieces[0]).toBe(framed[1]?.[0]?.pieces[0])
  expect(framed[1]?.[0]?.pieces[0]).not.toBe(framed[0]?.[0]?.pieces[0])
})

test('the same frames on another channel are another message', () => {
  const sealed = frames({ type: 'stream', content: { name: 'stdout', text: 'x' } })
  const [iopub, shell] = (['iopub', 'shell'] as const).map((channel) => dialect('').encode(channel, sealed)[0])
  expect(Buffer.concat(iopub?.pieces ?? []).toString()).toContain('"channel":"iopub"')
  expect(Buffer.concat(shell?.pieces ?? []).toString()).toContain('"channel":"shell"')
})

test.each([V1_SUBPROTOCOL, ''])('a large buffer is not copied in the framing "%s"', (name) => {
  const buffer = Buffer.alloc(1_000_000)
  const sealed = frames({ type: 'comm_msg', content: {}, buffers: [buffer] })
  expect(dialect(name).encode('iopub', sealed)[0]?.pieces).toContain(buffer)
})
