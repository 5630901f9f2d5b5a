/**
 * One run of code by REST: from what its client asked for to the record that it reads.
 *
 *     queued -> running -> ok | error | cancelled
 *     queued -> aborted (a cell before it failed, or the kernel ended) | cancelled
 *
 * It ends when its reply and its idle have both come, in whichever order: all output lies before idle.
 */

import { fold, noOutputs, OUTPUT_TYPES, type Outputs } from './outputs.js'

/** What a client asks for, checked. */
export interface RunRequest {
  readonly code: string
  readonly idempotencyKey: string | null
  /** Whether `input()` may ask; if not, it raises StdinNotImplementedError. */
  readonly allowStdin: boolean
  readonly storeHistory: boolean
  /** For `metadata.savepoint` of the execute_request; the kernel checks the values. */
  readonly wishes: Readonly<Record<string, unknown>>
  /** What was asked for and is not understood. */
  readonly warnings: readonly string[]
}

export type Ending = 'ok' | 'error' | 'aborted' | 'cancelled'
export type Status = 'queued' | 'running' | Ending

/** What `input()` asks. */
export interface Question {
  readonly prompt: string
  readonly password: boolean
  /** Of the input_request: its answer names it as the parent. */
  readonly headerBytes: Buffer
  /** Number of that message. */
  readonly seq: number
}

export interface Failure {
  readonly ename: string
  readonly evalue: string
  readonly traceback: readonly string[]
}

type Content = Readonly<Record<string, unknown>>

export interface Execution {
  readonly id: string
  readonly kernelId: string
  readonly request: RunRequest
  readonly createdAt: Date
  status: Status
  /** Its client took it back; until the interrupt is noticed it runs on. */
  cancelling: boolean
  executionCount: number | null
  readonly outputs: Outputs
  failure: Failure | null
  /** `metadata.savepoint` of its reply. */
  savepoint: Content | null
  question: Question | null
  /** `status` of its reply; null: none has come. */
  replied: 'ok' | 'error' | 'aborted' | null
  idle: boolean
}

export function newExecution(id: string, kernelId: string, request: RunRequest, createdAt: Date): Execution {
  return {
    id,
    kernelId,
    request,
    createdAt,
    status: 'queued',
    cancelling: false,
    executionCount: null,
    outputs: noOutputs(),
    failure: null,
    savepoint: null,
    question: null,
    replied: null,
    idle: false,
  }
}

export function isOver({ status }: Execution): boolean {
  return status !== 'queued' && status !== 'running'
}

/** Takes a publication whose parent it is; `size` in bytes. Says whether that is for those who follow it. */
export function hear(execution: Execution, type: string, content: Content, size: number, bytesMax: number): boolean {
  if (type === 'status') {
    execution.idle ||= content['execution_state'] === 'idle'
    settle(execution)
    return false
  }
  if (type === 'execute_input') {
    execution.status = 'running'
    execution.executionCount = numberOf(content['execution_count'])
    return true
  }
  if (!OUTPUT_TYPES.has(type)) return false
  fold(execution.outputs, type, content, size, bytesMax)
  if (type === 'error') execution.failure = failureOf(content)
  return true
}

/** Takes its execute_reply. */
export function hearReply(execution: Execution, content: Content, metadata: Content): void {
  const status = content['status']
  execution.replied = status === 'ok' || status === 'error' ? status : 'aborted'
  execution.question = null
  execution.savepoint = objectOf(metadata['savepoint'])
  if (execution.replied !== 'aborted') {
    execution.executionCount = numberOf(content['execution_count']) ?? execution.executionCount
  }
  if (execution.replied === 'error') execution.failure = failureOf(content)
  settle(execution)
}

/** Its kernel is gone, or begins anew: there will be no reply. */
export function giveUp(execution: Execution, failure: Failure): void {
  execution.question = null
  execution.failure = failure
  execution.status = execution.cancelling ? 'cancelled' : execution.status === 'running' ? 'error' : 'aborted'
}

function settle(execution: Execution): void {
  const { replied, idle, cancelling } = execution
  if (replied === null || !idle) return
  // Taken back in the moment in which it ended: then it has ended.
  execution.status = cancelling && replied !== 'ok' ? 'cancelled' : replied
}

function failureOf(content: Content): Failure {
  const { ename, evalue, traceback } = content
  return {
    ename: typeof ename === 'string' ? ename : '',
    evalue: typeof evalue === 'string' ? evalue : '',
    traceback: Array.isArray(traceback) ? traceback.map(String) : [],
  }
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null
}

function objectOf(value: unknown): Content | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null
}
