/**
 * What a kernel says, on its way to clients: signed, numbered, merged where it is text, held for a moment where nobody
 * waits for it.
 *
 * Messages have their numbers in the order in which they go out.
 */

import type { Clock } from '../clock.js'
import type { Client, Effect } from '../kernel/effects.js'
import { seal } from '../wire/codec.js'
import { EMPTY_OBJECT, type OutgoingMessage } from '../wire/message.js'
import type { Signer } from '../wire/signature.js'
import { isSaid } from './journal/replay.js'
import type { Mark, MarkedMessage } from './journal/records.js'
import { Pacer, type PacerLimits } from './pacer.js'
import type { ClientPort } from './ports.js'

export interface OutletParts {
  readonly clients: ClientPort
  readonly clock: Clock
  /** Asked before each message. */
  readonly signer: () => Signer
  /** The `session` of every message. */
  readonly session: string
  readonly pacing: PacerLimits
  /** How long what is told at the beginning of a request waits for what follows. */
  readonly holdMs: number
  readonly nextSeq: () => number
  /** Merged text is about to go out. */
  readonly onText: (message: MarkedMessage) => void
}

/** A message that is ready to go out. */
export interface Sealed extends MarkedMessage {
  /** null: everybody. */
  readonly client: Client | null
}

type Text = Extract<Effect, { do: 'publish_stream' }>

export class Outlet {
  readonly #parts: OutletParts
  readonly #pacer: Pacer
  /** Publications that wait for what follows. */
  readonly #held: Sealed[] = []
  #cancelHold: (() => void) | null = null
  /** Something has gone out to clients since the event in hand. */
  #speaking = false

  constructor(parts: OutletParts) {
    this.#parts = parts
    this.#pacer = new Pacer(parts.clock, parts.pacing, (parentBytes, contentBytes) => {
      const message = this.seal(streamOf(parentBytes, contentBytes))
      parts.onText(message)
      this.#publish(message)
    })
  }

  /** An event is taken. */
  listen(): void {
    this.#speaking = false
  }

  /** Says it as soon as it may; `sealed` if it was sealed before. Effects of other kinds say nothing. */
  say(effect: Effect, sealed?: Sealed): void {
    if (!isSaid(effect)) return
    if (effect.do === 'publish_stream' && !sealed) {
      this.addText(effect)
    } else if (effect.do === 'publish' || effect.do === 'publish_stream') {
      this.#pacer.flush()
      const message = sealed ?? this.#sealed(effect)
      // Once something goes out, what else there is to say costs least if it goes along.
      if (effect.do === 'publish' && effect.soon && !this.#speaking) this.#hold(message)
      else this.#publish(message)
    } else {
      // On another socket: nobody can rely on the order between the two, but output that came first goes first.
      this.flush()
      this.#speaking = true
      const message = sealed ?? this.#sealed(effect)
      if (message.channel !== 'iopub' && message.client)
        this.#parts.clients.reply(message.channel, message.client, message.frames, message.seq)
    }
  }

  /** The messages of an event's effects, in their order, with their numbers. */
  sealAll(effects: readonly Effect[]): readonly Sealed[] {
    return effects.filter(isSaid).map((effect) => this.#sealed(effect))
  }

  /** Text that goes out merged with what comes before and after it. */
  addText({ name, parentBytes, text, flushed }: Text): void {
    this.#pacer.add(name, parentBytes, text, flushed)
  }

  /** Sends the text that was gathered, if that text would not be merged with it. */
  makeWay({ name, parentBytes }: Text): void {
    this.#pacer.makeWay(name, parentBytes)
  }

  /** Sends the text that was gathered. */
  flushText(): void {
    this.#pacer.flush()
  }

  /** Sends all that waits. */
  flush(): void {
    this.#pacer.flush()
    this.#release()
  }

  /** A publication, with its number; whoever asks for it sends it. */
  seal(message: OutgoingMessage): Sealed {
    return this.#seal('iopub', null, message)
  }

  #sealed(effect: Extract<Effect, { do: 'publish' | 'publish_stream' | 'reply' | 'ask_client' }>): Sealed {
    switch (effect.do) {
      case 'publish':
        return this.#seal('iopub', null, effect.message)
      case 'publish_stream': {
        const content = [HEADS[effect.name], effect.text, TAIL]
        return this.seal(streamOf(effect.parentBytes, Buffer.concat(content)))
      }
      case 'reply':
        return this.#seal(effect.channel, effect.client, effect.message)
      case 'ask_client':
        return this.#seal('stdin', effect.client, effect.message, effect.messageId)
    }
  }

  #seal(channel: Sealed['channel'], client: Client | null, message: OutgoingMessage, id?: string): Sealed {
    const { session, clock, signer } = this.#parts
    const seq = this.#parts.nextSeq()
    const msg_id = id ?? `${session}_${seq}`
    const frames = seal(message, { msg_id, session, date: clock.date().toISOString() }, signer())
    const [key, ...routing] = client?.routing ?? []
    return {
      seq,
      channel,
      client,
      to: client === null ? null : String(key ?? ''),
      routing,
      topic: message.type,
      frames,
      parent: this.#parentOf(message.parentBytes),
      mark: message.type === 'status' ? markOf(message.contentBytes) : 'none',
    }
  }

  #latestParent: { readonly bytes: Buffer; readonly id: string | null } = { bytes: EMPTY_OBJECT, id: null }

  /** Messages next to each other mostly belong to the same request. */
  #parentOf(bytes: Buffer): string | null {
    if (this.#latestParent.bytes !== bytes) this.#latestParent = { bytes, id: msgIdOf(bytes) }
    return this.#latestParent.id
  }

  #publish(message: Sealed): void {
    this.#release()
    this.#speaking = true
    this.#parts.clients.publish(message.topic, message.frames, message.seq)
  }

  /** To be sent with what follows: each message that a socket sends by itself costs a wake-up here and at the client. */
  #hold(message: Sealed): void {
    this.#held.push(message)
    this.#cancelHold ??= this.#parts.clock.after(this.#parts.holdMs, () => this.#release())
  }

  #release(): void {
    if (this.#held.length === 0) return
    this.#cancelHold?.()
    this.#cancelHold = null
    for (const { topic, frames, seq } of this.#held.splice(0)) this.#parts.clients.publish(topic, frames, seq)
  }
}

const HEADS = {
  stdout: Buffer.from('{"name":"stdout","text":"'),
  stderr: Buffer.from('{"name":"stderr","text":"'),
}
const TAIL = Buffer.from('"}')

function streamOf(parentBytes: Buffer, contentBytes: Buffer): OutgoingMessage {
  return { type: 'stream', parentBytes, metadataBytes: EMPTY_OBJECT, contentBytes, buffers: [] }
}

const BUSY = Buffer.from('{"execution_state":"busy"}')
const IDLE = Buffer.from('{"execution_state":"idle"}')

function markOf(content: Buffer): Mark {
  if (content.equals(BUSY)) return 'busy'
  return content.equals(IDLE) ? 'idle' : 'none'
}

function msgIdOf(header: Buffer): string | null {
  if (header.length <= 2) return null
  try {
    const { msg_id } = JSON.parse(header.toString()) as { msg_id?: unknown }
    return typeof msg_id === 'string' ? msg_id : null
  } catch {
    return null
  }
}
