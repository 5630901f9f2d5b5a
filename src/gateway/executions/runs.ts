/** Running code over HTTP, put together: what `serve` adds to its gateway, and ends with it. */

import { randomUUID } from 'node:crypto'
import type { Clock } from '../../clock.js'
import type { Log } from '../../log.js'
import type { App, RouteParts } from '../routes/route.js'
import { Executions } from './executions.js'
import { executionLimits, type ExecutionLimits } from './limits.js'
import { OneShots } from './one-shots.js'
import type { RunKernel, RunKernels } from './ports.js'
import { executeRoute, executionRoutes } from './routes.js'

export interface RunsOfGateway {
  /** For `more` of a gateway's parts. */
  readonly addRoutes: (app: App, parts: RouteParts) => void
  /** Goes on with the executions of a kernel that an earlier process has left. Never throws. */
  takeUp(kernel: RunKernel): void
  /** To be told of each kernel that has ended: an id may come again, and belongs to another kernel then. */
  kernelEnded(id: string): void
  /** Ends the kernels that are kept for sessions. */
  close(): Promise<void>
}

export function createRuns(parts: {
  readonly kernels: RunKernels
  readonly clock: Clock
  readonly log: Log
  readonly limits?: Partial<ExecutionLimits>
}): RunsOfGateway {
  const { kernels, clock, log } = parts
  const limits = { ...executionLimits, ...parts.limits }
  const exists = (id: string): boolean => kernels.find(id) !== undefined
  const executions = new Executions({ clock, limits, log, mint: randomUUID, exists })
  const onFault = (event: string, error: unknown): void =>
    log('error', event, { message: error instanceof Error ? error.message : String(error) })
  const oneShots = new OneShots({ kernels, executions, clock, limits, onFault })
  return {
    addRoutes(app, shared) {
      executionRoutes(app, shared, { executions, oneShots, limits })
      executeRoute(app, shared, { executions, oneShots, limits })
    },
    takeUp(kernel) {
      try {
        executions.takeUp(kernel)
        oneShots.takeUp(kernel)
      } catch (error) {
        onFault('executions_not_taken_up', error)
      }
    },
    kernelEnded: (id) => executions.forgetKernel(id),
    close: () => oneShots.close(),
  }
}
