/**
 * Every op in every state, as docs/protocol.md has it: by comm, by HTTP (an op without a message), and as code in the
 * kernel asks. A refused one changes nothing.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../src/config.js'
import { TRANSACTION_TARGET } from '../../src/kernel/comms.js'
import { TRANSACTION_OPS } from '../../src/kernel/transaction-ops.js'
import { bytes } from '../support/messages.js'
import { TestKernel } from '../support/test-kernel.js'

type Fields = Readonly<Record<string, unknown>>

const COLUMNS: Readonly<Record<string, Fields>> = {
  begin: { op: 'begin' },
  savepoint: { op: 'savepoint', name: 'b' },
  rollback: { op: 'rollback' },
  'rollback to': { op: 'rollback', to: 'a' },
  release: { op: 'release', name: 'a' },
  commit: { op: 'commit' },
  status: { op: 'status' },
}

interface State {
  readonly limits?: { readonly transactionDepthMax?: number; readonly snapshotsMax?: number }
  readonly debuggable?: boolean
  /** What leads there. */
  readonly by: readonly (Fields | ((kernel: TestKernel) => void))[]
  /** What every op says beside its own fields. */
  readonly naming?: Fields
}

const BEGIN = { op: 'begin' }
const SAVEPOINT = { op: 'savepoint', name: 'a' }

/** By the first cell of a row. */
const STATES: Readonly<Record<string, State>> = {
  'none is open': { by: [] },
  'one is open': { by: [BEGIN] },
  'one is open, with the savepoint': { by: [BEGIN, SAVEPOINT] },
  'two are open, the savepoint is the inner one’s': { by: [BEGIN, BEGIN, SAVEPOINT] },
  'two are open, the savepoint is the outer one’s': { by: [BEGIN, SAVEPOINT, BEGIN] },
  'the savepoint was released': { by: [BEGIN, SAVEPOINT, { op: 'release', name: 'a' }] },
  'it is named and was committed': { by: [BEGIN, SAVEPOINT, { op: 'commit' }], naming: { transaction: 'tx_1' } },
  'it is named and was rolled back': { by: [BEGIN, SAVEPOINT, { op: 'rollback' }], naming: { transaction: 'tx_1' } },
  'as many are open as may be': { limits: { transactionDepthMax: 2 }, by: [BEGIN, BEGIN] },
  'as many snapshots are held as may be': { limits: { snapshotsMax: 2 }, by: [BEGIN, SAVEPOINT] },
  'a debugger is attached': { debuggable: true, by: [BEGIN, SAVEPOINT, attachDebugger] },
  'somebody has killed its snapshots': {
    by: [
      BEGIN,
      SAVEPOINT,
      (kernel) => ['sn_1', 'sn_2'].forEach((snapshot) => kernel.deliver({ on: 'snapshot_gone', snapshot })),
    ],
  },
}

function attachDebugger(kernel: TestKernel): void {
  kernel.send('control', 'debug_request', { type: 'request', seq: 1, command: 'initialize', arguments: {} })
  const token = kernel.did('call_debugger').at(-1)?.token ?? ''
  kernel.deliver({ on: 'debugger_up', token })
  const seq = kernel.did('tell_debugger').at(-1)?.command.seq ?? 0
  kernel.deliver({
    on: 'debugger',
    token,
    event: { kind: 'debug_reply', seq, attached: true },
    parts: [bytes({ success: true })],
  })
}

type Way = (kernel: TestKernel, fields: Fields) => string

/** What the worker owes: copies, and its connections when it is given up. */
function serve(kernel: TestKernel, from: number): void {
  for (const { command } of kernel.told.slice(from)) {
    if ('permit' in command && command.permit) {
      kernel.says({ kind: 'taken', snapshot: command.permit.snapshot, pid: 5, ms: 1 })
    } else if (command.kind === 'hand_over') {
      const at = kernel.told.length
      kernel.says({ kind: 'handed_over', snapshot: command.snapshot, limits: [] })
      const again = kernel.told.slice(at).find(({ command: { kind } }) => kind === 'welcome')?.command
      const permit = again?.kind === 'welcome' ? again.woken?.permit : undefined
      if (permit) kernel.says({ kind: 'taken', snapshot: permit.snapshot, pid: 6, ms: 1 })
    }
  }
}

