/** What a list of checkpoints is asked for, from a query. */

import { SavepointError } from '../../errors.js'

const LIMIT = 100

export interface ListQuery {
  readonly branch?: string
  readonly q?: string
  readonly limit?: string
  readonly before?: string
}

/** Throws `bad_request`. */
export function listOptions(query: ListQuery) {
  const limit = query.limit === undefined ? LIMIT : Number(query.limit)
  if (!Number.isInteger(limit) || limit < 1) {
    throw new SavepointError('bad_request', 'limit must be a whole number above 0.', { limit: query.limit })
  }
  return { branch: query.branch ?? null, text: query.q || null, before: query.before ?? null, limit }
}
