/** What may be said of an error that is not ours. Its text is never passed on: it might quote a client's message. */

export interface Fault {
  readonly fault: string
  readonly code: string
  /** The place in the program where it happened. */
  readonly at: string | undefined
}

/** For the log. */
export function faultOf(error: unknown): Fault {
  const { name, stack } = fieldsOf(error)
  const at =
    typeof stack === 'string' ? stack.split('\n').find((line) => line.trimStart().startsWith('at ')) : undefined
  return { fault: typeof name === 'string' ? name : typeof error, code: codeOf(error), at: at?.trim() }
}

/** The system's name of an error, such as ENOENT; "unknown" if it has none. */
export function codeOf(error: unknown): string {
  const { code } = fieldsOf(error)
  return typeof code === 'string' ? code : 'unknown'
}

/** Errors of Node and of native modules need not be instances of the `Error` that this module sees. */
function fieldsOf(error: unknown): { name?: unknown; stack?: unknown; code?: unknown } {
  return typeof error === 'object' && error !== null ? error : {}
}
