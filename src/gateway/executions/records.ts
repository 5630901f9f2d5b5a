/**
 * Executions of one kernel for the gateway that comes after this one: a file of lines of JSON, in the kernel's folder.
 *
 *     {"id", "seq", "header", "created_at", "request"}    it is about to be sent; `seq`: of the newest message then
 *     {"id", "cancelling": true}                          its client took it back
 *     {"id", "answered": 7}                               so was the question in that message
 *     {"id", "end": {...}}                                it has ended
 *     {"id", "forgotten": true}
 *
 * A line is written before what it says is done. What an execution has put out stands in the kernel's journal; only
 * what is small is kept here as well, for the time when the journal has it no more.
 */

import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Log } from '../../log.js'
import type { Ending, Execution, Failure, RunRequest } from './execution.js'
import type { Output } from './outputs.js'

export interface ExecutionEnd {
  readonly status: Ending
  /** Of the newest message then. */
  readonly seq: number
  readonly execution_count: number | null
  readonly error: Failure | null
  readonly savepoint: Readonly<Record<string, unknown>> | null
  /** null: more than is kept here. */
  readonly outputs: readonly Output[] | null
  readonly bytes_cut: number
}

export interface ExecutionRecord {
  readonly id: string
  readonly seq: number
  /** Of its execute_request, as it was sent. */
  readonly header: string
  readonly created_at: string
  readonly request: RunRequest
  readonly cancelling: boolean
  /** `seq` of the last question that was answered. */
  readonly answered: number
  readonly end: ExecutionEnd | null
}

type Line = { readonly id: string } & Partial<ExecutionRecord> & { readonly forgotten?: true }

const FILE = 'executions.jsonl'
/** Outputs of an execution that are kept beside the journal. */
const KEPT_BYTES_MAX = 16_384
/** From here on it is worth writing anew what of the file still counts. */
const COMPACTED_BYTES_MIN = 1_048_576

export class ExecutionRecords {
  readonly #folder: string
  readonly #log: Log
  readonly #records = new Map<string, ExecutionRecord>()
  #file: number | null = null
  #bytes = 0
  #compactedBytes = 0
  #failed = false
  #isOver = false

  /** Reads what there is. Never throws: what cannot be kept is lost with this process only. */
  constructor(folder: string, log: Log) {
    this.#folder = folder
    this.#log = log
    for (const line of this.#lines()) this.#take(line)
  }

  all(): readonly ExecutionRecord[] {
    return [...this.#records.values()]
  }

  begin(record: Omit<ExecutionRecord, 'cancelling' | 'answered' | 'end'>): void {
    this.#write(record)
  }

  cancel(id: string): void {
    this.#write({ id, cancelling: true })
  }

  /** It was answered: told afterwards, for a question that is put twice does no harm. */
  answer(id: string, answered: number): void {
    this.#write({ id, answered })
  }

  end(id: string, end: ExecutionEnd): void {
    this.#write({ id, end })
  }

  forget(id: string): void {
    if (this.#records.has(id)) this.#write({ id, forgotten: true })
  }

  /** The kernel has ended: nothing is kept any more. */
  discard(): void {
    this.#isOver = true
    this.#close()
    rmSync(join(this.#folder, FILE), { force: true })
  }

  #close(): void {
    if (this.#file !== null) closeSync(this.#file)
    this.#file = null
  }

  #lines(): Line[] {
    try {
      const text = readFileSync(join(this.#folder, FILE), 'utf8')
      this.#bytes = text.length
      return text.split('\n').flatMap(lineOf)
    } catch {
      // There are none yet.
      return []
    }
  }

  #take(line: Line): void {
    const before = this.#records.get(line.id)
    if (line.forgotten === true) this.#records.delete(line.id)
    else if (before !== undefined) this.#records.set(line.id, { ...before, ...line })
    else if (line.header !== undefined && line.request !== undefined) {
      const { id, header, request, seq = 0, created_at = '', cancelling = false, answered = 0, end = null } = line
      this.#records.set(id, { id, seq, header, created_at, request, cancelling, answered, end })
    }
  }

  #write(line: Line): void {
    if (this.#isOver) return
    this.#take(line)
    const text = `${JSON.stringify(line)}\n`
    try {
      if (this.#failed || this.#bytes > Math.max(COMPACTED_BYTES_MIN, 2 * this.#compactedBytes)) return this.#compact()
      this.#file ??= this.#open()
      writeSync(this.#file, text)
      this.#bytes += text.length
    } catch (error) {
      this.#fail(error)
    }
  }

  #open(): number {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
    return openSync(join(this.#folder, FILE), 'a', 0o600)
  }

  #compact(): void {
    this.#close()
    const text = this.all()
      .map((record) => `${JSON.stringify(record)}\n`)
      .join('')
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
      const path = join(this.#folder, FILE)
      writeFileSync(`${path}.new`, text, { mode: 0o600 })
      renameSync(`${path}.new`, path)
      this.#failed = false
      this.#bytes = text.length
      this.#compactedBytes = text.length
    } catch (error) {
      this.#fail(error)
    }
  }

  /** All of it is written anew with the next line. */
  #fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error)
    if (!this.#failed) this.#log('error', 'storage_failed', { file: join(this.#folder, FILE), message })
    this.#failed = true
  }
}

/** `seq`: of the newest message. */
export function endOf(execution: Execution, seq: number): ExecutionEnd {
  const { status, executionCount, failure, savepoint, outputs } = execution
  return {
    status: status as Ending,
    seq,
    execution_count: executionCount,
    error: failure,
    savepoint,
    outputs: outputs.bytes > KEPT_BYTES_MAX ? null : outputs.list,
    bytes_cut: outputs.bytesCut,
  }
}

/** None for what is no line of ours: the last one may have been cut off. */
function lineOf(text: string): Line[] {
  try {
    const line = JSON.parse(text) as Partial<Line> | null
    return typeof line?.id === 'string' ? [line as Line] : []
  } catch {
    return []
  }
}
