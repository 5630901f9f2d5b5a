/**
 * The executions of one kernel, as one of its clients.
 *
 * All are sent at once and wait in the kernel's own queue, among the requests of its other clients. What comes back
 * names the request that it belongs to by the bytes of its header, so messages for others cost one comparison.
 */

import { SavepointError } from '../../errors.js'
import type { Attachment, KernelClient } from '../../host/kernels/ports.js'
import { EMPTY_OBJECT, json, PROTOCOL_VERSION, type IncomingMessage, type RequestChannel } from '../../wire/message.js'
import { giveUp, hear, hearReply, isOver, type Execution, type Failure } from './execution.js'
import { Feed } from './feed.js'
import type { ExecutionLimits } from './limits.js'
import { summaryOf } from './model.js'
import { update } from './outputs.js'

export interface RunsParts {
  readonly attach: (client: KernelClient) => Attachment
  /** Subject of the token; names the sender in headers. */
  readonly username: string
  readonly limits: ExecutionLimits
  readonly date: () => Date
  /** An execution has ended. */
  readonly onOver: (execution: Execution) => void
}

export interface Run {
  readonly execution: Execution
  readonly feed: Feed
  readonly headerBytes: Buffer
}

type Content = Readonly<Record<string, unknown>>

export class KernelRuns implements KernelClient {
  readonly #parts: RunsParts
  readonly #runs = new Map<string, Run>()
  /** Those that have not ended, by their header; in the order in which they were sent. */
  readonly #open = new Map<string, Run>()
  readonly #clientId: string
  #attachment: Attachment | null = null
  #latest: Run | null = null
  /** What was asked after a restart, and the executions that were sent before. */
  #probe: { readonly headerBytes: Buffer; readonly before: readonly Run[] } | null = null
  #sent = 0

  constructor(clientId: string, parts: RunsParts) {
    this.#clientId = clientId
    this.#parts = parts
  }

  get(id: string): Run | null {
    return this.#runs.get(id) ?? null
  }

