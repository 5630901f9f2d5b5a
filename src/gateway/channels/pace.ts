/**
 * Holds a client to its rate by not reading from it: what it sends too early waits on its side, and nothing is refused.
 */

import type { Clock } from '../../clock.js'

export interface Pace {
  /** One message came. */
  count(): void
  stop(): void
}

const BURST_S = 10

/** `perS` 0: any rate. A burst of ten seconds' worth passes at once. */
export function createPace(perS: number, clock: Clock, peer: { pause(): void; resume(): void }): Pace {
  if (perS === 0) return { count: () => {}, stop: () => {} }
  let credit = perS * BURST_S
  let at = clock.now()
  let cancel: (() => void) | null = null
  return {
    count() {
      const now = clock.now()
      credit = Math.min(perS * BURST_S, credit + ((now - at) / 1000) * perS) - 1
      at = now
      if (credit >= 0 || cancel !== null) return
      peer.pause()
      cancel = clock.after((-credit / perS) * 1000, () => {
        cancel = null
        peer.resume()
      })
    },
    stop: () => cancel?.(),
  }
}
