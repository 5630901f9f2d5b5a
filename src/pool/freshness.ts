/**
 * Has anything been installed where a zygote has imported from?
 *
 * An installer makes and removes entries in a folder of the search path, which changes that folder's time. A folder on
 * the path that is also somebody's working folder changes with every file that is written there, so that only what can
 * be imported counts: the names are compared where the time has changed.
 */

import { readdirSync, statSync } from 'node:fs'

interface Seen {
  readonly mtimeMs: number
  readonly names: string
}

const IMPORTABLE = /\.(py|so|pth|egg-link|dist-info|egg-info)$/

export class Freshness {
  readonly #seen = new Map<string, Seen>()

  constructor(folders: readonly string[]) {
    for (const folder of folders) this.#seen.set(folder, { mtimeMs: timeOf(folder), names: namesIn(folder) })
  }

  /** A folder that has changed since, or null. It takes about two microseconds a folder. */
  changed(): string | null {
    for (const [folder, seen] of this.#seen) {
      const mtimeMs = timeOf(folder)
      if (mtimeMs === seen.mtimeMs) continue
      if (namesIn(folder) !== seen.names) return folder
      this.#seen.set(folder, { ...seen, mtimeMs })
    }
    return null
  }
}

function timeOf(folder: string): number {
  return statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

/** Modules and packages. One that is replaced by another release is told by the name of its `dist-info`. */
function namesIn(folder: string): string {
  try {
    const entries = readdirSync(folder, { withFileTypes: true })
    const modules = entries.filter(
      (entry) => entry.name !== '__pycache__' && (entry.isDirectory() || IMPORTABLE.test(entry.name)),
    )
    return modules
      .map(({ name }) => name)
      .toSorted()
      .join('/')
  } catch {
    // It was removed, or may not be read: that is a change if it was otherwise before.
    return ''
  }
}
