/** HTTP status of every public error code: the one place where they meet. */

import type { ErrorCode } from '../errors.js'

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  bad_request: 400,
  unknown_op: 400,
  unknown_policy: 400,
  unknown_engine: 400,
  name_invalid: 400,
  format_unsupported: 400,
  unauthorized: 401,
  forbidden: 403,
  foreign_checkpoint: 403,
  not_found: 404,
  unknown_kernel: 404,
  unknown_kernelspec: 404,
  unknown_session: 404,
  unknown_execution: 404,
  unknown_checkpoint: 404,
  unknown_transaction: 404,
  unknown_savepoint: 404,
  unknown_snapshot: 404,
  no_transaction: 409,
  transaction_open: 409,
  nothing_to_undo: 409,
  nothing_to_redo: 409,
  too_deep: 409,
  already_exists: 409,
  already_settled: 409,
  kernel_busy: 409,
  must_be_last: 409,
  not_available: 409,
  cancelled: 409,
  subshell_lost: 409,
  kernel_dead: 410,
  too_large: 413,
  engine_unavailable: 422,
  snapshot_failed: 422,
  restore_failed: 422,
  damaged_checkpoint: 422,
  rate_limited: 429,
  quota_exceeded: 429,
  snapshot_refused: 429,
  queue_full: 429,
  internal: 500,
  kernel_restarting: 503,
  starting: 503,
  storage_failed: 503,
  timeout: 504,
}

/** 500 for codes that no client should see. */
export function statusOf(code: ErrorCode): number {
  return STATUS[code] ?? 500
}
