/**
 * The kernel, its worker or its client goes in the middle of a move, at every point where that waits for something: the
 * one that asked is answered once, nothing waits any more, and no copy is left that nobody will wake.
 */

import { TRANSACTION_TARGET } from '../../src/kernel/comms.js'
import { TestKernel } from '../support/test-kernel.js'

type Fields = Readonly<Record<string, unknown>>

function send(kernel: TestKernel, data: Fields): string {
  return kernel.send('shell', 'comm_msg', { comm_id: 't', data: { id: '1', ...data } })
}

/** The worker does the next thing that it owes; false if it owes nothing. */
function serve(kernel: TestKernel, done: Set<object>): boolean {
  for (const told of kernel.told) {
    const { command } = told
    if (done.has(told)) continue
    done.add(told)
    const permit = command.kind === 'welcome' ? command.woken?.permit : 'permit' in command ? command.permit : undefined
    if (permit) kernel.says({ kind: 'taken', snapshot: permit.snapshot, pid: 5, ms: 1 })
    else if (command.kind === 'hand_over') {
      kernel.says({ kind: 'handed_over', snapshot: command.snapshot, limits: [] })
    } else continue
    return true
  }
  return false
}

/** A kernel with a transaction and a savepoint, that is at `move` and has been served so often. */
function amid(move: Fields, served: number, recover: boolean): { kernel: TestKernel; request: string; ended: boolean } {
  const kernel = new TestKernel({ recover })
  const done = new Set<object>()
  kernel.send('shell', 'comm_open', { comm_id: 't', target_name: TRANSACTION_TARGET, data: {} })
  for (const data of [{ op: 'begin' }, { op: 'savepoint', name: 'a' }]) {
    send(kernel, data)
    while (serve(kernel, done));
  }
  const request = send(kernel, move)
  for (let i = 0; i < served; i += 1) serve(kernel, done)
  return { kernel, request, ended: kernel.state.turn === null }
}

const MOVES: readonly Fields[] = [
  { op: 'begin' },
  { op: 'savepoint', name: 'b' },
  { op: 'rollback', to: 'a' },
  { op: 'rollback' },
]

const CUTS: Readonly<Record<string, (kernel: TestKernel) => void>> = {
  shutdown: (kernel) => void kernel.send('control', 'shutdown_request', { restart: false }),
  restart: (kernel) => void kernel.send('control', 'shutdown_request', { restart: true }),
  'end from outside': (kernel) => kernel.deliver({ on: 'terminate', code: 0 }),
  'death of the worker': (kernel) => kernel.dies(),
  'death of the zygote': (kernel) => kernel.deliver({ on: 'zygote_died' }),
}

/** Lets whatever is still under way come to its end. */
function calm(kernel: TestKernel): void {
  for (let rounds = 0; rounds < 50 && kernel.state.phase !== 'dead'; rounds += 1) {
    const stopping = kernel.did('stop_workers').length > 0
    if (stopping) kernel.deliver({ on: 'workers_stopped' })
    else if (kernel.state.phase === 'stopping' && kernel.state.worker) kernel.dies({ code: 0, signal: null })
    else if (kernel.deadlines.size > 0) kernel.expires([...kernel.deadlines.keys()][0] ?? '')
    else break
  }
}

function answersTo(kernel: TestKernel, request: string): { ok: boolean; error?: { code: string } }[] {
  return kernel.heard.flatMap(({ parent, content }) => {
    const data = content['data'] as { id?: string; ok: boolean } | undefined
    return parent === request && data?.id === '1' ? [data] : []
  })
}

describe.each(Object.entries(CUTS))('a %s in the middle of', (name, cut) => {
  test.each(MOVES)('%j', (move) => {
    for (const recover of [false, true]) {
      for (let served = 0; served < 5; served += 1) {
        const { kernel, request, ended } = amid(move, served, recover)
        if (ended) break
        cut(kernel)
        calm(kernel)
        const answers = answersTo(kernel, request)
        expect(answers).toHaveLength(1)
        const code = answers[0]?.error?.code ?? 'ok'
        if (!name.startsWith('death')) expect(code).toBe('kernel_restarting')
        const said = kernel.conversation(request)
        expect(said.filter((line) => line.endsWith('busy'))).toHaveLength(1)
        expect(said.filter((line) => line.endsWith('idle'))).toHaveLength(1)
        expect([...kernel.state.waiters.keys()]).toEqual([])
        expect([...kernel.deadlines.keys()]).toEqual([])
        // All processes are ended with the kernel; one that lives on holds what its transactions need.
        if (kernel.state.phase === 'dead') expect(kernel.did('stop_workers')).toHaveLength(1)
        else {
          expect(kernel.state.phase).toBe('idle')
          const needed = kernel.state.transactions.flatMap((each) => [
            each.snapshot,
            ...each.savepoints.map(({ snapshot }) => snapshot),
          ])
          expect([...kernel.state.snapshots.keys()].toSorted()).toEqual(needed.toSorted())
        }
      }
    }
  })
})

describe('a kernel', () => {
  test('holds no more after a thousand rounds than after ten', () => {
    const kernel = new TestKernel()
    const done = new Set<object>()
    kernel.send('shell', 'comm_open', { comm_id: 't', target_name: TRANSACTION_TARGET, data: {} })
    const round = (): void => {
      for (const data of [
        { op: 'begin', timeout_s: 60, on_disconnect: 'rollback' },
        { op: 'savepoint', name: 'a' },
        { op: 'rollback', to: 'a' },
        { op: 'begin' },
        { op: 'savepoint', name: 'b' },
        { op: 'release', name: 'b' },
        { op: 'commit' },
        { op: 'rollback' },
      ]) {
        send(kernel, data)
        while (serve(kernel, done));
      }
      kernel.execute('x')
      kernel.replies()
      // What the test itself remembers.
      for (const list of [kernel.told, kernel.heard, kernel.effects]) list.length = 0
      done.clear()
    }
    const size = (): unknown =>
      Object.entries(kernel.state).map(([key, value]: [string, unknown]) => {
        if (key === 'parents') return [key, 'bounded']
        if (value instanceof Map || value instanceof Set) return [key, value.size]
        return [key, Array.isArray(value) ? value.length : typeof value]
      })
    for (let i = 0; i < 10; i += 1) round()
    const before = size()
    for (let i = 0; i < 1_000; i += 1) round()
    expect(size()).toEqual(before)
    expect(kernel.deadlines.size).toBe(0)
  })
})
