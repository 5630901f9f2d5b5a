/**
 * What several dead gateways have left, in one instance: a gateway owns one, and goes on with all of it.
 *
 * Each move is one `rename`, and notes of zygotes come before the kernels that look for them: whoever is killed in
 * between leaves two instances again, of which the next start makes one.
 */

import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { makeFolder } from '../../folders.js'
import type { Log } from '../../log.js'
import { readWhole, writeWhole } from './whole-file.js'

/** Where Jupyter's sessions are kept in an instance. */
export const SESSIONS = 'sessions.json'

/** Folders of sockets and pipes of instances that this one has taken in, as it stands in `inherited.json`. */
export function inheritedFolders(folder: string): readonly string[] {
  const found = readWhole(join(folder, INHERITED))
  return Array.isArray(found) ? found.filter((each) => typeof each === 'string' && NAME.test(basename(each))) : []
}

/** Moves kernels, zygotes and sessions of the instance `from`, which this process has claimed, into `to`. */
export function inherit(to: string, from: string, log: Log): void {
  const owner = readWhole(join(from, 'owner.json')) as { readonly runtime_folder?: unknown } | null
  const folders = new Set([...inheritedFolders(to), ...inheritedFolders(from)])
  if (typeof owner?.runtime_folder === 'string') folders.add(owner.runtime_folder)
  writeWhole(join(to, INHERITED), [...folders])
  moveAll(to, from, 'zygotes', log)
  const sessions = new Map([...sessionsIn(from), ...sessionsIn(to)].map((each) => [each.id, each]))
  if (sessions.size > 0) writeWhole(join(to, SESSIONS), [...sessions.values()])
  // One whose name is taken already stays where it is.
  if (moveAll(to, from, 'kernels', log)) rmSync(from, { recursive: true, force: true })
}

/** False: something could not be moved. */
function moveAll(to: string, from: string, what: 'zygotes' | 'kernels', log: Log): boolean {
  if (!existsSync(join(from, what))) return true
  makeFolder(join(to, what), 0o700)
  let isAll = true
  for (const name of readdirSync(join(from, what))) {
    const path = join(to, what, name)
    if (existsSync(path)) {
      isAll = false
      log('error', 'not_inherited', { what, name, from: basename(from), reason: 'There is another one of that name.' })
    } else renameSync(join(from, what, name), path)
  }
  return isAll
}

function sessionsIn(folder: string): readonly { readonly id: string }[] {
  const found = readWhole(join(folder, SESSIONS))
  const sessions = Array.isArray(found) ? (found as readonly ({ readonly id?: unknown } | null)[]) : []
  return sessions.flatMap((each) => (typeof each?.id === 'string' ? [{ ...each, id: each.id }] : []))
}

const INHERITED = 'inherited.json'
/** What a gateway calls its folder of sockets and pipes. */
const NAME = /^g[0-9a-f]{8}$/
