/** Kernels as Jupyter's clients want to read them. */

import type { GatewayKernel, KernelStatus } from './ports.js'

/** The model of a kernel; of its names, Jupyter's clients want all but the last. */
export interface KernelModel extends KernelStatus {
  readonly id: string
  readonly name: string
}

export function kernelModel({ id, name, status }: GatewayKernel): KernelModel {
  return { id, name, ...status }
}