  list(): readonly Run[] {
    return [...this.#runs.values()]
  }

  get openCount(): number {
    return this.#open.size
  }

  /** How many of its kernel's executions are before it. */
  positionOf(execution: Execution): number {
    if (isOver(execution)) return 0
    return [...this.#open.values()].findIndex((run) => run.execution === execution)
  }

  forget(id: string): void {
    this.#runs.delete(id)
  }

  /** Throws what the kernel says of a client that it does not take. */
  send(execution: Execution): Run {
    this.#attachment ??= this.#parts.attach(this)
    const { request, id } = execution
    const message = this.#message('execute_request', id, EMPTY_OBJECT, {
      code: request.code,
      silent: false,
      store_history: request.storeHistory,
      user_expressions: {},
      allow_stdin: request.allowStdin,
      stop_on_error: true,
    })
    const run = { execution, headerBytes: message.headerBytes, feed: new Feed(this.#parts.limits.feedBytesMax) }
    this.#runs.set(id, run)
    this.#open.set(message.headerBytes.toString('latin1'), run)
    const wishes = Object.keys(request.wishes).length === 0 ? EMPTY_OBJECT : json({ savepoint: request.wishes })
    this.#attachment.send('shell', { ...message, metadataBytes: wishes })
    return run
  }

  /** Takes one back: what waits is not run any more, what runs is interrupted; so is what begins at this moment. */
  cancel({ execution }: Run): void {
    if (isOver(execution)) return
    execution.cancelling = true
    if (execution.status === 'running') this.#interrupt()
    else this.#attachment?.withdraw(execution.id)
  }

  /** Throws `already_settled` if nothing is asked. */
  answer({ execution, feed }: Run, value: string): void {
    const { question } = execution
    if (!question) throw new SavepointError('already_settled', 'This execution is not waiting for input.')
    execution.question = null
    feed.add('input_reply', '{}')
    this.#attachment?.send('stdin', this.#message('input_reply', this.#nextId(), question.headerBytes, { value }))
  }

  publish(_topic: string, frames: readonly Buffer[]): void {
    const [, , header, parent, , content] = frames
    if (!header || !parent || !content) return
    const run = this.#runOf(parent)
    if (!run) {
      if (content.includes('"display_id"')) this.#updateAll(content)
      else if (content.equals(DEAD)) this.#giveUpAll(ENDED)
      return
    }
    const type = stringOf(parse(header)['msg_type'])
    const { outputBytesMax } = this.#parts.limits
    const told = parse(content)
    if (content.includes('"display_id"')) this.#updateAll(content, run)
    const isNews = hear(run.execution, type, told, content.length, outputBytesMax)
    if (isNews) run.feed.add(type, oneLine(content))
    if (type === 'execute_input' && run.execution.cancelling) this.#interrupt()
    this.#closeIfOver(run)
  }

  reply(channel: RequestChannel, _routing: readonly Buffer[], frames: readonly Buffer[]): void {
    const [, , header, parent, metadata, content] = frames
    if (!header || !parent || !metadata || !content) return
    if (this.#probe?.headerBytes.equals(parent)) {
      const { before } = this.#probe
      this.#probe = null
      for (const lost of before) this.#giveUp(lost, RESTARTED)
      return
    }
    const run = this.#runOf(parent)
    if (!run) return
    if (channel === 'stdin') {
      const { prompt, password } = parse(content)
      run.execution.question = { prompt: stringOf(prompt), password: password === true, headerBytes: header }
      run.feed.add('input_request', oneLine(content))
      return
    }
    hearReply(run.execution, parse(content), parse(metadata))
    this.#closeIfOver(run)
  }

  notice(what: 'restarted' | 'ended'): void {
    if (what === 'ended') {
      this.#giveUpAll(ENDED)
      this.#attachment = null
      return
    }
    for (const run of [...this.#open.values()]) if (run.execution.status === 'running') this.#giveUp(run, RESTARTED)
    // Those that were sent during the restart are run after it; of the others nothing will be heard. The kernel serves
    // one request after the other: once it has come to this one, they are told apart.
    if (this.#open.size === 0) return
    const probe = this.#message('comm_info_request', this.#nextId(), EMPTY_OBJECT, {})
    this.#probe = { headerBytes: probe.headerBytes, before: [...this.#open.values()] }
    this.#attachment?.send('shell', probe)
  }

  #giveUpAll(failure: Failure): void {
    for (const run of [...this.#open.values()]) this.#giveUp(run, failure)
  }

  #giveUp(run: Run, failure: Failure): void {
    if (isOver(run.execution)) return
    giveUp(run.execution, failure)
    this.#closeIfOver(run)
  }

  #runOf(parent: Buffer): Run | null {
    if (this.#latest?.headerBytes.equals(parent)) return this.#latest
    const run = this.#open.get(parent.toString('latin1')) ?? null
    if (run) this.#latest = run
    return run
  }

  #closeIfOver(run: Run): void {
    const { execution, feed, headerBytes } = run
    if (!isOver(execution) || !this.#open.delete(headerBytes.toString('latin1'))) return
    if (this.#latest === run) this.#latest = null
    feed.add('end', JSON.stringify(summaryOf(execution, 0)))
    this.#parts.onOver(execution)
    if (this.#open.size > 0) return
    this.#attachment?.detach()
    this.#attachment = null
  }

  /** A display of an execution that has ended may be shown anew, or updated, by any cell. */
  #updateAll(content: Buffer, besides?: Run): void {
    const told = parse(content)
    for (const run of this.#runs.values()) {
      if (run !== besides) update(run.execution.outputs, told, content.length, this.#parts.limits.outputBytesMax)
    }
  }

  #interrupt(): void {
    this.#attachment?.send('control', this.#message('interrupt_request', this.#nextId(), EMPTY_OBJECT, {}))
  }

  #nextId(): string {
    this.#sent += 1
    return `${this.#clientId}_${this.#sent}`
  }

  #message(msg_type: string, msg_id: string, parentBytes: Buffer, content: Content): IncomingMessage {
    const header = {
      msg_id,
      msg_type,
      session: this.#clientId,
      username: this.#parts.username,
      date: this.#parts.date().toISOString(),
      version: PROTOCOL_VERSION,
    }
    const contentBytes = json(content)
    return { header, headerBytes: json(header), parentBytes, metadataBytes: EMPTY_OBJECT, contentBytes, buffers: [] }
  }
}

const DEAD = json({ execution_state: 'dead' })
const ENDED = failure('kernel_dead: The kernel ended before this did.')
const RESTARTED = failure('kernel_restarting: The kernel was restarted before this ended.')

function failure(evalue: string): Failure {
  return { ename: 'SavepointError', evalue, traceback: [`SavepointError: ${evalue}`] }
}

/** What a worker says is JSON, as a rule: user code can publish anything. */
function parse(bytes: Buffer): Content {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Content) : {}
  } catch {
    return {}
  }
}

function stringOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** Line ends lie between the tokens of JSON, never within. */
function oneLine(content: Buffer): string {
  return content.toString('utf8').replace(/[\r\n]+/g, ' ')
}
