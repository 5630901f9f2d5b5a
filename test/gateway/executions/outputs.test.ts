import { readFileSync } from 'node:fs'
import { fold, noOutputs, resultOf, textOf, update, type Outputs } from '../../../src/gateway/executions/outputs.js'

type Message = readonly [type: string, content: Readonly<Record<string, unknown>>]
interface Vector {
  readonly cells: readonly (readonly Message[])[]
  readonly outputs: readonly unknown[]
}

const VECTORS = new URL('../../../../test/vectors/outputs/outputs.json', import.meta.url)
const vectors = JSON.parse(readFileSync(VECTORS, 'utf8')) as Vector[]
const MOST = 1_000_000

/** Cells one after the other; a display that changes does so in all of them. */
function foldAll(cells: Vector['cells']): Outputs[] {
  const folded: Outputs[] = []
  for (const messages of cells) {
    const outputs = noOutputs()
    for (const [type, content] of messages) {
      const size = JSON.stringify(content).length
      for (const earlier of folded) {
        if (type.endsWith('display_data') || type === 'execute_result') update(earlier, content, size, MOST)
      }
      fold(outputs, type, content, size, MOST)
    }
    folded.push(outputs)
  }
  return folded
}

describe('the outputs of a cell', () => {
  test.each(vectors.map((vector, index) => ({ ...vector, index })))(
    'are those that nbclient keeps ($index)',
    (vector) => {
      expect(foldAll(vector.cells).map(({ list }) => list)).toEqual(vector.outputs)
    },
  )

  test('are the same however a stream is cut', () => {
    const outputs = noOutputs()
    const text = 'some text\nwith ends\n'
    for (const piece of text) fold(outputs, 'stream', { name: 'stdout', text: piece }, 1, MOST)
    expect(outputs.list).toEqual([{ output_type: 'stream', name: 'stdout', text }])
    expect(textOf(outputs, 'stdout')).toBe(text)
    expect(textOf(outputs, 'stderr')).toBe('')
  })

  test('hold the value of the cell', () => {
    const outputs = noOutputs()
    expect(resultOf(outputs)).toBeNull()
    fold(outputs, 'execute_result', { data: { 'text/plain': '2' }, metadata: {}, execution_count: 1 }, 9, MOST)
    expect(resultOf(outputs)).toEqual({ 'text/plain': '2' })
  })

  test('that would be too many are cut, and how much is counted', () => {
    const outputs = noOutputs()
    fold(outputs, 'stream', { name: 'stdout', text: 'x'.repeat(8) }, 8, 10)
    fold(outputs, 'stream', { name: 'stdout', text: 'y'.repeat(8) }, 8, 10)
    fold(outputs, 'display_data', { data: { 'text/plain': 'z' }, metadata: {} }, 5, 10)
    fold(outputs, 'error', { ename: 'E', evalue: 'v', traceback: ['long'] }, 50, 10)
    expect(outputs.list).toEqual([
      { output_type: 'stream', name: 'stdout', text: 'xxxxxxxxyy' },
      { output_type: 'error', ename: 'E', evalue: 'v', traceback: [] },
    ])
    expect(outputs).toMatchObject({ bytes: 10, bytesCut: 6 + 5 + 50 })
    fold(outputs, 'clear_output', { wait: false }, 15, 10)
    expect(outputs).toMatchObject({ list: [], bytes: 0, bytesCut: 0 })
  })

  test('do not grow by a display that is updated again and again', () => {
    const outputs = noOutputs()
    const shown = (text: string) => ({ data: { 'text/plain': text }, metadata: {}, transient: { display_id: 'a' } })
    fold(outputs, 'display_data', shown('0'), 10, 100)
    for (let n = 1; n < 50; n += 1) fold(outputs, 'update_display_data', shown(`${n}`), 11, 100)
    expect(outputs).toMatchObject({ bytes: 11, bytesCut: 0, list: [{ data: { 'text/plain': '49' } }] })
    fold(outputs, 'update_display_data', shown('large'), 101, 100)
    expect(outputs).toMatchObject({ bytes: 11, bytesCut: 101, list: [{ data: { 'text/plain': '49' } }] })
  })

  test('survive whatever user code publishes', () => {
    const outputs = noOutputs()
    for (const type of [
      'stream',
      'display_data',
      'execute_result',
      'error',
      'update_display_data',
      'clear_output',
      '?',
    ])
      for (const content of [
        {},
        { data: 3, text: {}, traceback: 'no', transient: null },
        { transient: { display_id: 7 } },
      ])
        fold(outputs, type, content, 10, MOST)
    expect(outputs.clearFirst).toBe(false)
  })
})
