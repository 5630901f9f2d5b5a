/**
 * What one gateway process would leave to the next: a folder of the data folder, with a record of each of its kernels.
 *
 * `owner.json` says who has it and where that listens, `kernels/ID/kernel.json` what a kernel is; further files of a
 * kernel lie beside that. A gateway that ends in order removes its instance; one that was killed leaves it, and the
 * next gateway of the same data folder goes on with it, and with those of all others that were killed.
 */

import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Clock } from '../../clock.js'
import { SavepointError } from '../../errors.js'
import { makeFolder } from '../../folders.js'
import type { Log } from '../../log.js'
import { BEAT_MS, claim, livenessOf, seenAt, touchClaim } from './claims.js'
import { inherit, inheritedFolders } from './inherit.js'
import { ownIdentity, type ProcessIdentity } from './process.js'
import { readWhole, writeWhole } from './whole-file.js'

/** Where the owner of an instance is, as it stands in `owner.json`. */
export interface InstanceOwner extends ProcessIdentity {
  readonly version: 1
  readonly url: string
  readonly ip: string
  readonly port: number
  readonly release: string
  /** ISO 8601, UTC. */
  readonly started_at: string
  /** Where sockets and pipes of its kernels are. */
  readonly runtime_folder: string
}

/** What a kernel's record is to this layer. */
export interface Named {
  readonly id: string
}

export interface Instance {
  /** Eight hexadecimal digits. */
  readonly id: string
  readonly folder: string
  /** Who had it before; null: it is new, or that never said where it was. */
  readonly before: InstanceOwner | null
  /** All that had its kernels were there until then or later, in milliseconds since the epoch; 0: nobody knows. */
  readonly seenAt: number
  /** Folders of sockets and pipes of further dead owners, whose kernels are here now. */
  readonly inherited: readonly string[]
  /** Records of the kernels of before, as they were written; none that cannot be read. */
  readonly kernels: readonly Named[]
  /** Nothing of anybody before is in it. */
  readonly isNew: boolean
  /** Says where its owner is. */
  announce(owner: Omit<InstanceOwner, keyof ProcessIdentity | 'version'>): void
  /** The folder of a kernel, which is made. */
  kernelFolder(kernelId: string): string
  /** Keeps what a kernel is now; one that cannot be written is logged. */
  keep(kernel: Named): void
  /** A kernel has ended: nothing of it is kept. */
  forget(kernelId: string): void
  /** Path of a further file of the instance. */
  file(name: string): string
  /** This process owns it no more, and leaves it to the next. */
  leave(): void
  /** There is nothing to leave. */
  remove(): void
}

const MODE = 0o700
/** An owner of another place is waited for until it is heard of, or was silent for long enough. */
const LOOKS_MAX = 6

export interface InstanceParts {
  readonly dataDir: string
  readonly clock: Clock
  readonly log: Log
}

/**
 * The newest instance of the data folder whose owner is dead and that has kernels, or zygotes at least, with what all
 * further ones have; else a new one. What dead owners left that has neither is removed. Rejects with `storage_failed`.
 */
export async function takeInstance(parts: InstanceParts): Promise<Instance> {
  const { dataDir, clock } = parts
  const root = join(dataDir, 'gateways')
  const now = (): number => clock.date().getTime()
  try {
    makeFolder(root, MODE)
    for (let looks = 1; ; looks += 1) {
      const found = readdirSync(root).filter((name) => /^[0-9a-f]{8}$/.test(name))
      let unsure = false
      let seen = Infinity
      const left: { readonly id: string; readonly hasKernels: boolean }[] = []
      for (const id of found.toSorted((one, other) => startedAt(root, other) - startedAt(root, one))) {
        const folder = join(root, id)
        const liveness = livenessOf(folder, now())
        const hasKernels = kernelsIn(folder).length > 0
        unsure ||= liveness === 'unsure' && hasKernels
        const lately = seenAt(folder)
        if (liveness !== 'dead' || !claim(folder, now())) continue
        if (hasKernels) seen = Math.min(seen, lately)
        if (hasKernels || hasZygotes(folder)) left.push({ id, hasKernels })
        else rmSync(folder, { recursive: true, force: true })
      }
      const taken = left.find(({ hasKernels }) => hasKernels) ?? left[0]
      if (taken) {
        const folder = join(root, taken.id)
        for (const { id } of left) if (id !== taken.id) inherit(folder, join(root, id), parts.log)
        return new OwnedInstance(taken.id, folder, parts, taken.hasKernels ? seen : 0)
      }
      if (!unsure || looks === LOOKS_MAX) break
      await pause(BEAT_MS)
    }
    return newInstance(root, parts)
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error)
    const message = `The folder ${root} cannot be used (${reason}). Make it writable, or give another one with --data-dir.`
    throw new SavepointError('storage_failed', message, { path: root, reason }, { cause: error })
  }
}

