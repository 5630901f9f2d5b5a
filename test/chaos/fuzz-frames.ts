/**
 * Malformed frames over each decoder: ZeroMQ, both framings of WebSockets, the worker's link.
 *
 *   node --expose-gc build/test/chaos/fuzz-frames.js COUNT SEED
 *
 * A decoder may accept or refuse by name (SavepointError with a code of its own); anything else is a crash in the making.
 * The last line is `N passed, N failed`; a test is one decoder.
 */

import { SavepointError } from '../../src/errors.js'
import { encodeFrame, FrameReader } from '../../src/link/framing.js'
import { workerEvent, writerEvent } from '../../src/link/shapes.js'
import { open } from '../../src/wire/codec.js'
import type { Channel } from '../../src/wire/message.js'
import { SignatureGuard } from '../../src/wire/signature.js'
import { SEALED_BEFORE_PARTS } from '../../src/wire/websocket.js'
import { decodeLegacyBinary, decodeLegacyText, encodeLegacy } from '../../src/wire/websocket-legacy.js'
import { decodeV1, encodeV1 } from '../../src/wire/websocket-v1.js'
import { Random } from '../fakes/random.js'
import { legacyFrames, linkFrames, signer, v1Frames, zmqMessages } from './golden.js'
import { below, spoiled } from './spoil.js'

/** More than this may not stay in memory, whatever number of frames was tried. */
const GROWTH_BYTES_MAX = 24 * 1024 * 1024
const ROUTING_FRAMES_MAX = 3

/** Tries one frame. Returns whether it was accepted; throws what the decoder throws. */
type Attempt = (random: Random) => boolean

const DECODERS: Readonly<Record<string, () => Attempt>> = {
  'ZeroMQ messages': () => {
    const guard = new SignatureGuard(signer)
    let sent = 0
    return (random) => {
      const good = [...random.pick(zmqMessages)]
      // One that came before is refused for that alone.
      good[3] = Buffer.from((good[3] ?? '').toString().replace('"msg_id":"m', `"msg_id":"m${(sent += 1)}-`))
      const frames = good.map((frame) => (random.chance(0.15) ? spoiled(random, frame, random.pick(good)) : frame))
      if (random.chance(0.2)) frames.splice(below(random, frames.length), below(random, ROUTING_FRAMES_MAX))
      if (random.chance(0.1)) frames.splice(below(random, frames.length), 0, random.pick(random.pick(zmqMessages)))
      // Most are signed with the right key after all, or nothing behind the signature would be tried.
      if (random.chance(0.8) && frames.length >= 7) frames[2] = signer?.(frames.slice(3, 7)) ?? Buffer.alloc(0)
      open(frames, guard)
      return true
    }
  },
  'WebSocket v1 frames': () => (random) => {
    const inside = random.chance(0.5)
    const frame = inside ? Buffer.concat(encodeV1(channel(random), spoiledParts(random))) : random.pick(v1Frames)
    decodeV1(inside ? frame : spoiled(random, frame, random.pick(v1Frames)))
    return true
  },
  'WebSocket legacy frames': () => (random) => {
    const frame = random.chance(0.5)
      ? spoiledLegacy(random)
      : spoiled(random, random.pick(legacyFrames), random.pick(legacyFrames))
    // Either kind of frame may hold what was meant for the other.
    if (frame[0] === 0x7b ? random.chance(0.95) : random.chance(0.05)) decodeLegacyText(frame)
    else decodeLegacyBinary(frame)
    return true
  },
  'frames of the link': () => (random) => {
    const reader = new FrameReader()
    const stream = Buffer.concat([
      random.pick(linkFrames),
      spoiled(random, random.chance(0.5) ? random.pick(linkFrames) : relabelled(random), random.pick(linkFrames)),
      random.pick(linkFrames),
    ])
    let accepted = 0
    for (let from = 0; from < stream.length;) {
      const to = from + 1 + below(random, random.chance(0.5) ? stream.length : 9)
      for (const { envelope, parts } of reader.push(stream.subarray(from, to))) {
        if (workerEvent(envelope, parts) ?? writerEvent(envelope, parts)) accepted += 1
      }
      from = to
    }
    return accepted > 1
  },
}

