import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { constants } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeFifos, readFifo } from '../../src/worker/fifo.js'

let folder: string
let path: string
let end: number
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'savepoint-fifo-'))
  path = join(folder, 'stdout')
  await makeFifos(path)
  // As a worker opens it: there is always a reader, the writer itself.
  end = openSync(path, constants.O_RDWR)
})
afterEach(() => {
  closeSync(end)
  rmSync(folder, { recursive: true, force: true })
})

const MARK = Buffer.from('<mark>')

function collect(): { text: () => string; fifo: ReturnType<typeof readFifo> } {
  const chunks: Buffer[] = []
  const fifo = readFifo(path, MARK, (text) => void chunks.push(text))
  return { text: () => JSON.parse(`"${Buffer.concat(chunks).toString()}"`) as string, fifo }
}

describe('a named pipe', () => {
  test('is drained of all that was written, at once', () => {
    const { text, fifo } = collect()
    const written = 'line\n'.repeat(10_000)
    writeSync(end, written)
    fifo.drain()
    expect(text()).toBe(written)
    fifo.drain()
    expect(text()).toBe(written)
    fifo.close()
  })

  test('delivers without being drained, too', async () => {
    const { text, fifo } = collect()
    writeSync(end, 'soon')
    while (text() === '') await new Promise(setImmediate)
    expect(text()).toBe('soon')
    fifo.close()
  })

  test('goes on with the next writer when the last one is gone', async () => {
    const { text, fifo } = collect()
    writeSync(end, 'one ')
    while (text() !== 'one ') await new Promise(setImmediate)
    closeSync(end)
    // An end of the stream would be noticed within these turns of the loop.
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate)
    end = openSync(path, constants.O_RDWR)
    writeSync(end, 'two')
    while (text() !== 'one two') await new Promise(setImmediate)
    fifo.close()
  })

  test('keeps characters whole that are cut between two reads, and replaces what is no UTF-8', () => {
    const { text, fifo } = collect()
    const [first, ...rest] = Buffer.from('é')
    writeSync(end, Buffer.from([first ?? 0]))
    fifo.drain()
    writeSync(end, Buffer.from([...rest, 0xff, 0x22, 0x0a]))
    fifo.drain()
    expect(text()).toBe('é\ufffd"\n')
    fifo.close()
  })

  test('holds back what comes behind a mark until the reply before it was served', () => {
    const { text, fifo } = collect()
    writeSync(end, 'first<mark>second')
    fifo.drain()
    expect(text()).toBe('first')
    fifo.passed()
    expect(text()).toBe('firstsecond')
    writeSync(end, ' third')
    fifo.drain()
    expect(text()).toBe('firstsecond third')
    fifo.close()
  })

  test('swallows a mark that comes after the reply before it was served', () => {
    const { text, fifo } = collect()
    writeSync(end, 'first')
    fifo.drain()
    fifo.passed()
    writeSync(end, '<mark>second')
    fifo.drain()
    expect(text()).toBe('firstsecond')
    fifo.close()
  })

  test('takes the beginning of a mark at the end of a full read for text when no more comes', () => {
    const { text, fifo } = collect()
    const written = `${'x'.repeat(65_533)}<ma`
    writeSync(end, written)
    fifo.drain()
    expect(text()).toBe(written)
    fifo.close()
  })

  test('begins anew with another writer, and keeps nothing back', () => {
    const { text, fifo } = collect()
    writeSync(end, 'first<mark>second')
    fifo.reset()
    expect(text()).toBe('firstsecond')
    writeSync(end, ' third')
    fifo.drain()
    expect(text()).toBe('firstsecond third')
    fifo.close()
  })
})
