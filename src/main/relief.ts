/**
 * Gives back the memory of large messages soon after they have gone.
 *
 * What ZeroMQ received lies outside of V8's heap, and V8, which does not feel it, may keep hundreds of megabytes until
 * something else makes it collect. So after so many bytes it is asked to.
 */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const BYTES = 64 * 1024 * 1024
/** Again later, for what is still on its way to a slow client at first. */
const AFTER_MS = [1_000, 4_000, 15_000]

export interface Relief {
  /** So many bytes have come in or were handed on. */
  passed(frames: readonly Buffer[]): void
  stop(): void
}

export function relief(): Relief {
  let bytes = 0
  let timers: NodeJS.Timeout[] = []
  const stop = (): void => timers.splice(0).forEach((timer) => clearTimeout(timer))
  return {
    passed(frames) {
      for (const frame of frames) if (frame.length > 65_536) bytes += frame.length
      if (bytes < BYTES) return
      bytes = 0
      stop()
      timers = AFTER_MS.map((ms) => setTimeout(collect, ms).unref())
    },
    stop,
  }
}

function collect(): void {
  setFlagsFromString('--expose-gc')
  const gc: unknown = runInNewContext('gc')
  setFlagsFromString('--no-expose-gc')
  if (typeof gc === 'function') gc()
}
