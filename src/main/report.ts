/** What a command that failed says, and with which exit code it ends. */
import { SavepointError } from '../errors.js'

/** 0 done, 1 failed, 2 wrong usage (nothing was done). */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const

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
  return error.code === 'USAGE' ? EXIT.usage : EXIT.failed
}
