/** What one kernel, and all kernels of one user, may use of the machine. Nothing is limited unless it is set. */

import type { SettingValues } from '../settings.js'
import { config } from '../config.js'
import { integer, onOff } from './kinds.js'
import type { SettingTable } from './setting.js'

const BYTES_MAX = 1_125_899_906_842_624

export const limitSettings = {
  'limits.memory_bytes': {
    ...integer(0, 0, BYTES_MAX),
    about: 'memory of one kernel, with its child processes and the copies of it that are kept; 0: no limit',
  },
  'limits.user_memory_bytes': {
    ...integer(0, 0, BYTES_MAX),
    about: 'memory of all kernels of one user together; 0: no limit',
  },
  'limits.cpu_percent': {
    ...integer(0, 0, 1_000_000),
    about: 'percent of one processor that a kernel may use: 150 are one and a half; 0: no limit',
  },
  'limits.processes': {
    ...integer(0, 0, 1_000_000),
    about: 'processes and threads that run in one kernel at a time; 0: no limit',
  },
  'limits.file_bytes': {
    ...integer(0, 0, BYTES_MAX),
    about: 'bytes of the largest file that code in a kernel may write; 0: no limit',
  },
  'limits.cell_s': {
    ...integer(0, 0, config.cellTimeoutSMax),
    about: 'seconds after which a cell is interrupted, whatever deadline it asks for; 0: no limit',
  },
  'limits.control_groups': {
    ...onOff(true),
    about:
      'whether the system holds these limits by control groups where it can; else kernels are looked at once a second',
  },
} as const satisfies SettingTable

/** 0: no limit. */
export interface ResourceLimits {
  readonly memoryBytes: number
  readonly userMemoryBytes: number
  readonly cpuPercent: number
  readonly processes: number
  readonly fileBytes: number
  readonly cellS: number
}

/** Names of those that a kernelspec may have of its own, and the limits that they are. */
export const SPEC_LIMITS = {
  memory_bytes: 'memoryBytes',
  cpu_percent: 'cpuPercent',
  processes: 'processes',
  file_bytes: 'fileBytes',
  cell_s: 'cellS',
} as const

export type SpecLimits = { readonly [N in keyof typeof SPEC_LIMITS]?: number }

/** Those of a kernelspec, which says some of them itself. */
export function resourceLimitsOf(values: SettingValues, own: SpecLimits = {}): ResourceLimits {
  return {
    memoryBytes: own.memory_bytes ?? values['limits.memory_bytes'],
    userMemoryBytes: values['limits.user_memory_bytes'],
    cpuPercent: own.cpu_percent ?? values['limits.cpu_percent'],
    processes: own.processes ?? values['limits.processes'],
    fileBytes: own.file_bytes ?? values['limits.file_bytes'],
    cellS: own.cell_s ?? values['limits.cell_s'],
  }
}
