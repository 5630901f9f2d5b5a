/**
 * The debugger's requests, which work whatever the kernel does: while a cell runs, while it stands at a breakpoint, and
 * between cells.
 *
 * They have a queue of their own, in which each waits for the response to the one before. As long as nobody debugs,
 * what clients ask to draw their buttons is answered here. The first request that needs more has the worker start the
 * debugger's thread; when the debugger was disconnected and nothing waits, the thread is dismissed.
 *
 * Docs: https://jupyter-client.readthedocs.io/en/stable/messaging.html#debug-request
 */

import { SavepointError } from '../errors.js'
import type { DebuggerEvent } from '../link/protocol.js'
import { json } from '../wire/message.js'
import { waking } from './awakening.js'
import { dropDebugger } from './debugger-state.js'
import type { KernelEvent } from './effects.js'
import { run, settle, waitFor, type Operation } from './operation.js'
import { parseObject } from './policy.js'
import { log, publish, publishStatus, reply } from './send.js'
import { mint, type KernelState, type Request } from './state.js'

/** Requests that need a debugger's thread although nobody debugs. ipykernel answers all others with `{}`. */
const STARTING = new Set<unknown>(['initialize', 'inspectVariables', 'richInspectVariables', 'modules'])

/** Serves what waits, as far as that is possible now. */
export function serveDebugger(state: KernelState): void {
  const { debugging } = state
  const [first] = debugging.queue
  if (first && state.phase === 'idle') waking(state, first)
  while (debugging.current === null && debugging.queue.length > 0 && isReady(state)) {
    const request = debugging.queue.shift()
    if (!request) return
    debugging.current = request
    debugging.parent = request.message.headerBytes
    publishStatus(state, 'busy', request.message.headerBytes)
    run(state, answerTo(state, request), (outcome) => {
      const content = outcome.ok ? outcome.value : failure(request, outcome.error)
      reply(state, request, { content })
      publishStatus(state, 'idle', request.message.headerBytes)
      debugging.current = null
    })
  }
}

function isReady({ debugging, phase, worker }: KernelState): boolean {
  if (debugging.possible === false || phase === 'stopping') return true
  return (
    debugging.possible === true && debugging.info !== null && phase !== 'switching' && (worker?.pid ?? null) !== null
  )
}

function* answerTo(state: KernelState, request: Request): Operation<Buffer> {
  const { debugging } = state
  if (!debugging.possible) return json({})
  if (state.phase === 'stopping') throw new SavepointError('kernel_restarting', 'The kernel is shutting down.')
  const { command, seq } = parseObject(request.message.contentBytes)
  if (debugging.token === null) {
    if (command === 'debugInfo') return infoReply(state, seq)
    if (!STARTING.has(command)) return json({})
    // Before the thread is there: nothing may be frozen from now on.
    if (command === 'initialize') debugging.attached = true
    yield* call(state)
  }
  if (command === 'initialize') debugging.attached = true
  state.effects.push({
    do: 'tell_debugger',
    command: { kind: 'debug_request', seq: request.seq },
    parts: [request.message.contentBytes],
  })
  const answer = yield* orDrop(state, waitFor<Answer>(`debug:${request.seq}`, state.options.limits.debugRequestMs))
  debugging.attached = answer.attached
  if (!answer.attached && debugging.queue.length === 0) dropDebugger(state, 'nobody debugs')
  return answer.content
}

interface Answer {
  readonly content: Buffer
  readonly attached: boolean
}

function* call(state: KernelState): Operation<void> {
  const { debugging, worker } = state
  const token = mint(state)
  debugging.token = token
  if (worker?.pid) state.effects.push({ do: 'call_debugger', pid: worker.pid, token })
  yield* orDrop(state, waitFor<void>(`debugger_up:${token}`, state.options.limits.debuggerUpMs))
}

/** A debugger that does not answer is given up; the next request starts another one. */
function* orDrop<T>(state: KernelState, step: Operation<T>): Operation<T> {
  try {
    return yield* step
  } catch (error) {
    dropDebugger(state, 'it did not answer in time')
    throw error
  }
}

/** Takes what the debugger's thread says, or that it came or went. What comes from an earlier one is ignored. */
export function hearDebugger(state: KernelState, happened: DebuggerHappening): void {
  if (happened.token !== state.debugging.token) return
  if (happened.on === 'debugger_up') settle(state, `debugger_up:${happened.token}`, null)
  else if (happened.on === 'debugger_gone') dropDebugger(state, 'its connection was closed')
  else hear(state, happened.event, happened.parts[0] ?? json({}))
}

type DebuggerHappening = Extract<KernelEvent, { on: 'debugger' | 'debugger_up' | 'debugger_gone' }>

function hear(state: KernelState, event: DebuggerEvent, content: Buffer): void {
  if (event.kind === 'debug_reply') settle(state, `debug:${event.seq}`, { content, attached: event.attached })
  else if (event.kind === 'debug_event') publish(state, 'debug_event', state.debugging.parent, { content })
  else log(state, event.level, 'debugger_says', { text: event.text })
}

function infoReply(state: KernelState, seq: unknown): Buffer {
  const body: unknown = JSON.parse((state.debugging.info ?? '{}').toString())
  return json({ type: 'response', request_seq: seq, success: true, command: 'debugInfo', body })
}

/** A response of the debug adapter protocol, since clients look for `success`. */
function failure(request: Request, error: SavepointError): Buffer {
  const { command, seq } = looselyParsed(request.message.contentBytes)
  return json({ type: 'response', request_seq: seq, command, success: false, message: error.message })
}

function looselyParsed(bytes: Buffer): Readonly<Record<string, unknown>> {
  try {
    return parseObject(bytes)
  } catch {
    return {}
  }
}
