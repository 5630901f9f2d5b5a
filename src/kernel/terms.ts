/** Words that clients use of transactions: policies, engines, names. Checked here, whatever the way they came. */

import { config } from '../config.js'
import { SavepointError } from '../errors.js'

/** What becomes of a transaction when the code in it ends. `commit_on_success` and `dry_run` are other names. */
export type Policy = 'rollback_on_failure' | 'rollback_always' | 'explicit'
const POLICIES: Readonly<Record<string, Policy | null>> = {
  commit_always: null,
  commit_on_success: 'rollback_on_failure',
  rollback_on_failure: 'rollback_on_failure',
  rollback_always: 'rollback_always',
  dry_run: 'rollback_always',
  explicit: 'explicit',
}

/** The policy of that name, null for `commit_always` (which needs no transaction). Throws `unknown_policy`. */
export function policyNamed(name: unknown): Policy | null {
  const policy = typeof name === 'string' && Object.hasOwn(POLICIES, name) ? POLICIES[name] : undefined
  if (policy === undefined) {
    const known = Object.keys(POLICIES).join(', ')
    throw new SavepointError('unknown_policy', `There is no policy '${inShort(name)}'. Use one of ${known}.`, {
      policy: inShort(name),
    })
  }
  return policy
}

/** What a state is kept as: a frozen copy of the process, or copies of what the variables hold. */
export type Engine = 'fork' | 'objects'
export const ENGINES: readonly Engine[] = ['fork', 'objects']
/** `auto`: the process is copied, unless it cannot be. */
export type EngineWish = Engine | 'auto'

/** The engine that was asked for. Throws `unknown_engine`. */
export function engineNamed(name: unknown): EngineWish {
  if (name === undefined || name === null) return 'auto'
  if (name === 'auto' || name === 'fork' || name === 'objects') return name
  throw new SavepointError(
    'unknown_engine',
    `There is no engine '${inShort(name)}'. Use 'auto', 'fork' or 'objects'.`,
    {
      engine: inShort(name),
    },
  )
}

/** What becomes of a transaction when the client that began it has gone. */
export type OnDisconnect = 'keep' | 'rollback' | 'commit'

/** Throws `bad_request`. */
export function onDisconnectNamed(value: unknown): OnDisconnect {
  if (value === undefined || value === null || value === 'keep') return 'keep'
  if (value === 'rollback' || value === 'commit') return value
  throw new SavepointError('bad_request', "on_disconnect must be 'keep', 'rollback' or 'commit'.", {
    on_disconnect: inShort(value),
  })
}

/** How long a transaction may stay open, in seconds; null: as long as it likes. Throws `bad_request`. */
export function timeoutOf(value: unknown): number | null {
  if (value === undefined || value === null) return null
  const most = config.transactionTimeoutSMax
  if (typeof value === 'number' && value > 0 && value <= most) return value
  throw new SavepointError('bad_request', `timeout_s must be a number of seconds above 0, at most ${most}.`, {
    timeout_s: inShort(value),
  })
}

/** The id of a transaction that is asked for; null: the innermost. Throws `bad_request`. */
export function transactionId(value: unknown): string | null {
  if (value === undefined || value === null) return null
  if (typeof value === 'string') return value
  throw new SavepointError('bad_request', 'transaction must be the id of one, a string.', {
    transaction: inShort(value),
  })
}

/** What somebody sent, for an error that tells of it: no more of it than a person would read. */
export function inShort(value: unknown): string {
  // Writing out what is nested deeply takes a stack as deep.
  const text = typeof value === 'object' && value !== null ? (Array.isArray(value) ? '[…]' : '{…}') : String(value)
  return text.length <= SHORT_MAX ? text : `${text.slice(0, SHORT_MAX)}…`
}
const SHORT_MAX = 100

/** Checks a name that a client gives: null, or 1 to 200 characters without `/` and control characters. */
export function checkName(name: unknown): string | null {
  if (name === null || name === undefined) return null
  // eslint-disable-next-line no-control-regex
  if (typeof name === 'string' && name.length >= 1 && name.length <= 200 && !/[/\u0000-\u001f\u007f]/.test(name))
    return name
  throw new SavepointError(
    'name_invalid',
    'A name has 1 to 200 characters, no slash and no control characters. Choose another one.',
  )
}

/** The same for a name that there has to be. */
export function requiredName(name: unknown): string {
  const checked = checkName(name)
  if (checked !== null) return checked
  throw new SavepointError('name_invalid', 'A name is needed here: 1 to 200 characters, no slash.')
}
