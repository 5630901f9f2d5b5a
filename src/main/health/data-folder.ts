/** The data folder: whether it can be written, has room, and is read by its user alone. */

import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
  type Stats,
} from 'node:fs'
import { join } from 'node:path'
import { fine, megabytes, problem, warning, type Finding } from './finding.js'

/** Below it checkpoints and journals of any size soon fail. */
const ROOM_WARNING_BYTES = 1_073_741_824
const ROOM_PROBLEM_BYTES = 67_108_864
/** A file cannot be so much younger than now unless the clock was set back. */
const FUTURE_MS = 60_000
/** Files and folders in it that nobody else may read. */
const SECRETS = ['token', 'keys', 'savepoint.sqlite', 'checkpoints', 'gateways', 'audit']

/** All of it. Never throws. */
export async function checkDataFolder(dataDir: string, now = new Date()): Promise<readonly Finding[]> {
  const quick = checkWritable(dataDir)
  if (statOf(dataDir)?.isDirectory() !== true) return quick
  return [...quick, checkModes(dataDir), checkDates(dataDir, now), ...(await checkDatabase(dataDir))]
}

/** Whether something can be kept. Never throws. */
export function checkWritable(dataDir: string): readonly Finding[] {
  const found = statOf(dataDir)
  if (found === null) return [fine('data folder', `${dataDir} is made when it is needed`)]
  if (!found.isDirectory()) {
    const why = 'Nothing can be kept: no history, no checkpoints, no kernels over a restart.'
    return [problem('data folder', `${dataDir} is no folder`, why, `Move it away: mv ${dataDir} ${dataDir}.old`)]
  }
  return [checkWriting(dataDir), checkRoom(dataDir)]
}

function checkWriting(dataDir: string): Finding {
  const path = join(dataDir, `.trial-${process.pid}`)
  try {
    const file = openSync(path, 'wx', 0o600)
    try {
      writeSync(file, 'x'.repeat(4_096))
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    return fine('data folder', `${dataDir} can be written`)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    const why =
      'Checkpoints and journals fail with storage_failed; kernels run on, but do not outlive a crash of the gateway.'
    return problem('data folder', `${dataDir} cannot be written (${code})`, why, remedyFor(code, dataDir))
  } finally {
    rmQuietly(path)
  }
}

function remedyFor(code: string, dataDir: string): string {
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return 'Make room: df -h shows how full the disk is, "savepoint checkpoints list" what may be deleted. Nothing need be restarted.'
  }
  if (code === 'EROFS')
    return `Mount the disk so that it can be written (mount -o remount,rw), or give another folder with --data-dir.`
  if (code === 'EACCES' || code === 'EPERM')
    return `Give it to yourself: chown -R "$(id -un)" ${dataDir} && chmod u+rwx ${dataDir}`
  return 'Look at what the system says of the disk (dmesg), or give another folder with --data-dir.'
}

function checkRoom(dataDir: string): Finding {
  try {
    const { bavail, bsize, files, ffree } = statfsSync(dataDir)
    const free = bavail * bsize
    const why = 'Checkpoints, journals and history need it; without room they fail with storage_failed.'
    const remedy =
      'Make room: "savepoint checkpoints list" shows what may be deleted; set checkpoint.keep, checkpoint.max_bytes and journal.total_bytes_max.'
    if (files > 0 && ffree < 1_000)
      return problem('disk', `${ffree} files can still be made at ${dataDir}`, why, remedy)
    if (free < ROOM_PROBLEM_BYTES) return problem('disk', `${megabytes(free)} are free at ${dataDir}`, why, remedy)
    if (free < ROOM_WARNING_BYTES) return warning('disk', `${megabytes(free)} are free at ${dataDir}`, why, remedy)
    return fine('disk', `${megabytes(free)} are free`)
  } catch (error) {
    return warning(
      'disk',
      `how much is free is not known: ${String(error)}`,
      'A full disk would not be seen.',
      `Look: df -h ${dataDir}`,
    )
  }
}

function checkModes(dataDir: string): Finding {
  const open = SECRETS.filter((name) => ((statOf(join(dataDir, name))?.mode ?? 0) & 0o077) !== 0)
  const writable = ((statOf(dataDir)?.mode ?? 0) & 0o022) !== 0
  if (open.length === 0 && !writable) return fine('permissions', 'only you can read what is kept')
  const detail = writable ? `others may write to ${dataDir}` : `others may read ${open.join(', ')} in ${dataDir}`
  const why = 'Token and keys lie there, and checkpoints are code that runs when they are restored.'
  return problem('permissions', detail, why, `Close it: chmod -R go-rwx ${dataDir}`)
}

/** Files of tomorrow: the clock was ahead, or is behind now. */
function checkDates(dataDir: string, now: Date): Finding {
  const ahead = readdirSync(dataDir).filter(
    (name) => (statOf(join(dataDir, name))?.mtimeMs ?? 0) > now.getTime() + FUTURE_MS,
  )
  if (ahead.length === 0) return fine('clock', now.toISOString())
  const detail = `${ahead[0]} in the data folder is of a time that is still to come; it is ${now.toISOString()} here`
  const why = 'Tokens end by the clock, and lists are in the order of dates; deadlines do not depend on it.'
  return warning('clock', detail, why, 'Set the clock, best by the network: timedatectl set-ntp true')
}

async function checkDatabase(dataDir: string): Promise<readonly Finding[]> {
  const path = join(dataDir, 'savepoint.sqlite')
  const aside = readdirSync(dataDir).filter(
    (name) => /^savepoint\.sqlite\.damaged-[\w-]+$/.test(name) && !/-(wal|shm)$/.test(name),
  )
  const moved = aside.map((name) =>
    warning(
      'damaged database',
      `${join(dataDir, name)} was moved aside`,
      'It could not be read: the history of before is in it, checkpoints were found again from their files.',
      `Look at the disk (dmesg). If nothing of it is needed: rm ${join(dataDir, name)}*`,
    ),
  )
  if (statOf(path) === null) return moved
  try {
    const { default: Libsql } = await import('libsql')
    // Only to look: whoever uses it moves a damaged one aside.
    const database = new Libsql(path, { readonly: true })
    try {
      const [row] = database.prepare('PRAGMA quick_check(1)').all() as { quick_check?: string }[]
      const said = row?.quick_check ?? 'ok'
      if (said !== 'ok') throw new Error(said)
    } finally {
      database.close()
    }
    return [...moved, fine('database', path)]
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const why = 'History and lists of checkpoints come from it; the checkpoints themselves are files of their own.'
    const remedy = `The next that uses it moves it aside and lists checkpoints anew from their files. If it cannot: mv ${path} ${path}.old`
    return [...moved, problem('database', reason, why, remedy)]
  }
}

function statOf(path: string): Stats | null {
  try {
    return statSync(path, { throwIfNoEntry: false }) ?? null
  } catch {
    return null
  }
}

function rmQuietly(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // What cannot be written cannot be removed either.
  }
}
