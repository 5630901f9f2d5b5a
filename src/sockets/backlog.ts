/**
 * Notices that a subscriber lags behind what is published, before memory is full of it.
 *
 * A publishing ZeroMQ socket either drops what a slow subscriber has not fetched, or keeps all of it, or makes everyone
 * wait for the slowest; and it tells nobody how much it keeps. We let it keep all, since a lost result is worse than a
 * pause, and ask the operating system who lags: a connection whose send queue is never empty has more waiting behind
 * it. Once `bytesMax` were published while somebody lagged, the source has to pause until the queues are empty.
 *
 * A peer that takes nothing for long is cut off by the connection's own timeout, so a pause always ends. Unix sockets
 * do not show their queues: there, and where the table cannot be read, nothing is ever reported.
 */

import { readFileSync } from 'node:fs'
import type { Clock } from '../clock.js'

export interface BacklogOptions {
  readonly bytesMax: number
  readonly clock: Clock
  /** Bytes that wait in the send queues of the port's connections; null if that cannot be known. */
  readonly queuedBytes: () => number | null
  /** Nobody lags any more. */
  onCleared(): void
}

/**
 * Looking costs 50 microseconds to 10 milliseconds, as large as the system's table of connections is: so it is done so
 * many times only while the bytes are published that may wait.
 */
const LOOKS = 4
const LOOK_AGAIN_MS = 20

export class BacklogWatch {
  readonly #options: BacklogOptions
  /** Published since the last look, and published since somebody began to lag. */
  #unseen = 0
  #behind = 0
  #cancel: (() => void) | null = null

  constructor(options: BacklogOptions) {
    this.#options = options
  }

  published(bytes: number): void {
    this.#unseen += bytes
    if (this.#unseen * LOOKS >= this.#options.bytesMax) this.#look()
  }

  /** Whether somebody lags so far behind that the source has to pause. */
  get lagging(): boolean {
    return this.#cancel !== null
  }

  close(): void {
    this.#cancel?.()
    this.#cancel = null
  }

  #look(): void {
    const seen = this.#unseen
    this.#unseen = 0
    this.#behind = (this.#options.queuedBytes() ?? 0) > 0 ? this.#behind + seen : 0
    if (this.#behind >= this.#options.bytesMax && !this.lagging) this.#lookLater()
  }

  #lookLater(): void {
    this.#cancel = this.#options.clock.after(LOOK_AGAIN_MS, () => {
      if ((this.#options.queuedBytes() ?? 0) > 0) return this.#lookLater()
      this.#cancel = null
      this.#behind = 0
      this.#options.onCleared()
    })
  }
}

const ESTABLISHED = '01'

/**
 * What waits to be sent from a local TCP port, or null on a system without that table.
 *
 * Docs: https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html
 */
export function queuedBytesOfPort(port: number, ipv6: boolean): number | null {
  try {
    return queuedBytesInTable(readFileSync(`/proc/self/net/${ipv6 ? 'tcp6' : 'tcp'}`, 'latin1'), port)
  } catch {
    return null
  }
}

/** Lines read `sl local_address:port remote_address:port state tx_queue:rx_queue ...`, numbers in hexadecimal. */
export function queuedBytesInTable(table: string, port: number): number {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  let bytes = 0
  for (const line of table.split('\n')) {
    if (!line.includes(suffix)) continue
    const [, local, , state, queues] = line.trim().split(/\s+/)
    if (state !== ESTABLISHED || !local?.endsWith(suffix)) continue
    bytes += Number.parseInt(queues?.split(':')[0] ?? '0', 16)
  }
  return bytes
}
