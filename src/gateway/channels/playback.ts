/**
 * What a session gets of the time before it came: where in the journal that begins, and which messages it is.
 *
 * A new one gets the output of the requests that are being served, with the question that waits there if nobody is left
 * to answer it. One that comes back goes on where it was. Either may ask for more, or for nothing.
 */

import type { JournalMessage, MessageJournal } from '../../host/journal/messages.js'

export interface PlaybackWish {
  /** `none` of it, `all` that there is, what came after the message with this id; null: what is due. */
  readonly replay: string | null
  /** It comes for the first time. */
  readonly isNew: boolean
  /** Everything after this message it gets; for a new session the newest at the time when it came. */
  readonly goOnAt: number
  /** By which the kernel knows the session. */
  readonly key: string
  /** Whether nobody is left who would answer what was put to that session. */
  readonly isGone: (key: string) => boolean
}

export interface Playback {
  /** It begins after this message. */
  readonly from: number
  /** What comes after this message is no playback any more. */
  readonly upTo: number
  /** What comes after this message is its due: if it is not there it is missing. */
  readonly dueFrom: number
  /** Whether the session gets this message. */
  takes(message: JournalMessage): boolean
  /** Those of others that it gets at the end. */
  questions(): readonly JournalMessage[]
}

const HEADER = 2
const PARENT = 3
const CONTENT = 5

export function playback(journal: MessageJournal, wish: PlaybackWish): Playback {
  const { replay, isNew, goOnAt, key, isGone } = wish
  const upTo = journal.newest
  const questions = new Map<string, JournalMessage>()
  const found = { upTo, questions: () => [...questions.values()] }
  const isOwn = ({ to, seq }: JournalMessage): boolean => to === key && seq > goOnAt
  if (replay === 'none') return { ...found, from: upTo, dueFrom: upTo, takes: () => false }
  if (replay !== null) {
    const from = replay === 'all' ? 0 : (journal.seqOf(replay) ?? 0)
    const takes = (message: JournalMessage): boolean =>
      (message.to === null && !saysRestarting(message)) || isOwn(message)
    return { ...found, from: Math.min(from, goOnAt), dueFrom: upTo, takes: fromOn(from, takes, isOwn) }
  }
  const takesLater = (message: JournalMessage): boolean =>
    (message.to === null && !saysRestarting(message)) || message.to === key
  if (!isNew) return { ...found, from: goOnAt, dueFrom: goOnAt, takes: takesLater }
  const running = new Map(journal.running().map(({ msgId, seq }) => [msgId, seq]))
  const takes = (message: JournalMessage): boolean => {
    const { seq, to, channel, frames } = message
    const parent = running.size === 0 ? '' : idIn(frames[PARENT])
    if (to !== null && to !== key && channel === 'stdin' && running.has(parent)) {
      // Only the latest can still wait.
      if (isGone(to)) questions.set(parent, message)
      return false
    }
    return seq > goOnAt ? takesLater(message) : to === null && running.has(parent) && !saysRestarting(message)
  }
  const begins = [...running.values()].map((seq) => seq - 1)
  return { ...found, from: Math.min(goOnAt, ...begins), dueFrom: goOnAt, takes }
}

/** Before `from` only what the second one takes. */
function fromOn(
  from: number,
  takes: (message: JournalMessage) => boolean,
  before: (message: JournalMessage) => boolean,
): (message: JournalMessage) => boolean {
  return (message) => (message.seq > from ? takes(message) : before(message))
}

/** The id of a sealed message, or that of its parent. */
export function idOf(frames: readonly Buffer[]): string {
  return idIn(frames[HEADER])
}

function idIn(header: Buffer | undefined): string {
  try {
    const { msg_id } = JSON.parse(header?.toString('utf8') ?? '') as { readonly msg_id?: unknown }
    return typeof msg_id === 'string' ? msg_id : ''
  } catch {
    return ''
  }
}

const STATUS = Buffer.from('"restarting"')

/** A client answers this state by opening a new connection: with it replayed there, it would never end. */
function saysRestarting({ frames }: JournalMessage): boolean {
  const content = frames[CONTENT]
  return content !== undefined && content.length < 200 && content.includes(STATUS)
}
