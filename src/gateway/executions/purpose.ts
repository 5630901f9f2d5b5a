/** What a kernel of `POST /api/execute` is for, for a later process of the gateway: a file in the kernel's folder. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** `session` null: one run of code, for a request that waits. */
export interface Purpose {
  readonly session: string | null
}

const FILE = 'execute.json'

/** Throws what the file system throws. */
export function keepPurpose(folder: string, purpose: Purpose): void {
  writeFileSync(join(folder, FILE), JSON.stringify(purpose), { mode: 0o600 })
}

/** null: somebody asked for the kernel as such. */
export function purposeIn(folder: string): Purpose | null {
  try {
    const { session } = JSON.parse(readFileSync(join(folder, FILE), 'utf8')) as Partial<Purpose>
    return { session: typeof session === 'string' ? session : null }
  } catch {
    return null
  }
}
