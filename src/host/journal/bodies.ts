/**
 * The bodies of records as bytes.
 *
 * What happens with each cell and each output is written in a form of its own, which takes a third of the time:
 *
 *     form u8 | bytes of the JSON u32 | JSON | number of parts u32 | lengths of the parts u32 each | parts
 *
 * Everything else is as `v8.serialize` writes it, which begins with another byte: values of any shape, with bytes at any
 * depth. Both are read wherever a body stands.
 */

import { deserialize, serialize } from 'node:v8'
import type { KernelEvent } from '../../kernel/effects.js'
import type { Chunks } from './chunks.js'

/** 0xff is that of `v8.serialize`. */
const FORM = { plain: 1, worker: 2, message: 3 } as const

type FromWorker = Extract<KernelEvent, { on: 'worker' }>
type FromClient = Extract<KernelEvent, { on: 'message' }>

/** Writes a body without its length. `isEvent`: it is a KernelEvent. */
export function writeBody(chunks: Chunks, body: unknown, isEvent: boolean): void {
  if (isEvent && writeEvent(chunks, body as KernelEvent)) return
  chunks.add(serialize(body))
}

/** A body of numbers, strings, booleans, null and objects and lists of these. */
export function writePlain(chunks: Chunks, body: object | null): void {
  write(chunks, FORM.plain, body, [])
}

function writeEvent(chunks: Chunks, event: KernelEvent): boolean {
  switch (event.on) {
    case 'worker':
      writeFromWorker(chunks, event)
      return true
    case 'message':
      writeFromClient(chunks, event)
      return true
    case 'snapshot_gone':
    case 'deadline':
    case 'settled':
      writePlain(chunks, event)
      return true
    default:
      return false
  }
}

/** Its `event` came as JSON. */
function writeFromWorker(chunks: Chunks, { generation, frame, event, parts }: FromWorker): void {
  write(chunks, FORM.worker, { generation, frame, event }, parts)
}

function writeFromClient(chunks: Chunks, { channel, client, message }: FromClient): void {
  const { routing, ...traits } = client
  const { header, headerBytes, parentBytes, metadataBytes, contentBytes, buffers } = message
  const parts = [...routing, headerBytes, parentBytes, metadataBytes, contentBytes, ...buffers]
  write(chunks, FORM.message, { channel, traits, routing: routing.length, header }, parts)
}

function write(chunks: Chunks, form: number, json: object | null, parts: readonly Buffer[]): void {
  chunks.u8(form)
  chunks.sizedText(JSON.stringify(json))
  chunks.u32(parts.length)
  for (const { length } of parts) chunks.u32(length)
  for (const part of parts) chunks.add(part)
}

/** Throws for what is no body. */
export function readBody(bytes: Buffer): unknown {
  switch (bytes[0]) {
    case FORM.plain:
      return read(bytes).json
    case FORM.worker: {
      const { json, parts } = read(bytes)
      return {
        on: 'worker',
        ...(json as Pick<FromWorker, 'generation' | 'frame' | 'event'>),
        parts,
      } satisfies FromWorker
    }
    case FORM.message:
      return readFromClient(bytes)
    default:
      return deserialize(bytes)
  }
}

interface FromClientJson {
  readonly channel: FromClient['channel']
  readonly traits: Omit<FromClient['client'], 'routing'>
  readonly routing: number
  readonly header: FromClient['message']['header']
}

function readFromClient(bytes: Buffer): FromClient {
  const { json, parts } = read(bytes)
  const { channel, traits, routing, header } = json as FromClientJson
  const [headerBytes, parentBytes, metadataBytes, contentBytes, ...buffers] = parts.slice(routing)
  if (!headerBytes || !parentBytes || !metadataBytes || !contentBytes) throw new Error('A message has too few parts.')
  const message = { header, headerBytes, parentBytes, metadataBytes, contentBytes, buffers }
  return { on: 'message', channel, client: { routing: parts.slice(0, routing), ...traits }, message }
}

function read(bytes: Buffer): { readonly json: unknown; readonly parts: readonly Buffer[] } {
  let at = 5 + bytes.readUInt32BE(1)
  const json: unknown = JSON.parse(bytes.toString('utf8', 5, at))
  const lengths = Array.from({ length: bytes.readUInt32BE(at) }, (_, i) => bytes.readUInt32BE(at + 4 + 4 * i))
  at += 4 + 4 * lengths.length
  return { json, parts: lengths.map((length) => bytes.subarray(at, (at += length))) }
}
