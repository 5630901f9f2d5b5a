/** How a process ended. */

import { constants } from 'node:os'

export interface Death {
  readonly code: number | null
  readonly signal: { readonly name: string; readonly number: number } | null
  /** Why it was ended, where more is known than signal or code; the end of a sentence that begins with "since". */
  readonly why?: string
  /** What that is called. */
  readonly name?: string
}

/** As a zygote tells it. */
export function deathOf({ code, signal }: { readonly code: number | null; readonly signal: number | null }): Death {
  if (signal === null) return { code, signal }
  const name = Object.entries(constants.signals).find(([, value]) => value === signal)?.[0] ?? `signal ${signal}`
  return { code, signal: { name, number: signal } }
}
