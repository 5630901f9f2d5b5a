/**
 * Where kernels in a sandbox write and read checkpoints: of the data folder they see their user's desk alone.
 *
 * What they write is taken to its place when it is sealed. What they are to read is put on the desk first, as another name
 * of the same file where that is possible, where they cannot change it.
 */

import { createHash, randomUUID } from 'node:crypto'
import { copyFileSync, linkSync, mkdirSync } from 'node:fs'
import { copyFile, link, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { CheckpointDraft, OpenCheckpoint } from '../kernel/effects.js'
import type { KernelStore } from './kernel-store.js'

export interface Desk {
  /** Written by kernels. */
  readonly drafts: string
  /** Read by them. */
  readonly packs: string
}

/** Makes the desk of a user, in a folder of its own. */
export function deskIn(dataDir: string, tenant: string): Desk {
  const name = createHash('sha256').update(tenant).digest('hex').slice(0, 32)
  const folder = join(dataDir, 'checkpoints', 'desks', name)
  const desk = { drafts: join(folder, 'drafts'), packs: join(folder, 'packs') }
  for (const path of [desk.drafts, desk.packs]) mkdirSync(path, { recursive: true, mode: 0o700 })
  return desk
}

/** A store whose checkpoints pass over the desk. */
export function storeOverDesk(store: KernelStore, { drafts, packs }: Desk): KernelStore {
  /** Files of each draft: on the desk, and where they belong. */
  const begun = new Map<string, readonly (readonly [onDesk: string, place: string])[]>()
  /** What the writer of a draft was given to read. */
  const lent = new Map<string, string>()
  /** What the kernel was given to read the last time. */
  let given: string | null = null
  const forget = async (checkpoint: string): Promise<void> => {
    const files = (begun.get(checkpoint) ?? []).map(([onDesk]) => onDesk)
    for (const file of [...files, lent.get(checkpoint) ?? '']) if (file !== '') await rm(file, { force: true })
    begun.delete(checkpoint)
    lent.delete(checkpoint)
  }
  return {
    ...store,
    async beginCheckpoint(request) {
      const draft = await store.beginCheckpoint(request)
      const { path, pack, known } = draft
      const onDesk = (file: string): string => join(drafts, basename(file))
      const files = [path, ...(pack === undefined ? [] : [pack])]
      begun.set(
        draft.checkpoint_id,
        files.map((file) => [onDesk(file), file] as const),
      )
      const moved: CheckpointDraft = {
        ...draft,
        path: onDesk(path),
        ...(pack === undefined ? {} : { pack: onDesk(pack) }),
      }
      if (known === undefined || known === null) return moved
      lent.set(draft.checkpoint_id, onDesk(known))
      await putThere(known, onDesk(known))
      return { ...moved, known: onDesk(known) }
    },
    async sealCheckpoint(checkpoint, facts) {
      for (const [onDesk, place] of begun.get(checkpoint) ?? []) {
        // There is no pack if nothing is new; and what was sealed already is at its place.
        await rename(onDesk, place).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOENT') throw error
        })
      }
      await forget(checkpoint)
      return await store.sealCheckpoint(checkpoint, facts)
    },
    async abandonCheckpoint(checkpoint) {
      await forget(checkpoint)
      await store.abandonCheckpoint(checkpoint)
    },
    async diffCheckpoints(from, to) {
      // A draft is read where it belongs, and thrown away afterwards.
      if ('draft' in to) {
        for (const [onDesk, place] of begun.get(to.draft) ?? []) await putThere(onDesk, place).catch(() => {})
      }
      return await store.diffCheckpoints(from, to)
    },
    async openCheckpoint(checkpoint) {
      const opened = await store.openCheckpoint(checkpoint)
      if (given !== null) await rm(given, { recursive: true, force: true })
      given = join(packs, randomUUID())
      mkdirSync(given, { mode: 0o700 })
      return onDesk(opened, given)
    },
    async close() {
      if (given !== null) await rm(given, { recursive: true, force: true })
      for (const checkpoint of [...begun.keys()]) await forget(checkpoint)
      await store.close()
    },
  }
}

function onDesk(opened: OpenCheckpoint, folder: string): OpenCheckpoint {
  const put = (file: string): string => {
    const there = join(folder, basename(file))
    try {
      linkSync(file, there)
    } catch {
      copyFileSync(file, there)
    }
    return there
  }
  return { ...opened, path: opened.path === '' ? '' : put(opened.path), packs: opened.packs.map(put) }
}

async function putThere(file: string, there: string): Promise<void> {
  await rm(there, { force: true })
  await link(file, there).catch(() => copyFile(file, there))
}
