/** From the body of a request to what is to be run. */

import type { RunRequest } from './execution.js'

interface RunBody {
  readonly code: string
  readonly idempotency_key?: string
  readonly store_history?: boolean
  readonly allow_stdin?: boolean
}

/** What goes into `metadata.savepoint` as it is: the kernel knows the values. */
const WISHES: readonly string[] = ['timeout_s', 'transaction', 'checkpoint', 'stream_mode']
const OTHERS: readonly string[] = ['code', 'idempotency_key', 'store_history', 'allow_stdin']

/** `known`: further fields that the route reads itself. */
export function runRequestOf(body: RunBody, allowStdin: boolean, known: readonly string[] = []): RunRequest {
  const given = Object.entries(body)
  return {
    code: body.code,
    idempotencyKey: body.idempotency_key ?? null,
    allowStdin: body.allow_stdin ?? allowStdin,
    storeHistory: body.store_history !== false,
    wishes: Object.fromEntries(given.filter(([name]) => WISHES.includes(name))),
    warnings: given
      .filter(([name]) => !WISHES.includes(name) && !OTHERS.includes(name) && !known.includes(name))
      .map(([name]) => `Ignored the field ${name}: this version does not know it.`),
  }
}
