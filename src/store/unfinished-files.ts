/**
 * Where checkpoints lie while they are written: a folder for each process, whose name says who owns it, so that what a
 * killed process left behind can be told from what a living one still writes.
 */

import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { readdir, rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { makeOwnFolder } from './data-dir.js'
import { storeLimits } from './limits.js'

/** Makes this process's folder inside `parent`, and removes those of processes that are gone. */
export async function openUnfinishedFolder(parent: string): Promise<string> {
  await makeOwnFolder(parent)
  const own = ownerName()
  for (const owner of await readdir(parent)) {
    if (owner !== own && (await isLeftBehind(parent, owner))) {
      await rm(join(parent, owner), { recursive: true, force: true })
    }
  }
  const folder = join(parent, own)
  await makeOwnFolder(folder)
  return folder
}

/** Removes the folder if nothing is in it. */
export async function closeUnfinishedFolder(folder: string): Promise<void> {
  try {
    await rmdir(folder)
  } catch {
    // Another user of the same process's folder still writes; whoever comes last, or the next start, removes it.
  }
}

// A process of another machine or container, or of before the last start of this one, cannot be asked whether it
// lives: then only its silence counts.
async function isLeftBehind(parent: string, owner: string): Promise<boolean> {
  const [place, pid, began] = owner.split('-')
  if (place === ownPlace()) return processBegan(Number(pid)) !== began
  const { mtimeMs } = await stat(join(parent, owner)).catch(() => ({ mtimeMs: Infinity }))
  return Date.now() - mtimeMs > storeLimits.writingSilenceMaxMs
}

function ownerName(): string {
  return `${ownPlace()}-${process.pid}-${processBegan(process.pid)}`
}

/** A short name for this machine since its last start, and for its pid namespace: within it a pid means one process. */
function ownPlace(): string {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return createHash('sha256')
    .update(`${boot} ${readlinkSync('/proc/self/ns/pid')}`)
    .digest('hex')
    .slice(0, 12)
}

/** When a process began, in clock ticks since the machine's start; null if there is none. Pids are used again, this pair is not. */
function processBegan(pid: number): string | null {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name before it may hold spaces and brackets; the start time is the 20th field after it.
    return line.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}
