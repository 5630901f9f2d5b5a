/**
 * What a process that dials in, a worker or a writer may say, checked where it comes in: user code can reach the link, and whatever it writes
 * there must not go further than here.
 *
 * Only what is relied upon is checked; a field that nobody knows is left alone.
 */

import type { Envelope, Hello, WorkerEvent, WorkerNotice, WriterEvent } from './protocol.js'

type Check = (value: unknown) => boolean
interface Shape {
  readonly fields: Readonly<Record<string, Check>>
  /** How many parts there must be at least. */
  readonly parts: number
}

const text: Check = (value) => typeof value === 'string'
const number: Check = (value) => typeof value === 'number' && Number.isFinite(value)
const oneOf =
  (...allowed: readonly unknown[]): Check =>
  (value) =>
    allowed.includes(value)
const list =
  (each: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(each)
const object: Check = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || value === null || check(value)
const record =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value) =>
    object(value) && fits(value as Readonly<Record<string, unknown>>, fields)
const linkError = record({ code: text, message: text, details: object })
const externalEffect = record({
  kind: oneOf('file_written', 'file_removed', 'process_started', 'socket_opened', 'database'),
  target: text,
  restored: oneOf(true, false),
})

const WORKER: Readonly<Record<(WorkerEvent | WorkerNotice)['kind'], Shape>> = {
  leased: { fields: {}, parts: 0 },
  stream: { fields: { name: oneOf('stdout', 'stderr'), parent: optional(text) }, parts: 1 },
  publish: {
    fields: { type: text, parent: optional(text), comm_id: optional(text), target_name: optional(text) },
    parts: 2,
  },
  reply: {
    fields: {
      seq: number,
      status: optional(oneOf('ok', 'error', 'aborted')),
      ename: optional(text),
      evalue: optional(text),
      source: optional(text),
      output: optional(text),
      returned: optional(list(number)),
      going_on: optional(list(number)),
      begins: optional(number),
      got: optional(number),
      faults: optional(number),
      seconds: optional(number),
      cpu_seconds: optional(number),
      system_seconds: optional(number),
    },
    parts: 2,
  },
  served: { fields: { seq: number }, parts: 0 },
  returned: { fields: { seq: number }, parts: 0 },
  subshell_closed: { fields: { subshell: text }, parts: 0 },
  input_request: { fields: { id: text, parent: optional(text) }, parts: 1 },
  input_abandoned: { fields: { id: text }, parts: 0 },
  ask: { fields: { id: text, op: text, parent: optional(text), args: object }, parts: 0 },
  taken: {
    fields: {
      snapshot: text,
      pid: number,
      ms: number,
      live: optional(oneOf(true, false)),
      mode: optional(oneOf('child', 'transplant', 'objects')),
      why: optional(text),
      hangs: optional(list(text)),
      limits: optional(list(text)),
      absent: optional(list(text)),
      comms: optional(list(text)),
      error: optional(text),
    },
    parts: 0,
  },
  left_behind: { fields: { limits: list(text) }, parts: 0 },
  hangs: { fields: { libraries: list(text) }, parts: 0 },
  handed_over: { fields: { snapshot: text, limits: list(text) }, parts: 0 },
  put_back: {
    fields: { snapshot: text, ms: number, effects: list(externalEffect), limits: list(text), error: optional(text) },
    parts: 0,
  },
  undone: { fields: { snapshot: text, effects: list(externalEffect), limits: list(text) }, parts: 0 },
  forked_writer: { fields: { checkpoint: text, pid: number, pause_ms: number, error: optional(text) }, parts: 0 },
  restored: {
    fields: {
      id: text,
      restored: number,
      lost: list(record({ name: text, type: text, reason: text })),
      warnings: list(text),
      ms: number,
      error: optional(linkError),
    },
    parts: 0,
  },
  namespace: { fields: { id: text, error: optional(linkError) }, parts: 0 },
  debug_info: { fields: {}, parts: 1 },
  log: { fields: { level: oneOf('info', 'warn', 'error'), text }, parts: 0 },
  interrupted: { fields: {}, parts: 0 },
}

const WRITER: Readonly<Record<WriterEvent['kind'], Shape>> = {
  writing: {
    fields: { checkpoint: text, done_bytes: number, total_bytes: optional(number), variable: optional(text) },
    parts: 0,
  },
  written: { fields: { checkpoint: text, ms: number }, parts: 0 },
  write_failed: { fields: { checkpoint: text, reason: text }, parts: 0 },
}

const HELLO: Shape = {
  fields: {
    kind: oneOf('hello'),
    role: oneOf('zygote', 'worker', 'writer', 'debugger'),
    kernel: text,
    token: text,
    pid: number,
    resumed: optional(record({ generation: optional(number), sent: optional(number), got: optional(number) })),
  },
  parts: 0,
}

/** The envelope as that of a process which introduces itself, or null if it is none. */
export function hello(envelope: Envelope): Hello | null {
  return fits(envelope as unknown as Readonly<Record<string, unknown>>, HELLO.fields) ? (envelope as Hello) : null
}

/** The envelope as an event of a worker, or null if it is none. */
export function workerEvent(envelope: Envelope, parts: readonly Buffer[]): WorkerEvent | WorkerNotice | null {
  return conforms(WORKER, envelope, parts) ? (envelope as WorkerEvent | WorkerNotice) : null
}

/** The envelope as an event of a checkpoint's writer, or null if it is none. */
export function writerEvent(envelope: Envelope, parts: readonly Buffer[]): WriterEvent | null {
  return conforms(WRITER, envelope, parts) ? (envelope as WriterEvent) : null
}

function conforms(shapes: Readonly<Record<string, Shape>>, envelope: Envelope, parts: readonly Buffer[]): boolean {
  const shape = Object.hasOwn(shapes, envelope.kind) ? shapes[envelope.kind] : undefined
  return (
    shape !== undefined &&
    parts.length >= shape.parts &&
    fits(envelope as unknown as Readonly<Record<string, unknown>>, shape.fields)
  )
}

function fits(value: Readonly<Record<string, unknown>>, fields: Readonly<Record<string, Check>>): boolean {
  for (const name in fields) if (!fields[name]?.(value[name])) return false
  return true
}
