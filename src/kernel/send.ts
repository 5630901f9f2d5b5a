/** The few ways in which the kernel makes something go out. */

import type { LogFields, LogLevel } from '../log.js'
import type { WorkerCommand } from '../link/protocol.js'
import { EMPTY_OBJECT, json, type OutgoingMessage } from '../wire/message.js'
import type { StreamName } from './effects.js'
import type { KernelState, Request } from './state.js'
import { publishStream } from './streams.js'

export interface Body {
  readonly content: Buffer
  readonly metadata?: Buffer
  readonly buffers?: readonly Buffer[]
}

/** To everybody, on iopub. */
export function publish(state: KernelState, type: string, parentBytes: Buffer, body: Body): void {
  state.effects.push({ do: 'publish', topic: type, message: publication(type, parentBytes, body) })
}

/** To everybody, together with what follows within a moment: for what is told at the beginning of every request. */
export function publishSoon(state: KernelState, type: string, parentBytes: Buffer, body: Body): void {
  state.effects.push({ do: 'publish', topic: type, message: publication(type, parentBytes, body), soon: true })
}

function publication(type: string, parentBytes: Buffer, body: Body): OutgoingMessage {
  return {
    type,
    parentBytes,
    metadataBytes: body.metadata ?? EMPTY_OBJECT,
    contentBytes: body.content,
    buffers: body.buffers ?? [],
  }
}

/** The protocol's execution state, with the request that it belongs to. */
export function publishStatus(
  state: KernelState,
  execution_state: 'busy' | 'idle' | 'starting',
  parentBytes: Buffer,
): void {
  const send = execution_state === 'busy' ? publishSoon : publish
  send(state, 'status', parentBytes, { content: STATUS[execution_state] })
}
const STATUS = {
  busy: json({ execution_state: 'busy' }),
  idle: json({ execution_state: 'idle' }),
  starting: json({ execution_state: 'starting' }),
}

export function publishText(state: KernelState, name: StreamName, parentBytes: Buffer, text: string): void {
  publishStream(state, name, parentBytes, Buffer.from(JSON.stringify(text).slice(1, -1)))
}

/** The one answer to a request, to the client that asked, on the channel that it used. */
export function reply(state: KernelState, request: Request, body: Body): void {
  state.effects.push({
    do: 'reply',
    channel: request.channel,
    client: request.client,
    message: {
      type: request.message.header.msg_type.replace(/_request$/, '_reply'),
      parentBytes: request.message.headerBytes,
      metadataBytes: body.metadata ?? EMPTY_OBJECT,
      contentBytes: body.content,
      buffers: body.buffers ?? [],
    },
  })
}

export function command(state: KernelState, command: WorkerCommand, parts: readonly Buffer[] = []): void {
  state.effects.push({ do: 'command', command, parts })
}

export function log(state: KernelState, level: LogLevel, event: string, fields: LogFields = {}): void {
  state.effects.push({ do: 'log', level, event, fields })
}
