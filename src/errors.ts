/**
 * The one error class and the table of its codes.
 *
 * A code is for programs to branch on and never changes; the message tells a person what happened and what to do; the
 * details are evidence and never hold secrets (keys, tokens, digests). Codes in snake_case are public (the same over
 * comms, in Python and in replies); codes in capitals stay inside the gateway and its log.
 */

export const PUBLIC_CODES = [
  'bad_request',
  'unknown_op',
  'unknown_policy',
  'unknown_engine',
  'name_invalid',
  'format_unsupported',
  'unauthorized',
  'forbidden',
  'foreign_checkpoint',
  'not_found',
  'unknown_kernel',
  'unknown_kernelspec',
  'unknown_session',
  'unknown_execution',
  'unknown_checkpoint',
  'unknown_transaction',
  'unknown_savepoint',
  'unknown_snapshot',
  'no_transaction',
  'transaction_open',
  'nothing_to_undo',
  'nothing_to_redo',
  'too_deep',
  'already_exists',
  'already_settled',
  'kernel_busy',
  'must_be_last',
  'not_available',
  'cancelled',
  'kernel_dead',
  'kernel_restarting',
  'subshell_lost',
  'starting',
  'engine_unavailable',
  'snapshot_failed',
  'restore_failed',
  'damaged_checkpoint',
  'too_large',
  'rate_limited',
  'quota_exceeded',
  'snapshot_refused',
  'queue_full',
  'storage_failed',
  'timeout',
  'internal',
] as const
export type PublicCode = (typeof PUBLIC_CODES)[number]

/** Refusals and faults that a client never sees. */
export const INTERNAL_CODES = [
  'WIRE_NO_DELIMITER',
  'WIRE_TOO_FEW_FRAMES',
  'WIRE_BAD_SIGNATURE',
  'WIRE_REPLAYED',
  'WIRE_BAD_JSON',
  'WIRE_BAD_SHAPE',
  'WIRE_BAD_FRAME',
  'WIRE_UNKNOWN_CHANNEL',
  'WIRE_UNKNOWN_SCHEME',
  'CONNECTION_FILE_INVALID',
  'PORT_IN_USE',
  'REGISTRATION_FAILED',
  'LINK_BAD_FRAME',
  'LINK_REFUSED',
  'PYTHON_NOT_FOUND',
  'PYTHON_TOO_OLD',
  'PYTHON_NO_VENV',
  'PROVISION_FAILED',
  'ZYGOTE_FAILED',
  'USAGE',
] as const
export type InternalCode = (typeof INTERNAL_CODES)[number]

export type ErrorCode = PublicCode | InternalCode

export class SavepointError extends Error {
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>

  constructor(
    code: ErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'SavepointError'
    this.code = code
    this.details = details
  }
}

/** For the default branch of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new SavepointError('internal', `Unexpected value: ${JSON.stringify(value)}`)
}
