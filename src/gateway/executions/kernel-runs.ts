/**
 * The executions of one kernel, as one of its clients.
 *
 * All are sent at once and wait in the kernel's own queue, among the requests of its other clients. What comes back
 * names the request that it belongs to by the bytes of its header, so messages for others cost one comparison.
 *
 * Each is recorded before it is sent, and what the kernel says of it stands in the kernel's journal: a later process of
 * the gateway goes on with them. One that was recorded and did not reach the kernel is sent then.
 */

import { SavepointError } from '../../errors.js'
import type { JournalMessage, MessageJournal } from '../../host/journal/messages.js'
import type { Attachment, KernelClient } from '../../host/kernels/ports.js'
import {
  EMPTY_OBJECT,
  json,
  PROTOCOL_VERSION,
  type Header,
  type IncomingMessage,
  type RequestChannel,
} from '../../wire/message.js'
import { giveUp, hear, hearReply, isOver, type Execution, type Failure } from './execution.js'
import { Feed } from './feed.js'
import type { ExecutionLimits } from './limits.js'
import { summaryOf } from './model.js'
import { update } from './outputs.js'
import { endOf, type ExecutionRecord, type ExecutionRecords } from './records.js'
import { endedRun, executionOf, messagesAfter, wholeRun, withWarning } from './restored.js'

export interface RunsParts {
  readonly kernelId: string
  readonly journal: MessageJournal
  /** null: they end with this process. */
  readonly records: ExecutionRecords | null
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
  /** Number of the message with the last question that was answered. */
  answered: number
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
  /** What was asked after a restart, and what is to become of the executions that were sent before. */
  #probe: { readonly headerBytes: Buffer; readonly settle: () => void } | null = null
  /** Those of an earlier process that have ended, until somebody asks for what they have put out. */
  readonly #stored = new Map<string, ExecutionRecord>()
  #sent = 0

  constructor(clientId: string, parts: RunsParts) {
    this.#clientId = clientId
    this.#parts = parts
  }

