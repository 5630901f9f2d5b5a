/** Making a checkpoint, as clients and code in the kernel ask for it. */

import type { Call } from './call.js'
import * as checkpoints from './checkpoints.js'
import { emitCheckpoint } from './events.js'
import { run, type Operation } from './operation.js'
import type { KernelState } from './state.js'

/** Answers when it is stored, or, with `wait: false`, as soon as it is being written. */
export function* createOp(state: KernelState, call: Call): Operation<unknown> {
  const { name, note, exclude, wait } = call.args
  const { writing, finish } = yield* checkpoints.start(state, { name, note, exclude })
  if (wait !== false) {
    const checkpoint = yield* finish()
    call.afterwards.push(() => emitCheckpoint(state, call.parent, checkpoint))
    return checkpoint
  }
  call.afterwards.push(() => {
    run(state, finish(), (outcome) => {
      const failed = { ...writing, state: 'failed' }
      emitCheckpoint(state, call.parent, outcome.ok ? outcome.value : failed)
    })
  })
  return writing
}
