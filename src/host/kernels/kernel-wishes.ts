/** What a client asks of a kernel to be: which of it is let in, and what it is refused with. */

import { SavepointError } from '../../errors.js'
import type { KernelRequest } from './ports.js'

/** An id as Jupyter's routes know them: five words joined by `-`. It becomes part of file names. */
export function checkedId(id: string | null): string | null {
  if (id === null || /^(?=.{9,64}$)\w+(-\w+){4}$/.test(id)) return id
  throw new SavepointError('bad_request', 'A kernel_id must look like a UUID: five words joined by "-".')
}

/** The same client gets the same only if it asks for the same: whatever a kernel was made from is part of the key. */
export function affinityOf(
  { affinity, owner, name, guard, checkpoint }: KernelRequest,
  environment: Readonly<Record<string, string>>,
  cwd: string,
): string | null {
  // Nobody has left a kernel that is just at that checkpoint.
  if (affinity === null || checkpoint !== undefined) return null
  const variables = Object.entries(environment).filter(([variable]) => variable !== 'KERNEL_ID')
  return JSON.stringify([owner, affinity, name, cwd, variables.toSorted(), guard ?? null])
}

export function taken(id: string): SavepointError {
  return new SavepointError('already_exists', 'There is a kernel of this id already. Choose another id.', {
    kernel_id: id,
  })
}

export function shuttingDown(): SavepointError {
  return new SavepointError('starting', 'The gateway is shutting down. Try again when it is back.')
}

/** When another one ends is not known; nobody need ask more often than this. */
export function full(message: string, details: Readonly<Record<string, unknown>>): SavepointError {
  return new SavepointError('quota_exceeded', message, { ...details, retry_after_s: 10 })
}
