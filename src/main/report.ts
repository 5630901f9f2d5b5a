/** What a command that failed says, and with which exit code it ends. */
import { SavepointError, type ErrorCode } from '../errors.js'

/** 2: wrong usage (nothing was done). 3: what was asked for, or the gateway, is not there. 4: not authorised. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  unauthorized: 4,
  deadline: 5,
  interrupted: 130,
} as const

const EXIT_OF: Readonly<Partial<Record<ErrorCode, number>>> = {
  USAGE: EXIT.usage,
  not_found: EXIT.notFound,
  unknown_kernel: EXIT.notFound,
  unknown_kernelspec: EXIT.notFound,
  unauthorized: EXIT.unauthorized,
  unknown_execution: EXIT.notFound,
  unknown_checkpoint: EXIT.notFound,
  forbidden: EXIT.unauthorized,
  timeout: EXIT.deadline,
}

/** Writes the failure to stderr and returns the exit code. A fault of ours shows its stack, a refusal does not. */
export function reportFailure(
  error: unknown,
  write: (text: string) => unknown = (text) => process.stderr.write(text),
): number {
  if (!(error instanceof SavepointError)) {
    write(`savepoint: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    return EXIT.failed
  }
  write(`savepoint: ${error.message}\n`)
  return EXIT_OF[error.code] ?? EXIT.failed
}
