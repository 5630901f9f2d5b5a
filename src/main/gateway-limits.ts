/** What the kernels of a gateway may use, as its Python side is told. */

import type { SettingValues } from '../settings.js'
import { resourceLimitsOf } from '../settings/limits.js'
import type { GatewaySpecs } from './gateway-specs.js'
import type { LimitOptions } from './kernel-limits.js'

export function limitsOf(values: SettingValues, specs: GatewaySpecs): LimitOptions {
  const common = resourceLimitsOf(values)
  const all = [common, ...[...specs.values()].map(({ limits }) => limits)]
  return {
    boundsOf: (spec) => specs.get(spec)?.limits ?? common,
    userMemoryBytes: common.userMemoryBytes,
    mayHaveGroups: values['limits.control_groups'],
    needsGroups:
      common.userMemoryBytes > 0 ||
      all.some(({ memoryBytes, processes, cpuPercent }) => memoryBytes > 0 || processes > 0 || cpuPercent > 0),
  }
}
