/** `serve --takeover`: the gateway that runs hands its kernels over, and ends. */

import { setTimeout as pause } from 'node:timers/promises'
import { SavepointError } from '../errors.js'
import { isSameProcess } from '../store/instances/process.js'
import { gatewayAt, readRecord, type FoundRecord, type GatewayRecord } from './gateway-record.js'

const END_MS = 10_000
const LOOK_MS = 20

/**
 * Of several gateways of the data folder it is the one at `port`, or else (and for port 0) the one that began last.
 * Resolves when it has ended. Rejects with `timeout`; then it still serves.
 */
export async function takeOver(dataDir: string, port: number, tell: (line: string) => void): Promise<void> {
  const record = gatewayAt(dataDir, port) ?? living(readRecord(dataDir))
  if (record === null) return
  const { pid, url } = record
  tell(`Taking over from the gateway at ${url} (process ${pid}).`)
  process.kill(pid, 'SIGUSR2')
  const deadline = performance.now() + END_MS
  while (isSameProcess(record)) {
    if (performance.now() > deadline) {
      throw new SavepointError(
        'timeout',
        `The gateway at ${url} (process ${pid}) did not end within ${END_MS / 1_000} s. Nothing was begun; try again, or end it.`,
        { pid, url },
      )
    }
    await pause(LOOK_MS)
  }
}

const living = (found: FoundRecord | null): GatewayRecord | null => (found?.alive ? found.record : null)
