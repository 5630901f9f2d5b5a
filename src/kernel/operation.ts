/**
 * Operations of several steps, written as generators.
 *
 * An operation asks for effects, then yields what it waits for; the step resumes it when that event comes. So a
 * rollback (hand over, wake, wait, welcome) reads from top to bottom, and is still a pure function of the events.
 * Every wait has a deadline: it then sees a `timeout` error.
 */

import { SavepointError } from '../errors.js'
import type { KernelState } from './state.js'

export interface Wait {
  /** Key of the event, such as `taken:sn_1`. */
  readonly key: string
  readonly withinMs: number
}
export type Operation<T> = Generator<Wait, T, unknown>

/** Waits, inside an operation, until `settle` is called for the key. Throws what it is settled with, or `timeout`. */
export function* waitFor<T>(key: string, withinMs: number): Operation<T> {
  return (yield { key, withinMs }) as T
}

/** Runs an operation as far as it goes; `done` is called once, with its result or the error that ended it. */
export function run<T>(state: KernelState, operation: Operation<T>, done: (outcome: Outcome<T>) => void): void {
  const resume = (move: () => IteratorResult<Wait, T>): void => {
    let result: IteratorResult<Wait, T>
    try {
      result = move()
    } catch (error) {
      done({ ok: false, error: asSavepointError(error) })
      return
    }
    if (result.done === true) {
      done({ ok: true, value: result.value })
      return
    }
    const { key, withinMs } = result.value
    state.waiters.set(key, (value, error) => resume(() => (error ? operation.throw(error) : operation.next(value))))
    state.effects.push({ do: 'deadline', id: key, afterMs: withinMs })
  }
  resume(() => operation.next())
}

/**
 * An operation failed after it had given up the worker, and there is no other one: whoever ran it has to see to that.
 * Another error that comes while a worker is replaced is no concern of theirs: somebody else is at it.
 */
export class LeftWithoutWorker extends SavepointError {
  constructor({ code, message, details }: SavepointError) {
    super(code, message, details)
  }
}

export type Outcome<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: SavepointError }

/** Resumes whoever waits for `key`; false if nobody does. */
export function settle(state: KernelState, key: string, value: unknown, error: SavepointError | null = null): boolean {
  const waiter = state.waiters.get(key)
  if (!waiter) return false
  state.waiters.delete(key)
  state.effects.push({ do: 'cancel_deadline', id: key })
  waiter(value, error)
  return true
}

/** Ends all waits whose key starts with one of `prefixes`. */
export function failWaits(state: KernelState, prefixes: readonly string[], error: SavepointError): void {
  for (const key of [...state.waiters.keys()]) {
    if (prefixes.some((prefix) => key.startsWith(prefix))) settle(state, key, null, error)
  }
}

/** What was thrown, in the form of all errors; what is no error of ours is `internal`. */
export function asSavepointError(error: unknown): SavepointError {
  if (error instanceof SavepointError) return error
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return new SavepointError('internal', `The operation failed: ${message}`, {}, { cause: error })
}
