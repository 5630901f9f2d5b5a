/** Words that clients use of transactions: policies, engines, names. Checked here, whatever the way they came. */

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
    throw new SavepointError('unknown_policy', `There is no policy ${JSON.stringify(name)}. Use one of ${known}.`, {
      policy: name,
    })
  }
  return policy
}

/** Checks the engine that was asked for. Throws `unknown_engine` or `engine_unavailable`. */
export function checkEngine(name: unknown): void {
  if (name === 'auto' || name === 'fork') return
  if (name === 'objects') {
    throw new SavepointError('engine_unavailable', "The engine 'objects' is not available here. Use 'auto' or 'fork'.")
  }
  throw new SavepointError('unknown_engine', `There is no engine ${JSON.stringify(name)}. Use 'auto' or 'fork'.`, {
    engine: name,
  })
}

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
