/** Kernels, as far as running code in them goes. */

import type { MessageJournal } from '../../host/journal/messages.js'
import type { Attachment, AttachOptions, KernelClient, KernelRequest } from '../../host/kernels/ports.js'

export interface RunKernel {
  readonly id: string
  /** Name of its kernelspec, as it was asked for. */
  readonly name: string
  /** Subject of the token that asked for it. */
  readonly owner: string
  /** What it has said. */
  readonly journal: MessageJournal
  /** Where executions are kept for a later process of the gateway; null: they are not. */
  readonly folder: string | null
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
