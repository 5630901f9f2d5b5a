/**
 * One process at a time may build a folder.
 *
 * The lock is a file that names its holder, made with O_EXCL, and touched while it is held: a holder on another
 * machine or in another container cannot be asked whether it lives, but its silence can be seen. A holder of this
 * place whose process is gone is not waited for.
 */
import { randomUUID } from 'node:crypto'
import {
  linkSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { config } from '../config.js'
import { SavepointError } from '../errors.js'

interface Holder {
  readonly id: string
  /** Machine, boot and pid namespace: only a process of the same place can be asked whether it lives. */
  readonly place: string
  readonly pid: number
  /** When the process began, in clock ticks since boot: pids are used again, this pair is not. */
  readonly began: string
}

export interface FolderLockOptions {
  readonly deadlineMs: number
  readonly onWait?: () => void
}

/** Runs `work` while holding the lock file at `path`. Throws `timeout` when another holder keeps it for too long. */
export async function withFolderLock<T>(path: string, options: FolderLockOptions, work: () => Promise<T>): Promise<T> {
  const me: Holder = { id: randomUUID(), place: ownPlace(), pid: process.pid, began: processBegan(process.pid) ?? '' }
  await acquire(path, me, options)
  const beat = setInterval(() => touch(path), config.lockBeatMs)
  beat.unref()
  try {
    return await work()
  } finally {
    clearInterval(beat)
    if (readHolder(path)?.id === me.id) remove(path)
  }
}

async function acquire(path: string, me: Holder, options: FolderLockOptions): Promise<void> {
  const deadline = performance.now() + options.deadlineMs
  for (let told = false; ; told = true) {
    if (create(path, me)) return
    const holder = readHolder(path)
    if (holder !== null && isLeftBehind(path, holder)) {
      takeAway(path, holder)
      continue
    }
    if (performance.now() > deadline) {
      throw new SavepointError(
        'timeout',
        `Another process is still preparing ${path.replace(/\.lock$/, '')}. Wait for it; or, if there is none, remove ${path}.`,
        { path },
      )
    }
    if (!told) options.onWait?.()
    await pause(config.lockPollMs)
  }
}

// Written aside and linked into place, so that nobody ever reads half a holder.
function create(path: string, me: Holder): boolean {
  const draft = `${path}.${me.id}`
  writeFileSync(draft, JSON.stringify(me), { mode: 0o600 })
  try {
    linkSync(draft, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    remove(draft)
  }
}

function isLeftBehind(path: string, holder: Holder): boolean {
  if (holder.place === ownPlace()) return processBegan(holder.pid) !== holder.began
  const touched = statSync(path, { throwIfNoEntry: false })?.mtimeMs
  return touched !== undefined && Date.now() - touched > config.lockSilenceMaxMs
}

// Two processes may find the same dead holder. The rename lets one of them have the file; if what it got is by now the
// lock of somebody alive, it goes back.
function takeAway(path: string, dead: Holder): void {
  const aside = `${path}.${randomUUID()}`
  try {
    renameSync(path, aside)
  } catch {
    return
  }
  if (readHolder(aside)?.id !== dead.id) {
    try {
      linkSync(aside, path)
    } catch {
      // Somebody else holds it meanwhile; the one that was moved aside sees at its end that the lock is not its own.
    }
  }
  remove(aside)
}

function readHolder(path: string): Holder | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder
  } catch {
    return null
  }
}

function touch(path: string): void {
  const now = new Date()
  try {
    utimesSync(path, now, now)
  } catch {
    // Taken away by hand: the work goes on, and the end of it does not remove what is not there.
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Already gone, which is all that was wanted.
  }
}

function ownPlace(): string {
  return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`
}

/** Field 22 of /proc/PID/stat, counted after the name, which may hold spaces and brackets. Null: no such process. */
function processBegan(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}
