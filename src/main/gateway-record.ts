/**
 * Where the gateway of a data folder runs: a small file in it, for the commands that speak to the gateway.
 *
 * It holds no token. A gateway that was killed leaves it behind; the process that it names is then gone, or is another
 * one with the same number, which its start time tells.
 */

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { ownersIn } from '../store/instances/instance.js'
import { isSameProcess, ownIdentity } from '../store/instances/process.js'
import { readWhole, writeWhole } from '../store/instances/whole-file.js'

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
    ...ownIdentity(),
    url: facts.url,
    started_at: facts.startedAt.toISOString(),
    release: facts.release,
  }
  writeWhole(recordPath(dataDir), record)
}

/** Takes back what this process said; what another one has said since stays. */
export function removeRecord(dataDir: string): void {
  if (writtenRecord(dataDir)?.record.pid === process.pid) rmSync(recordPath(dataDir), { force: true })
}

/**
 * Of the gateway that said so last, or, once that is gone, of another one of the same data folder that lives. null: there
 * is none, or none that can be read.
 */
export function readRecord(dataDir: string): FoundRecord | null {
  const written = writtenRecord(dataDir)
  if (written?.alive) return written
  const [other] = othersOf(dataDir)
  return other === undefined ? written : { record: other, alive: true }
}

/** The gateway of the data folder, of all that live, that listens at a port; null: none of them. */
export function gatewayAt(dataDir: string, port: number): GatewayRecord | null {
  const written = writtenRecord(dataDir)
  const living = [...(written?.alive ? [written.record] : []), ...othersOf(dataDir)]
  return living.find(({ url }) => portOf(url) === port) ?? null
}

/** Of a URL that a gateway wrote; null: it is none. */
function portOf(written: string): number | null {
  if (!URL.canParse(written)) return null
  const { port, protocol } = new URL(written)
  return Number(port || (protocol === 'https:' ? 443 : 80))
}

/** Gateways of the data folder that live, but for this process; the youngest first. */
function othersOf(dataDir: string): GatewayRecord[] {
  return ownersIn(dataDir)
    .filter((owner) => owner.pid !== process.pid && isSameProcess(owner))
    .map(({ pid, pid_started, url, started_at, release }) => ({
      version: 1,
      pid,
      pid_started,
      url,
      started_at,
      release,
    }))
}

function writtenRecord(dataDir: string): FoundRecord | null {
  const record = readWhole(recordPath(dataDir)) as Partial<GatewayRecord> | null
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
