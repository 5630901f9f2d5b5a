/** Who keeps the kernels of a gateway within their limits. */

import { systemClock } from '../clock.js'
import type { Log } from '../log.js'
import { CONTROLLERS, findCgroups } from '../worker/limits/cgroups.js'
import type { OomWatch } from '../worker/limits/oom.js'
import type { KernelBounds } from '../worker/limits/terms.js'
import { Warden } from '../worker/limits/warden.js'

export interface LimitOptions {
  /** Of a kernel of that kernelspec. */
  readonly boundsOf: (spec: string) => KernelBounds
  /** Of all kernels of one user; 0: no limit. */
  readonly userMemoryBytes: number
  /** Some of these limits are for the system to hold, and it may, where it can. */
  readonly needsGroups: boolean
  readonly mayHaveGroups: boolean
}

const UNLIMITED: LimitOptions = {
  boundsOf: () => ({ memoryBytes: 0, cpuPercent: 0, processes: 0, fileBytes: 0 }),
  userMemoryBytes: 0,
  needsGroups: false,
  mayHaveGroups: false,
}

/** Control groups are looked for only where they are needed. */
export function wardenOf(given: LimitOptions | undefined, oom: OomWatch, log: Log): Warden {
  const { boundsOf, userMemoryBytes, needsGroups, mayHaveGroups } = given ?? UNLIMITED
  const cgroups = needsGroups && mayHaveGroups ? findCgroups() : null
  const missing = CONTROLLERS.filter((each) => cgroups?.roots[each] === undefined)
  if (needsGroups && missing.length > 0) {
    const remedy = 'see docs/deployment.md on control groups; until then kernels are looked at once a second'
    log('warn', 'limits_without_control_groups', { missing: missing.join(' '), remedy })
  }
  return new Warden({ boundsOf, userMemoryBytes, cgroups, oom, clock: systemClock, log })
}
