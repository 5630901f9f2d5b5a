/** Routes for what Jupyter does not have: transactions and checkpoints. For `more` of a gateway's parts. */

import type { App, RouteParts } from '../routes/route.js'
import { checkpointFileRoutes } from './checkpoint-files.js'
import { kernelCheckpointRoutes } from './checkpoints.js'
import { forkRoutes } from './forks.js'
import { guardRoutes } from './guard.js'
import type { CheckpointStore } from './ports.js'
import { checkpointRoutes } from './stored-checkpoints.js'
import { transactionRoutes } from './transactions.js'

export function stateRoutes(store: CheckpointStore): (app: App, parts: RouteParts) => void {
  return (app, parts) => {
    transactionRoutes(app, parts)
    forkRoutes(app, parts)
    guardRoutes(app, parts)
    kernelCheckpointRoutes(app, parts, store)
    checkpointRoutes(app, parts, store)
    checkpointFileRoutes(app, store)
  }
}
