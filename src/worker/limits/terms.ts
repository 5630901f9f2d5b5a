/** What kernels may use, what their workers are told of it, and what is said when they are ended for it. */

import type { OwnLimits } from '../../link/protocol.js'

/** Of one kernel; 0: no limit. */
export interface KernelBounds {
  /** With child processes and frozen copies. */
  readonly memoryBytes: number
  /** Of one processor. */
  readonly cpuPercent: number
  /** Processes and threads, without our frozen copies. */
  readonly processes: number
  /** Of one file. */
  readonly fileBytes: number
}

/** Why a worker was ended: its name, and the end of a sentence that begins with "since". */
export interface Reason {
  readonly name: string
  readonly why: string
}

/** `confined`: its processor time is bounded from outside. null: there is nothing to put on. */
export function ownLimitsOf(bounds: KernelBounds, confined: boolean): OwnLimits | null {
  const { memoryBytes, fileBytes, cpuPercent } = bounds
  const own = {
    ...(memoryBytes > 0 ? { memory_bytes: memoryBytes } : {}),
    ...(fileBytes > 0 ? { file_bytes: fileBytes } : {}),
    ...(cpuPercent > 0 && !confined ? { cores: Math.ceil(cpuPercent / 100) } : {}),
  }
  return Object.keys(own).length > 0 ? own : null
}

export function memoryReason(bytes: number): Reason {
  return {
    name: 'memory_limit',
    why: `its kernel used more memory than it may: limits.memory_bytes is ${inWords(bytes)}`,
  }
}

export function userMemoryReason(bytes: number): Reason {
  return {
    name: 'user_memory_limit',
    why: `the kernels of its user used more memory than they may together: limits.user_memory_bytes is ${inWords(bytes)}`,
  }
}

export function processReason(most: number): Reason {
  return {
    name: 'process_limit',
    why: `its kernel had more processes and threads than it may: limits.processes is ${most}`,
  }
}

function inWords(bytes: number): string {
  return bytes >= 1_048_576 ? `${bytes} (${Math.round(bytes / 1_048_576)} MiB)` : String(bytes)
}
