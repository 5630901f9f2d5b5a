/**
 * A circuit breaker: after several failures in a row nothing is tried for a while, then one thing at a time, until
 * several have succeeded.
 */

export interface BreakerLimits {
  readonly failuresToOpen: number
  readonly successesToClose: number
  readonly openMs: number
}

export type Breaker =
  | { readonly state: 'closed'; readonly failures: number }
  | { readonly state: 'open'; readonly until: number }
  | { readonly state: 'half_open'; readonly successes: number }

export const CLOSED: Breaker = { state: 'closed', failures: 0 }

export function succeeded(breaker: Breaker, { successesToClose }: BreakerLimits): Breaker {
  // What was on its way when it opened proves little.
  if (breaker.state === 'open') return breaker
  if (breaker.state === 'closed') return CLOSED
  const successes = breaker.successes + 1
  return successes >= successesToClose ? CLOSED : { state: 'half_open', successes }
}

export function failed(breaker: Breaker, { failuresToOpen, openMs }: BreakerLimits, now: number): Breaker {
  const failures = breaker.state === 'closed' ? breaker.failures + 1 : failuresToOpen
  return failures >= failuresToOpen ? { state: 'open', until: now + openMs } : { state: 'closed', failures }
}

/** The breaker as it is at this moment: open ones open half after their time. */
export function present(breaker: Breaker, now: number): Breaker {
  return breaker.state === 'open' && now >= breaker.until ? { state: 'half_open', successes: 0 } : breaker
}