/** Who has, or had, the instances of a data folder, as far as they have said so; the youngest first. */
export function ownersIn(dataDir: string): readonly InstanceOwner[] {
  const root = join(dataDir, 'gateways')
  const names = existsSync(root) ? readdirSync(root) : []
  return names
    .map((name) => readWhole(join(root, name, 'owner.json')) as Partial<InstanceOwner> | null)
    .filter((owner): owner is InstanceOwner => typeof owner?.pid === 'number' && typeof owner.url === 'string')
    .toSorted((one, other) => (Date.parse(other.started_at) || 0) - (Date.parse(one.started_at) || 0))
}

/** Who starts at the same time may take an empty folder for a dead one's, and remove it. */
function newInstance(root: string, parts: InstanceParts): Instance {
  for (let tries = 1; ; tries += 1) {
    const id = randomBytes(4).toString('hex')
    const folder = join(root, id)
    try {
      makeFolder(folder, MODE)
      if (claim(folder, parts.clock.date().getTime())) return new OwnedInstance(id, folder, parts)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || tries === LOOKS_MAX) throw error
    }
  }
}

function startedAt(root: string, id: string): number {
  const owner = readWhole(join(root, id, 'owner.json')) as Partial<InstanceOwner> | null
  return Date.parse(owner?.started_at ?? '') || 0
}

/** Processes from which workers of kernels were forked may still wait for the next gateway. */
function hasZygotes(folder: string): boolean {
  return existsSync(join(folder, 'zygotes')) && readdirSync(join(folder, 'zygotes')).length > 0
}

/** Records of kernels, as they were written. */
function kernelsIn(folder: string, onUnreadable: (name: string) => void = () => {}): Named[] {
  let names: string[] = []
  try {
    names = readdirSync(join(folder, 'kernels'))
  } catch {
    // It never had one.
  }
  return names.flatMap((name) => {
    const record = readWhole(recordPath(folder, name)) as Partial<Named> | null
    if (record?.id === name) return [record as Named]
    onUnreadable(name)
    return []
  })
}

class OwnedInstance implements Instance {
  readonly id: string
  readonly folder: string
  readonly before: InstanceOwner | null
  readonly seenAt: number
  readonly inherited: readonly string[]
  readonly kernels: readonly Named[]
  readonly isNew: boolean
  readonly #log: Log
  readonly #clock: Clock
  #cancelBeat: () => void = () => {}

  constructor(id: string, folder: string, { clock, log }: InstanceParts, seen = 0) {
    this.id = id
    this.folder = folder
    this.seenAt = seen
    this.#clock = clock
    this.#log = log
    const before = readWhole(this.file('owner.json')) as Partial<InstanceOwner> | null
    this.before = before !== null && typeof before.port === 'number' ? (before as InstanceOwner) : null
    this.inherited = inheritedFolders(folder)
    // One that was being made, or whose file is damaged: nothing says what it was.
    this.kernels = kernelsIn(folder, (name) => log('warn', 'kernel_record_unreadable', { kernel: name }))
    this.isNew = this.kernels.length === 0 && !hasZygotes(folder)
    this.#beatLater()
  }

  announce(owner: Omit<InstanceOwner, keyof ProcessIdentity | 'version'>): void {
    writeWhole(this.file('owner.json'), { version: 1, ...ownIdentity(), ...owner } satisfies InstanceOwner)
  }

  kernelFolder(kernelId: string): string {
    const folder = join(this.folder, 'kernels', kernelId)
    makeFolder(folder, MODE)
    return folder
  }

  keep(kernel: Named): void {
    try {
      this.kernelFolder(kernel.id)
      writeWhole(recordPath(this.folder, kernel.id), kernel)
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code ?? String(error)
      this.#log('error', 'kernel_not_recorded', { kernel: kernel.id, code: 'storage_failed', reason })
    }
  }

  forget(kernelId: string): void {
    this.#removeQuietly(join(this.folder, 'kernels', kernelId))
  }

  file(name: string): string {
    return join(this.folder, name)
  }

  leave(): void {
    this.#cancelBeat()
  }

  remove(): void {
    this.#cancelBeat()
    this.#removeQuietly(this.folder)
  }

  #removeQuietly(path: string): void {
    try {
      rmSync(path, { recursive: true, force: true })
    } catch (error) {
      this.#log('warn', 'instance_not_removed', { path, reason: (error as NodeJS.ErrnoException).code ?? '' })
    }
  }

  #beatLater(): void {
    this.#cancelBeat = this.#clock.after(BEAT_MS, () => {
      touchClaim(this.folder, this.#clock.date().getTime())
      this.#beatLater()
    })
  }
}

function recordPath(folder: string, kernelId: string): string {
  return join(folder, 'kernels', kernelId, 'kernel.json')
}
