/** What clients ask of a kernel: anything that they may, and some of what they may not. */

import type { KernelState } from '../../src/kernel/state.js'
import type { Random } from './random.js'

const TRANSACTION_OPS = [
  'begin',
  'begin',
  'savepoint',
  'savepoint',
  'rollback',
  'release',
  'commit',
  'status',
  'undo',
  'redo',
  'guard',
  'snapshots',
  'fork',
  'fly',
]
const CHECKPOINT_OPS = ['create', 'list', 'restore', 'branch', 'diff', 'cancel', 'delete', 'export']
const NAMESPACE_OPS = ['list', 'set', 'fly']
const POLICIES = ['commit_always', 'rollback_on_failure', 'dry_run', 'explicit', 'sometimes']
const REQUESTS = ['complete_request', 'history_request', 'comm_info_request', 'kernel_info_request', 'odd_request']

/** Type, content and metadata of a request. */
export function anyRequest(random: Random, state: KernelState): [string, unknown, unknown] {
  const comm = random.pick(['t', 'c', 'n', 'w1'])
  const target = { t: 'savepoint.transaction', c: 'savepoint.checkpoint', n: 'savepoint.namespace', w1: 'widget' }[comm]
  if (random.chance(0.4))
    return [
      'execute_request',
      cell(random),
      random.chance(0.4)
        ? {
            savepoint: {
              transaction: random.pick(POLICIES),
              stream_mode: random.pick(['realtime', 'buffered']),
              ...wish(random),
            },
          }
        : {},
    ]
  if (random.chance(0.2))
    return [random.pick(['comm_open', 'comm_open', 'comm_close']), { comm_id: comm, target_name: target, data: {} }, {}]
  if (random.chance(0.2)) return [random.pick(REQUESTS), {}, {}]
  const op = random.pick(comm === 'c' ? CHECKPOINT_OPS : comm === 'n' ? NAMESPACE_OPS : TRANSACTION_OPS)
  return [
    'comm_msg',
    {
      comm_id: comm,
      data: {
        id: '1',
        op,
        checkpoint: 'some',
        ...fieldsOf(op, random, state),
      },
    },
    {},
  ]
}

function fieldsOf(op: string, random: Random, state: KernelState): object {
  const named = { name: random.pick(['a', 'b']) }
  if (op === 'begin') {
    const on_disconnect = random.pick(['keep', 'rollback', 'commit'])
    return { policy: random.pick(['explicit', 'dry_run']), on_disconnect, timeout_s: random.pick([null, 1]) }
  }
  if (op === 'fork') return { count: random.pick([1, 2, 3]), at: random.pick([null, null, 'sn_1', 'sn_2']) }
  if (op === 'rollback') return random.pick([{}, { to: 'a' }, { to: 'b' }])
  if (op === 'create') return { wait: random.chance(0.5) }
  if (op === 'diff') return { from: 'some' }
  if (op === 'cancel') return { checkpoint: state.writers.writing?.checkpoint ?? 'cp_none' }
  return op === 'savepoint' || op === 'release' || op === 'branch' ? named : {}
}

function wish(random: Random): object {
  return random.pick([{}, {}, { checkpoint: {} }, { timeout_s: 1 }, { checkpoint: 'some', timeout_s: 1 }])
}

function cell(random: Random): object {
  return { code: random.pick(['x', '', 'y = 1']), silent: random.chance(0.1), stop_on_error: random.chance(0.5) }
}
