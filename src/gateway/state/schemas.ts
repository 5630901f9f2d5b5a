/** Shapes of requests and answers about transactions and checkpoints. What an op takes is said by the kernel. */

import Type, { type TObject } from 'typebox'

const kernelId = Type.String({ description: 'Id of the kernel' })
export const kernelParams = Type.Object({ id: kernelId })
export const transactionParams = Type.Object({
  id: kernelId,
  tx: Type.String({ description: 'Id of the transaction' }),
})
export const snapshotParams = Type.Object({
  id: kernelId,
  sid: Type.String({ description: 'Id of the snapshot' }),
})
export const checkpointParams = Type.Object({ cp: Type.String({ description: 'Id of the checkpoint, or its name' }) })

export const waitQuery = Type.Object({
  wait_s: Type.Optional(
    Type.String({
      description: 'Seconds to wait for its turn (30); after that nothing was done, and it is kernel_busy',
    }),
  ),
})

export const listQuery = Type.Object({
  kernel_id: Type.Optional(Type.String({ description: 'Only of this kernel, which may be gone' })),
  branch: Type.Optional(Type.String({ description: 'Only of this branch' })),
  q: Type.Optional(Type.String({ description: 'Only those with this text in their name or note', maxLength: 1_000 })),
  limit: Type.Optional(Type.String({ description: 'At most so many, newest first (100)' })),
  before: Type.Optional(Type.String({ description: 'Older than the checkpoint of this id' })),
})

const op = (description: string): TObject => Type.Object({ op: Type.Optional(Type.String({ description })) })

export const transactionOp = op(
  'begin (default), with name, policy, engine and timeout_s; savepoint; rollback; release; commit; status',
)
export const checkpointOp = op(
  'create (default), with name, note, exclude and wait; branch, with checkpoint and name; cancel; restore; diff; list; get; validate; delete',
)
export const diffQuery = Type.Object({
  to: Type.Optional(
    Type.String({ description: "Id or name of the other one; without it, the kernel's present, if it is alive" }),
  ),
  wait_s: waitQuery.properties.wait_s,
})
export const importQuery = Type.Object({
  trust: Type.Optional(
    Type.String({ description: 'Name of a key that may have signed it, if not this gateway: docs/checkpoints.md' }),
  ),
})
export const file = Type.String({ format: 'binary', description: 'application/vnd.savepoint.checkpoint' })
export const forkBody = Type.Object({
  count: Type.Optional(Type.Integer({ description: 'How many kernels, 1 to 100 (1)' })),
  at: Type.Optional(
    Type.Union([Type.String(), Type.Null()], { description: 'Id of a snapshot of an earlier moment; null: now' }),
  ),
})
export const rollbackBody = Type.Object({
  to: Type.Optional(
    Type.Union([Type.String(), Type.Null()], { description: 'A savepoint, which keeps it open; else the begin' }),
  ),
})
export const savepointBody = Type.Object({ name: Type.String({ description: 'What to call it' }) })
export const stepsBody = Type.Object({ n: Type.Optional(Type.Integer({ description: 'How many steps (1)' })) })
export const restoreBody = Type.Object({
  checkpoint: Type.String({ description: 'Id, or the newest of that name' }),
  mode: Type.Optional(Type.String({ description: 'clear (default) or merge' })),
  names: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()], { description: 'Only these variables' })),
})

const record = (title: string): ReturnType<typeof Type.Record> =>
  Type.Record(Type.String(), Type.Unknown(), { title, description: 'See docs/protocol.md' })

export const transaction = record('Transaction')
export const snapshot = record('Snapshot')
export const checkpoint = record('Checkpoint')
export const result = record('Result of an op')
export const listOf = (item: ReturnType<typeof record>): TObject =>
  Type.Object({ items: Type.Array(item), total_count: Type.Integer() })
export const validity = Type.Object({
  valid: Type.Boolean(),
  damaged: Type.Array(Type.Record(Type.String(), Type.Unknown())),
})
