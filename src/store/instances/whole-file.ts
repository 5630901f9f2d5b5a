/** Small files that are replaced as a whole, so that whoever reads sees the old one or the new one, also after a crash. */

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

/** Readable by the owner alone. Throws what the system says; then the old file is still there. */
export function writeWhole(path: string, value: unknown): void {
  const draft = `${path}.${process.pid}`
  try {
    writeFileSync(draft, `${JSON.stringify(value)}\n`, { mode: 0o600 })
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}

/** null: it is not there, cannot be read, or is no JSON. */
export function readWhole(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as unknown
  } catch {
    return null
  }
}