  get(id: string): Run | null {
    const record = this.#stored.get(id)
    if (record?.end && this.#stored.delete(id)) {
      const runs = new KernelRuns(this.#clientId, { ...this.#parts, records: null, onOver: () => {} })
      this.#runs.set(id, wholeRun(record, record.end, runs, this.#parts))
    }
    return this.#runs.get(id) ?? null
  }

  /** Perhaps without what it has put out. */
  find(id: string): Run | null {
    return this.#runs.get(id) ?? null
  }

  /** Whether all is there that is known of it. */
  isWhole(id: string): boolean {
    return !this.#stored.has(id)
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
    this.#stored.delete(id)
    this.#parts.records?.forget(id)
  }

  /** Goes on with those of an earlier process, and returns those of them that have ended. `lives`: the kernel serves. */
  takeUp(lives: boolean): readonly Run[] {
    const records = this.#parts.records?.all() ?? []
    const { journal, kernelId, limits } = this.#parts
    const ended = records.flatMap((record) => {
      if (record.end === null) return []
      this.#stored.set(record.id, record)
      const run = endedRun(record, record.end, kernelId, limits.feedBytesMax)
      this.#runs.set(record.id, run)
      return [run]
    })
    const open = records.filter(({ end }) => end === null)
    for (const record of open) {
      const isCut = journal.oldest > record.seq + 1
      const run = this.recall(isCut ? { ...record, request: withWarning(record) } : record)
      if (isCut) run.feed.forget(journal.oldest - 1)
    }
    const first = Math.min(...open.map(({ seq }) => seq))
    if (open.length > 0) for (const message of messagesAfter(journal, first)) this.hear(message)
    if (!lives) this.#giveUpAll(ENDED)
    else if (this.#open.size > 0) this.#goOn()
    return ended
  }

  /** Waits for what the kernel says of an execution that was sent by somebody else. */
  recall(record: ExecutionRecord): Run {
    const execution = executionOf(record, this.#parts.kernelId)
    const { header, answered } = record
    const feed = new Feed(this.#parts.limits.feedBytesMax)
    const run = { execution, headerBytes: Buffer.from(header), feed, answered }
    this.#runs.set(record.id, run)
    this.#open.set(run.headerBytes.toString('latin1'), run)
    return run
  }

  /** Takes a message that the kernel has said before. */
  hear({ to, channel, frames, seq }: JournalMessage): void {
    if (to === null) this.publish('', frames, seq)
    else if (to === REST && channel !== 'iopub') this.reply(channel, [], frames, seq)
  }

  /** Throws what the kernel says of a client that it does not take. */
  send(execution: Execution): Run {
    this.#attachment ??= this.#parts.attach(this)
    const { request, id, createdAt } = execution
    const { records, journal, limits } = this.#parts
    const header = this.#header('execute_request', id)
    const run = { execution, headerBytes: json(header), feed: new Feed(limits.feedBytesMax), answered: 0 }
    this.#runs.set(id, run)
    this.#open.set(run.headerBytes.toString('latin1'), run)
    const created_at = createdAt.toISOString()
    records?.begin({ id, seq: journal.newest, header: run.headerBytes.toString(), created_at, request })
    this.#transmit(run, header)
    return run
  }

  /** Takes one back: what waits is not run any more, what runs is interrupted; so is what begins at this moment. */
  cancel({ execution }: Run): void {
    if (isOver(execution)) return
    execution.cancelling = true
    this.#parts.records?.cancel(execution.id)
    if (execution.status === 'running') this.#interrupt()
    else this.#attachment?.withdraw(execution.id)
  }

  /** Throws `already_settled` if nothing is asked. */
  answer(run: Run, value: string): void {
    const { execution } = run
    const { question } = execution
    if (!question) throw new SavepointError('already_settled', 'This execution is not waiting for input.')
    // First, since the kernel may ask the next question at once; the record last, for an answer may come twice, not never.
    this.#answered(run, question.seq)
    this.#attachment?.send('stdin', this.#message('input_reply', this.#nextId(), question.headerBytes, { value }))
    this.#parts.records?.answer(execution.id, question.seq)
  }

  publish(_topic: string, frames: readonly Buffer[], seq: number): void {
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
    if (isNews) run.feed.add(type, oneLine(content), seq)
    if (type === 'execute_input' && run.execution.cancelling) this.#interrupt()
    this.#closeIfOver(run, seq)
  }

  reply(channel: RequestChannel, _routing: readonly Buffer[], frames: readonly Buffer[], seq: number): void {
    const [, , header, parent, metadata, content] = frames
    if (!header || !parent || !metadata || !content) return
    if (this.#probe?.headerBytes.equals(parent)) {
      const { settle } = this.#probe
      this.#probe = null
      settle()
      return
    }
    const run = this.#runOf(parent)
    if (!run) return
    if (channel === 'stdin') {
      const { prompt, password } = parse(content)
      run.execution.question = { prompt: stringOf(prompt), password: password === true, headerBytes: header, seq }
      run.feed.add('input_request', oneLine(content), seq)
      if (seq <= run.answered) this.#answered(run, seq)
      return
    }
    hearReply(run.execution, parse(content), parse(metadata))
    this.#closeIfOver(run, seq)
  }

  notice(what: 'restarted' | 'ended'): void {
    if (what === 'ended') {
      this.#parts.records?.discard()
      this.#giveUpAll(ENDED)
      this.#attachment = null
      return
    }
    for (const run of [...this.#open.values()]) if (run.execution.status === 'running') this.#giveUp(run, RESTARTED)
    // Those that were sent during the restart are run after it; of the others nothing will be heard. The kernel serves
    // one request after the other: once it has come to this one, they are told apart.
    if (this.#open.size > 0) this.#settleOpen((run) => this.#giveUp(run, RESTARTED))
  }

  /** What has reached the kernel ends as always; the rest is sent now. */
  #goOn(): void {
    this.#attachment = this.#parts.attach(this)
    for (const run of this.#open.values()) if (run.execution.cancelling) this.cancel(run)
    this.#settleOpen((run) => {
      if (run.execution.cancelling) this.#giveUp(run, RESTARTED)
      else this.#transmit(run, parse(run.headerBytes) as unknown as Header)
    })
  }

  /** What becomes of those that have not ended when the kernel has served all that came to it until now. */
  #settleOpen(settle: (run: Run) => void): void {
    const before = [...this.#open.values()]
    const probe = this.#message('comm_info_request', this.#nextId(), EMPTY_OBJECT, {})
    this.#probe = {
      headerBytes: probe.headerBytes,
      settle: () => {
        for (const run of before) if (!isOver(run.execution)) settle(run)
      },
    }
    this.#attachment?.send('shell', probe)
  }

  #transmit({ execution, headerBytes }: Run, header: Header): void {
    const { request } = execution
    const contentBytes = json({
      code: request.code,
      silent: false,
      store_history: request.storeHistory,
      user_expressions: {},
      allow_stdin: request.allowStdin,
      stop_on_error: true,
    })
    const metadataBytes = Object.keys(request.wishes).length === 0 ? EMPTY_OBJECT : json({ savepoint: request.wishes })
    const rest = { parentBytes: EMPTY_OBJECT, metadataBytes, contentBytes, buffers: [] }
    this.#attachment?.send('shell', { header, headerBytes, ...rest })
  }

  #answered(run: Run, seq: number): void {
    run.answered = seq
    run.execution.question = null
    run.feed.add('input_reply', '{}')
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

  #closeIfOver(run: Run, seq?: number): void {
    const { execution, feed, headerBytes } = run
    if (!isOver(execution) || !this.#open.delete(headerBytes.toString('latin1'))) return
    if (this.#latest === run) this.#latest = null
    feed.add('end', JSON.stringify(summaryOf(execution, 0)), seq)
    this.#parts.records?.end(execution.id, endOf(execution, seq ?? this.#parts.journal.newest))
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

  #header(msg_type: string, msg_id: string): Header {
    const { username, date } = this.#parts
    return {
      msg_id,
      msg_type,
      session: this.#clientId,
      username,
      date: date().toISOString(),
      version: PROTOCOL_VERSION,
    }
  }

  #message(msg_type: string, msg_id: string, parentBytes: Buffer, content: Content): IncomingMessage {
    const header = this.#header(msg_type, msg_id)
    const contentBytes = json(content)
    return { header, headerBytes: json(header), parentBytes, metadataBytes: EMPTY_OBJECT, contentBytes, buffers: [] }
  }
}

/** What kernels call this client. */
export const REST = 'rest'

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
