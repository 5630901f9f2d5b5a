/**
 * Where the gateway of a data folder runs: a small file in it, for the commands that speak to the gateway.
 *
 * It holds no token. A gateway that was killed leaves it behind; the process that it names is then gone, or is another
 * one with the same number, which its start time tells.
 */

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface GatewayRecord {
  readonly version: 1
  readonly pid: number
  /** When that process started, in ticks since the machine did; null where the system does not tell. */
  readonly pid_started: string | null
  readonly url: string
  /** ISO 8601, UTC. */
  readonly started_at: string
  /** Release of the gateway. */
  readonly release: string
}

export interface FoundRecord {
  readonly record: GatewayRecord
  /** The process that wrote it lives. */
  readonly alive: boolean
}

export function recordPath(dataDir: string): string {
  return join(dataDir, 'gateway.json')
}

/** Says that this process is the gateway of the data folder. Readers see the old record or the new one, whole. */
export function writeRecord(dataDir: string, facts: { url: string; release: string; startedAt: Date }): void {
  const record: GatewayRecord = {
    version: 1,
    pid: process.pid,
    pid_started: startOf(process.pid),
    url: facts.url,
    started_at: facts.startedAt.toISOString(),
    release: facts.release,
  }
  const path = recordPath(dataDir)
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, `${JSON.stringify(record)}\n`, { mode: 0o600 })
  renameSync(draft, path)
}

/** Takes back what this process said; what another one has said since stays. */
export function removeRecord(dataDir: string): void {
  if (readRecord(dataDir)?.record.pid === process.pid) rmSync(recordPath(dataDir), { force: true })
}

/** null: there is none, or none that can be read. */
export function readRecord(dataDir: string): FoundRecord | null {
  let record: Partial<GatewayRecord> | null
  try {
    record = JSON.parse(readFileSync(recordPath(dataDir), 'utf8')) as Partial<GatewayRecord> | null
  } catch {
    return null
  }
  const { pid, url } = record ?? {}
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid <= 1 || typeof url !== 'string') return null
  const found: GatewayRecord = {
    version: 1,
    pid,
    url,
    pid_started: record?.pid_started ?? null,
    started_at: record?.started_at ?? '',
    release: record?.release ?? '',
  }
  return { record: found, alive: isSameProcess(found) }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function isSameProcess({ pid, pid_started }: GatewayRecord): boolean {
  if (!isAlive(pid)) return false
  const started = startOf(pid)
  return started === null || pid_started === null || started === pid_started
}

/** Field 22 of proc(5)'s stat, counted from the end of the name, which may hold anything. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}
