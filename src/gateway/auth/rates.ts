/** How often somebody may ask. Windows of a minute that begin with the first request. */

import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible'
import { countedAs } from './address.js'
import { authLimits } from './limits.js'
import { refuse, type Refusal } from './refusal.js'

const WINDOW_S = 60
/** What the failures of all further addresses are counted as. */
const OTHERS = 'others'

export interface Rates {
  /** Counts a wrong token. null: it is one of those that are answered with 401. */
  failed(address: string): Promise<Refusal | null>
  /** Counts a request of somebody who was let in. */
  asked(subject: string): Promise<Refusal | null>
}

/** `requestsPerMinute` of one subject; null: any number. */
export function createRates(
  requestsPerMinute: number | null,
  failuresPerMinute: number = authLimits.failuresPerMinute,
): Rates {
  const failures = new RateLimiterMemory({ points: failuresPerMinute, duration: WINDOW_S })
  const requests =
    requestsPerMinute === null ? null : new RateLimiterMemory({ points: requestsPerMinute, duration: WINDOW_S })
  const counted = boundedKeys(authLimits.addressesMax)

  async function count(limiter: RateLimiterMemory, key: string, message: string): Promise<Refusal | null> {
    try {
      await limiter.consume(key)
      return null
    } catch (over) {
      if (over instanceof Error) throw over
      const { msBeforeNext } = over as RateLimiterRes
      return refuse(429, 'rate_limited', message, Math.max(1, Math.ceil(msBeforeNext / 1000)))
    }
  }

  return {
    failed: (address) =>
      count(
        failures,
        counted(countedAs(address)),
        'Too many wrong tokens came from this address. Wait, then use a right one.',
      ),
    asked: async (subject) =>
      requests &&
      (await count(requests, subject, `More than ${requestsPerMinute} requests in a minute. Wait a moment.`)),
  }
}

// Somebody with very many addresses must not fill the memory. Names are forgotten all at once when a window is over.
function boundedKeys(max: number): (key: string) => string {
  let names = new Set<string>()
  let since = performance.now()
  return (key) => {
    if (performance.now() - since > WINDOW_S * 1000) {
      names = new Set()
      since = performance.now()
    }
    if (names.size < max) names.add(key)
    return names.has(key) ? key : OTHERS
  }
}
