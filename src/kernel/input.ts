/**
 * Questions on stdin: who is asked, who may answer, which answers come too late.
 *
 * The worker asks; the question goes to the client whose request caused it (for a background task, that of the cell that
 * began it), under an id of ours. An answer that names another question, or comes when none is open, is dropped: it must
 * not feed the next `input()`.
 *
 * A client that cannot know what it missed is asked again if the gateway was killed just after it was asked: question or
 * answer may have been on its way. A client that had seen the question answers twice, and its second answer may name
 * nothing. So the first one is held for a moment, in which the second finds no open question and is dropped.
 *
 * Docs: https://jupyter-client.readthedocs.io/en/stable/messaging.html#messages-on-the-stdin-router-dealer-channel
 */

import type { WorkerEvent } from '../link/protocol.js'
import { EMPTY_OBJECT, type IncomingMessage, type OutgoingMessage } from '../wire/message.js'
import type { Client } from './effects.js'
import { run, waitFor, type Operation } from './operation.js'
import { command, log } from './send.js'
import { mint, parentOf, type KernelState, type Question } from './state.js'

/** How long a question or its answer may be on its way. */
const ON_ITS_WAY_MS = 1_000
/** How long after the first answer to a question that was put twice the second one may come. */
const TWIN_MS = 300

type InputRequest = Extract<WorkerEvent, { kind: 'input_request' }>

export function ask(state: KernelState, event: InputRequest, content: Buffer): void {
  const { turn } = state
  const asking = event.parent === null ? undefined : state.parents.get(event.parent)?.client
  const client =
    turn?.request.message.header.msg_id === event.parent ? turn.request.client : (asking ?? state.latestClient)
  if (!client) return
  const messageId = mint(state)
  const message: OutgoingMessage = {
    type: 'input_request',
    parentBytes: parentOf(state, event.parent),
    metadataBytes: EMPTY_OBJECT,
    contentBytes: content,
    buffers: [],
  }
  state.questions.push({ id: event.id, client, messageId, put: { at: state.now, message } })
  state.effects.push({ do: 'ask_client', client, messageId, message })
}

/** This process is another one than before, which was there until `seenAt` (milliseconds since the epoch) or later. */
export function askAgain(state: KernelState, seenAt: number): void {
  for (const question of state.questions) {
    const { client, messageId, put } = question
    if (client.misses !== true || put === undefined || put.at < seenAt - ON_ITS_WAY_MS) continue
    question.isTwice = true
    state.effects.push({ do: 'ask_client', client, messageId, message: put.message })
  }
}

/** A message on stdin: the answer to the question that it names, or to the oldest one put to that client. */
export function answer(state: KernelState, client: Client, message: IncomingMessage): void {
  if (message.header.msg_type !== 'input_reply') return
  const named = parentId(message.parentBytes)
  const index = state.questions.findIndex((each) =>
    named === null || named.type !== 'input_request' ? sameClient(each.client, client) : each.messageId === named.id,
  )
  const [question] = index < 0 ? [] : state.questions.splice(index, 1)
  if (!question) {
    log(state, 'info', 'late_input_dropped')
    return
  }
  const tell = (): void => command(state, { kind: 'input', id: question.id }, [message.contentBytes])
  if (question.isTwice === true) run(state, twinOf(question), tell)
  else tell()
}

function* twinOf({ messageId }: Question): Operation<void> {
  try {
    yield* waitFor<void>(`twin:${messageId}`, TWIN_MS)
  } catch {
    // That is what was waited for.
  }
}

/** The worker stopped waiting: it was interrupted. */
export function abandon(state: KernelState, id: string): void {
  const index = state.questions.findIndex((each) => each.id === id)
  if (index >= 0) state.questions.splice(index, 1)
}

/** Clients put different things into an input_reply's parent: the question's header, the cell's, or nothing. */
function parentId(bytes: Buffer): { id: string; type: string } | null {
  try {
    const parent = JSON.parse(bytes.toString()) as { msg_id?: unknown; msg_type?: unknown } | null
    const { msg_id, msg_type } = parent ?? {}
    return typeof msg_id === 'string' && typeof msg_type === 'string' ? { id: msg_id, type: msg_type } : null
  } catch {
    return null
  }
}

function sameClient(a: Client, b: Client): boolean {
  return a.routing.length === b.routing.length && a.routing.every((id, i) => b.routing[i]?.equals(id) === true)
}
