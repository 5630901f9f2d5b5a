/** Kernels, as far as running code in them goes. */

import type { Attachment, AttachOptions, KernelClient, KernelRequest } from '../../host/kernels/ports.js'

export interface RunKernel {
  readonly id: string
  /** `dead`: it has no process. To look at its whole status would have its memory measured. */
  readonly phase: string
  /** Throws `kernel_dead` if it has ended. */
  attach(client: KernelClient, options?: AttachOptions): Attachment
  /** Resolves when it has ended. */
  shutdown(): Promise<void>
}

export interface RunKernels {
  /** Rejects with a SavepointError. */
  start(request: KernelRequest): Promise<RunKernel>
  /** Undefined if there is none, or none any more. */
  find(id: string): RunKernel | undefined
}