const VALUES = [null, true, 0, -1, 1e300, '', 'x', [], {}, [1], { a: 1 }, '__proto__', 'stream', 'reply', 'hello']

/** Parts of a message of which one is bad: the frame around them is as it should be. */
function spoiledParts(random: Random): Buffer[] {
  const parts = random.pick(zmqMessages).slice(1)
  const at = SEALED_BEFORE_PARTS + below(random, parts.length - SEALED_BEFORE_PARTS)
  return parts.map((part, index) => (index === at ? spoiled(random, part, random.pick(parts)) : part))
}

/** The same in the legacy framing; where the bad header is no JSON, its encoder would refuse it, and another one is bad. */
function spoiledLegacy(random: Random): Buffer {
  const parts = spoiledParts(random)
  const [good = []] = zmqMessages
  return Buffer.concat(encodeLegacy(channel(random), [...good.slice(1, 4), ...parts.slice(3)]).parts)
}

function channel(random: Random): Channel {
  return random.pick(['shell', 'control', 'stdin', 'iopub'])
}

/** A frame that is one, with an envelope in which a field is another one than it should be. */
function relabelled(random: Random): Buffer {
  const good = random.pick(linkFrames)
  const envelope = JSON.parse(good.toString('utf8', 8, 8 + good.readUInt32BE(4))) as Record<string, unknown>
  const { parts: lengths = [], ...fields } = envelope as { parts?: number[] } & Record<string, unknown>
  fields[random.pick([...Object.keys(fields), '__proto__', 'kind', 'parent', 'constructor'])] = random.pick(VALUES)
  const parts = (lengths as readonly number[]).map((length) => Buffer.alloc(random.chance(0.2) ? 0 : length))
  if (random.chance(0.2)) parts.pop()
  return Buffer.concat(encodeFrame(fields as { kind: string }, parts))
}

function collected(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers
}

/** What went wrong, or null. */
function fuzz(name: string, count: number, seed: number): string | null {
  const attempt = DECODERS[name]?.()
  const random = new Random(seed)
  const codes = new Map<string, number>()
  let accepted = 0
  let before = 0
  const began = performance.now()
  for (let n = 0; n < count; n += 1) {
    // What a decoder keeps by design (signatures that have come) has been filled by then.
    if (n === Math.floor(count / 4)) before = collected()
    try {
      if (attempt?.(random)) accepted += 1
    } catch (error) {
      if (!(error instanceof SavepointError))
        return `frame ${n} of seed ${seed}: ${(error as Error).stack ?? String(error)}`
      codes.set(error.code, (codes.get(error.code) ?? 0) + 1)
    }
  }
  const grown = collected() - before
  const refused = [...codes].map(([code, times]) => `${code} ${times}`).join(', ')
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  process.stdout.write(`${name}: ${count} tried in ${seconds} s, ${accepted} accepted; refused: ${refused}; `)
  process.stdout.write(`${(grown / 1024 ** 2).toFixed(1)} MiB more in memory\n`)
  if (grown > GROWTH_BYTES_MAX) return `memory has grown by ${grown} bytes`
  // A fuzzer whose frames are all alike tries nothing.
  if (accepted === 0 || codes.size === 0)
    return `frames were accepted ${accepted} times, and refused in ${codes.size} ways`
  return null
}

const [count = 20_000, seed = 1] = process.argv.slice(2).map(Number)
let strays = 0
process.on('unhandledRejection', (reason) => {
  strays += 1
  process.stdout.write(`FAIL an unhandled rejection: ${String(reason)}\n`)
})
let failed = 0
for (const name of Object.keys(DECODERS)) {
  const wrong = fuzz(name, count, seed)
  if (wrong === null) continue
  failed += 1
  process.stdout.write(`FAIL ${name}: ${wrong}\n`)
}
setImmediate(() => {
  const total = Object.keys(DECODERS).length
  failed = Math.min(total, failed + strays)
  process.stdout.write(`${total - failed} passed, ${failed} failed\n`)
  process.exitCode = failed > 0 ? 1 : 0
})
