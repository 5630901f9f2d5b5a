/** The kernels of a gateway, joined with what they need. */

import { systemClock } from '../clock.js'
import { config } from '../config.js'
import type { GatewayKernels } from '../gateway/ports.js'
import { Kernels, type KernelsOptions } from '../host/kernels/kernels.js'
import type { NewWorkers } from '../host/kernels/ports.js'
import type { Log } from '../log.js'
import type { SettingValues } from '../settings.js'
import { UsageMeter } from '../worker/usage.js'
import { kernelStore } from './kernel-store.js'

export interface GatewayKernelsParts extends Pick<
  KernelsOptions,
  'findSpec' | 'kernelsMax' | 'root' | 'allowedEnvironment' | 'culling'
> {
  readonly newWorkers: NewWorkers
  readonly dataDir: string
  readonly values: SettingValues
  readonly log: Log
}

export function gatewayKernels({
  newWorkers,
  dataDir,
  values,
  log,
  ...rest
}: GatewayKernelsParts): Kernels & GatewayKernels {
  return new Kernels({
    ...rest,
    newWorkers,
    newStore: (kernelId) => kernelStore(dataDir, kernelId, log),
    newUsage: () => new UsageMeter(systemClock),
    clock: systemClock,
    log,
    kernelLimits: config.kernels,
    options: {
      offersSubshells: values['kernel.subshells'],
      limits: {
        ...config.kernel,
        bufferedBytesMax: values['output.buffered_bytes_max'],
        // A front end asks a busy kernel whether it is there, and must not have to wait.
        infoPatienceMs: 0,
      },
    },
    pacing: {
      intervalMs: values['output.merge_ms'],
      firstMs: config.streams.firstMs,
      bytesMax: values['output.merge_bytes_max'],
    },
    holdMs: config.holdMs,
  })
}