function codeOf(answer: unknown): string {
  const { ok, error } = answer as { ok: boolean; error?: { code: string } }
  return ok ? 'ok' : (error?.code ?? 'no code')
}

const WAYS: Readonly<Record<string, Way>> = {
  comm(kernel, fields) {
    const from = kernel.told.length
    const id = kernel.send('shell', 'comm_msg', { comm_id: 't', data: { id: '1', ...fields } })
    serve(kernel, from)
    const answer = kernel.heard.find(
      ({ parent, content }) => parent === id && (content['data'] as { id?: string } | undefined)?.id === '1',
    )
    return codeOf(answer?.content['data'])
  },
  http(kernel, fields) {
    const from = kernel.told.length
    kernel.deliver({ on: 'op', id: 'r', target: TRANSACTION_TARGET, data: fields, by: 'rest', waitMs: 1_000 })
    serve(kernel, from)
    return codeOf(kernel.did('answer').at(-1)?.outcome)
  },
  code(kernel, { op, ...args }) {
    kernel.execute('a cell')
    const from = kernel.told.length
    const generation = kernel.state.generation
    kernel.says({ kind: 'ask', id: 'a', op: String(op), parent: null, args })
    serve(kernel, from)
    const answer = kernel.told.slice(from).find(({ command }) => command.kind === 'answer')?.command
    // What replaces the process is not answered; the cell then ends.
    const code = answer ? codeOf(answer) : kernel.state.generation > generation ? 'ok' : 'no answer'
    if (kernel.state.turn) kernel.replies()
    return code
  },
}

function reach({ limits = {}, debuggable = false, by }: State): TestKernel {
  const kernel = new TestKernel({ limits })
  if (debuggable) {
    kernel.deliver({ on: 'zygote_ready', kernelInfo: bytes({ status: 'ok', debugger: true }) })
    kernel.says({ kind: 'debug_info' }, {})
  }
  kernel.send('shell', 'comm_open', { comm_id: 't', target_name: TRANSACTION_TARGET, data: {} })
  for (const each of by) {
    if (typeof each === 'function') each(kernel)
    else expect(WAYS['comm']?.(kernel, each)).toBe('ok')
  }
  return kernel
}

/** What there is, apart from processes and counts. */
function picture({ state }: TestKernel): unknown {
  return {
    phase: state.phase,
    generation: state.generation,
    transactions: state.transactions.map(({ id, state: is, savepoints }) => [
      id,
      is,
      savepoints.map(({ name }) => name),
    ]),
    snapshots: [...state.snapshots.values()].map(({ id, phase }) => [id, phase]),
    waits: state.waiters.size,
  }
}

function table(): { readonly header: readonly string[]; readonly rows: readonly (readonly string[])[] } {
  const [, section = ''] = readFileSync(join(packageRoot, 'docs', 'protocol.md'), 'utf8').split(
    '#### What is legal when\n',
  )
  const lines =
    section
      .split('\n#')[0]
      ?.split('\n')
      .filter((line) => line.startsWith('|')) ?? []
  const cells = lines.map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim().replaceAll('`', '')),
  )
  return { header: cells[0]?.slice(1) ?? [], rows: cells.slice(2) }
}

describe('the moves of transactions', () => {
  const { header, rows } = table()

  test('are all in the table of the documentation', () => {
    expect(header).toEqual(Object.keys(COLUMNS))
    expect(rows.map(([state]) => state)).toEqual(Object.keys(STATES))
    expect(new Set(Object.values(COLUMNS).map(({ op }) => op))).toEqual(new Set(Object.keys(TRANSACTION_OPS)))
  })

  test.each(Object.keys(WAYS))('are as that says, by %s', (way) => {
    const found = Object.entries(STATES).map(([name, state]) => {
      const codes = Object.values(COLUMNS).map((fields) => {
        const kernel = reach(state)
        const before = picture(kernel)
        const code = WAYS[way]?.(kernel, { ...fields, ...state.naming }) ?? ''
        const lost = name === 'somebody has killed its snapshots'
        if (code !== 'ok' && !lost) expect(picture(kernel)).toEqual(before)
        expect(kernel.state).toMatchObject({ phase: 'idle', turn: null })
        return code
      })
      return [name, ...codes]
    })
    expect(found).toEqual(rows)
  })
})
