/** Performs a transcript with whatever can take the kernel's side: a pure step, or a process behind sockets. */

import { mismatch, Names } from './match.js'
import type { Line, Transcript } from './transcript.js'

export interface Speech {
  readonly channel: string
  readonly type: string
  readonly content: unknown
  readonly metadata: unknown
  readonly parent: unknown
  readonly buffers: readonly string[]
  readonly by: string
}

export interface Hearing {
  readonly type: string
  readonly content: unknown
  readonly metadata: unknown
  readonly buffers: readonly string[]
  readonly header: { readonly msg_id: string; readonly msg_type: string }
  /** msg_id of the parent header, or null. */
  readonly parent: string | null
  /** Grows with each message where the order between channels is known; else null. */
  readonly order: number | null
}

/** The kernel, as a transcript sees it. */
export interface Stage {
  readonly isOurs: boolean
  /** Sends a message; resolves with its msg_id. */
  say(speech: Speech): Promise<string>
  /** The next message on a channel; rejects when none comes. */
  hear(channel: string, client: string): Promise<Hearing>
  /** For a worker and a store that are scripted; absent where they are real. */
  readonly script?: (line: Line, names: Names) => void
  /** What came and was not expected. */
  rest(): Promise<readonly string[]>
}

const DEFAULT_CLIENT = 'ann'

/** Rejects with an Error that shows the line that failed, why, and what was heard until then. */
export async function perform(transcript: Transcript, stage: Stage): Promise<void> {
  const names = new Names()
  const labels = new Map<string, Hearing['header']>()
  const log: string[] = []
  let barrier = -1
  let latest = -1
  const hear = async (line: Line): Promise<void> => {
    const { channel, type, marks } = line
    const client = typeof marks['by'] === 'string' ? marks['by'] : DEFAULT_CLIENT
    const next = async (): Promise<Hearing> => {
      const hearing = await stage.hear(channel, client)
      log.push(`< ${channel} ${hearing.type} ${JSON.stringify(names.canonical(hearing.content))}`)
      return hearing
    }
    const hearing = await wholeStream(await next(), line, next)
    if (hearing.type !== type) throw new Error(`expected ${type}, got ${hearing.type}`)
    const wrong =
      mismatch(line.values[0] ?? {}, names.canonical(hearing.content)) ??
      mismatch(marks['meta'] ?? {}, names.canonical(hearing.metadata), 'metadata') ??
      mismatch(marks['buffers'] ?? hearing.buffers, hearing.buffers, 'buffers')
    if (wrong !== null) throw new Error(wrong)
    if (typeof marks['of'] === 'string' && labels.get(marks['of'])?.msg_id !== hearing.parent) {
      throw new Error(`its parent header is not that of ${marks['of']}`)
    }
    if (typeof marks['as'] === 'string') labels.set(marks['as'], hearing.header)
    if (hearing.order === null) return
    if (hearing.order < barrier) throw new Error('it came before what stands above the barrier')
    latest = Math.max(latest, hearing.order)
  }
  const say = async ({ channel, type, values, marks }: Line): Promise<void> => {
    const by = typeof marks['by'] === 'string' ? marks['by'] : DEFAULT_CLIENT
    const parent = typeof marks['answers'] === 'string' ? labels.get(marks['answers']) : {}
    if (parent === undefined) throw new Error(`no message was named ${String(marks['answers'])}`)
    const content = names.actual(values[0] ?? {})
    const buffers = (marks['buffers'] ?? []) as string[]
    const msg_id = await stage.say({ channel, type, content, metadata: marks['meta'] ?? {}, parent, buffers, by })
    if (typeof marks['as'] === 'string') labels.set(marks['as'], { msg_id, msg_type: type })
  }
  for (const line of transcript.lines) {
    if (stage.isOurs ? line.marks['theirs'] : line.marks['ours']) continue
    try {
      if (line.kind === 'says') await say(line)
      else if (line.kind === 'hears') await hear(line)
      else if (line.kind === 'barrier') barrier = latest
      else stage.script?.(line, names)
    } catch (error) {
      throw failure(line, error, log)
    }
  }
  const rest = await stage.rest()
  if (rest.length > 0) throw new Error(`More came than was written down:\n${rest.join('\n')}`)
}

/** A stream may come in more pieces than were written down. */
async function wholeStream(first: Hearing, line: Line, next: () => Promise<Hearing>): Promise<Hearing> {
  const wanted = (line.values[0] as { text?: unknown } | undefined)?.text
  let whole = first
  while (line.type === 'stream' && whole.type === 'stream' && typeof wanted === 'string') {
    const text = textOf(whole)
    if (text.length >= wanted.length || !wanted.startsWith(text)) break
    const more = await next()
    if (more.type !== 'stream') throw new Error(`the stream stops after ${JSON.stringify(text)}`)
    whole = { ...more, content: { ...(more.content as object), text: text + textOf(more) } }
  }
  return whole
}

function textOf({ content }: Hearing): string {
  const { text } = content as { text?: unknown }
  return typeof text === 'string' ? text : ''
}

function failure(line: Line, error: unknown, log: readonly string[]): Error {
  const why = error instanceof Error ? error.message : String(error)
  const heard = log.slice(-12).join('\n  ')
  return new Error(`Line ${line.number}: ${why}\n  ${line.text}\nHeard until then:\n  ${heard}`, { cause: error })
}
