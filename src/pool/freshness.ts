/**
 * Has anything been installed where a zygote has imported from?
 *
 * An installer makes and removes entries in a folder of the search path, which changes that folder's time. A folder on
 * the path that is also somebody's working folder changes with every file that is written there, so that only what can
 * be imported counts: the names are compared where the time has changed.
 *
 * Folders are watched, and looked at only after something has happened in one of them: a lease has no time to lose. On
 * a network's file system nothing is heard of what other machines do; `lookAgain` is for those.
 */

import { createHash } from 'node:crypto'
import { readdirSync, statSync, watch, type FSWatcher } from 'node:fs'

/** A folder at one moment. */
export interface Seen {
  readonly mtimeMs: number
  /** Digest of the names of what can be imported from there. */
  readonly names: string
}

const IMPORTABLE = /\.(py|so|pth|egg-link|dist-info|egg-info)$/

export class Freshness {
  readonly #seen = new Map<string, Seen>()
  readonly #watchers: FSWatcher[] = []
  /** Something may have happened since it was last looked. */
  #isDue = true
  /** One of them cannot be watched, so that it is always due. */
  #isBlind = false

  /** `before`: how they were when the zygote started, if that was not just now. */
  constructor(folders: readonly string[], before: Readonly<Record<string, Seen>> = {}) {
    for (const folder of folders) {
      // Watched first: nothing is missed in between.
      this.#watch(folder)
      this.#seen.set(folder, before[folder] ?? { mtimeMs: timeOf(folder), names: namesIn(folder) })
    }
  }

  /** How they are, as far as it is known. */
  get seen(): Readonly<Record<string, Seen>> {
    return Object.fromEntries(this.#seen)
  }

  /** A folder that has changed since, or null. */
  changed(): string | null {
    if (!this.#isDue && !this.#isBlind) return null
    this.#isDue = false
    for (const [folder, seen] of this.#seen) {
      const mtimeMs = timeOf(folder)
      if (mtimeMs === seen.mtimeMs) continue
      if (namesIn(folder) !== seen.names) {
        // It stays changed, however often one asks.
        this.#isDue = true
        return folder
      }
      this.#seen.set(folder, { ...seen, mtimeMs })
    }
    return null
  }

  /** The next call of `changed` looks. */
  lookAgain(): void {
    this.#isDue = true
  }

  close(): void {
    for (const watcher of this.#watchers.splice(0)) watcher.close()
  }

  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.lookAgain())
      watcher.on('error', () => (this.#isBlind = true))
      this.#watchers.push(watcher)
    } catch {
      // The system allows so many, or the folder is gone.
      this.#isBlind = true
    }
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
    const names = modules.map(({ name }) => name).toSorted()
    return createHash('sha256').update(names.join('/')).digest('hex').slice(0, 32)
  } catch {
    // It was removed, or may not be read: that is a change if it was otherwise before.
    return ''
  }
}
