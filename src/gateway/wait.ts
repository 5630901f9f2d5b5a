/** How long a request may be waited for, as its query says. */

import { SavepointError } from '../errors.js'

/** Milliseconds of `wait_s`; `initialS` if it is not there. Throws `bad_request`. */
export function waitMsOf(text: string | undefined, initialS: number, maxS: number): number {
  if (text === undefined) return initialS * 1_000
  const seconds = /^\d{1,9}(\.\d{1,9})?$/.test(text) ? Number(text) : NaN
  if (seconds <= maxS) return seconds * 1_000
  throw new SavepointError('bad_request', `wait_s must be a number of seconds from 0 to ${maxS}.`, { wait_s: text })
}
