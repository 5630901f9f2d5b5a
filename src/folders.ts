/** Making folders. */
import { mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/**
 * Makes a folder and what is missing above it, each with this mode. Throws what the system says.
 *
 * Node's own recursive `mkdir` tries for ever where a folder exists and takes no entries, as below `/proc`.
 */
export function makeFolder(path: string, mode = 0o777): void {
  const missing: string[] = []
  let at = resolve(path)
  for (; statSync(at, { throwIfNoEntry: false }) === undefined; at = dirname(at)) missing.unshift(at)
  // A file of that name is an error, as it is to the system.
  if (missing.length === 0 && !statSync(at).isDirectory()) missing.push(at)
  for (const folder of missing) {
    try {
      mkdirSync(folder, { mode })
    } catch (error) {
      if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) throw error
    }
  }
}
