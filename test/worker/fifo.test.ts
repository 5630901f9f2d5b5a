import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeFifos, markOf, readFifo } from '../../src/worker/fifo.js'
import type { Piece } from '../../src/worker/memory.js'

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

const MARK = '<mark>'

interface Reader {
  readonly fifo: ReturnType<typeof readFifo>
  text(): string
  /** What would be lost with the process if it had not been told: all that was read and is not in `text`. */
  held(): readonly (readonly [number, string])[]
  /** How often anything was told. */
  times(): number
}

function collect(): Reader {
  const chunks: Buffer[] = []
  let held: readonly Piece[] = []
  const fifo = readFifo(path, Buffer.from(MARK), (text, pieces) => {
    chunks.push(text)
    held = pieces ?? held
  })
  return {
    fifo,
    text: () => JSON.parse(`"${Buffer.concat(chunks).toString()}"`) as string,
    held: () => held.map(({ seq, bytes }) => [seq, bytes.toString('latin1')]),
    times: () => chunks.length,
  }
}

/** For what is readable to be read. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate)
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
    await turns()
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
    writeSync(end, `first${markOf(MARK, 7)}second`)
    fifo.drain()
    expect(text()).toBe('first')
    fifo.passed(7)
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
    fifo.passed(7)
    writeSync(end, `${markOf(MARK, 7)}second`)
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

  test('holds back each cell until its own turn, and marks that were passed before they were read hold nothing back', () => {
    const { text, fifo } = collect()
    fifo.passed(8)
    writeSync(end, `${markOf(MARK, 7)}seven ${markOf(MARK, 8)}eight ${markOf(MARK, 9)}nine ${markOf(MARK, 10)}ten`)
    fifo.drain()
    expect(text()).toBe('seven eight ')
    fifo.passed(9)
    expect(text()).toBe('seven eight nine ')
    fifo.passed(10)
    expect(text()).toBe('seven eight nine ten')
    fifo.close()
  })

  test('holds nothing back of a cell that is over', () => {
    const { text, fifo } = collect()
    writeSync(end, `${markOf(MARK, 7)}seven ${markOf(MARK, 8)}eight`)
    fifo.drain(6)
    fifo.drain(8)
    expect(text()).toBe('')
    writeSync(end, '!')
    fifo.drain(7)
    expect(text()).toBe('seven ')
    fifo.drain(8)
    expect(text()).toBe('seven eight!')
    fifo.close()
  })

  test('begins anew with another writer, and keeps nothing back', () => {
    const { text, fifo } = collect()
    writeSync(end, `first${markOf(MARK, 7)}second`)
    fifo.reset()
    expect(text()).toBe('firstsecond')
    writeSync(end, ' third')
    fifo.drain()
    expect(text()).toBe('firstsecond third')
    fifo.close()
  })

  test('reads what has to wait no further than it must, and what it has read is told at once', async () => {
    const { text, held, fifo } = collect()
    writeSync(end, `first${markOf(MARK, 7)}second`)
    await turns()
    expect([text(), held()]).toEqual(['first', [[7, 'second']]])
    writeSync(end, ' third')
    await turns()
    fifo.drain()
    expect(held()).toEqual([[7, 'second']])
    expect(inPipe()).toBe(' third')
    writeSync(end, ' third')
    fifo.passed(7)
    expect([text(), held()]).toEqual(['firstsecond', []])
    while (text() !== 'firstsecond third') await turns()
    fifo.close()
  })

  test('tells of half a character that nobody else has, and of what is in front of it', () => {
    const { text, held, fifo } = collect()
    const [first = 0, second = 0] = Buffer.from('é')
    writeSync(end, Buffer.from([0x61, first]))
    fifo.drain()
    expect([text(), held()]).toEqual(['a', [[0, '\u00c3']]])
    writeSync(end, Buffer.from([second]))
    fifo.drain()
    expect([text(), held()]).toEqual(['aé', []])
    fifo.close()
  })

  test('keeps a character whole that a mark cuts', () => {
    const { text, fifo } = collect()
    const [first = 0, second = 0] = Buffer.from('é')
    writeSync(end, Buffer.concat([Buffer.from([first]), Buffer.from(markOf(MARK, 7)), Buffer.from([second])]))
    fifo.drain(undefined, 7)
    fifo.passed(7)
    expect(text()).toBe('é')
    fifo.close()
  })

  test('finds a mark that the end of a full read cuts, at any place', () => {
    const sign = Buffer.from(markOf(MARK, 7))
    widen()
    for (let kept = 1; kept < sign.length; kept += 1) {
      const { text, held, fifo } = collect()
      writeSync(end, 'x'.repeat(65_536 - kept))
      writeSync(end, Buffer.concat([sign, Buffer.from('y')]))
      fifo.drain()
      expect([text().length, text().endsWith('x'), held()]).toEqual([65_536 - kept, true, [[7, 'y']]])
      fifo.close()
    }
  })

  test('leaves in the pipe what comes while it is paused', async () => {
    const { text, fifo } = collect()
    await turns()
    fifo.pause()
    writeSync(end, 'later')
    await turns()
    expect([text(), inPipe()]).toEqual(['', 'later'])
    writeSync(end, 'later')
    fifo.resume()
    while (text() !== 'later') await turns()
    fifo.close()
  })

  test('goes on with what another one has read and not told, once, and in its order', () => {
    const one = collect()
    writeSync(end, `first${markOf(MARK, 7)}second${markOf(MARK, 8)}third`)
    one.fifo.drain()
    const before = one.held().map(([seq, bytes]) => ({ seq, bytes: Buffer.from(bytes) }))
    one.fifo.close()
    writeSync(end, ' fourth')
    const two = collect()
    two.fifo.passed(6)
    two.fifo.restore(before)
    two.fifo.drain()
    expect([two.text(), two.held()]).toEqual(['', one.held()])
    two.fifo.passed(7)
    expect(two.text()).toBe('second')
    two.fifo.passed(8)
    two.fifo.drain()
    expect([two.text(), two.held()]).toEqual(['secondthird fourth', []])
    two.fifo.close()
  })

  test('knows which cell prints, although nothing of it was read yet when the gateway ended', () => {
    const { held, fifo } = collect()
    writeSync(end, markOf(MARK, 7))
    fifo.drain()
    expect(held()).toEqual([[7, '']])
    fifo.close()
  })

  test('tells nobody of a cell that has begun if its turn comes at once', () => {
    const { text, times, fifo } = collect()
    writeSync(end, `first${markOf(MARK, 7)}`)
    fifo.drain(6, 7)
    fifo.passed(7)
    fifo.drain(7)
    expect([text(), times()]).toEqual(['first', 1])
    fifo.close()
  })
})

/** Gives the pipe room for more than is read at once. */
function widen(): void {
  const code = `import fcntl, sys; fcntl.fcntl(open(sys.argv[1], 'rb+', buffering=0), 1031, 1 << 20)`
  execFileSync('python3', ['-c', code, path])
}

/** What is in the pipe; it is gone from there then. */
function inPipe(): string {
  const bytes = Buffer.alloc(1_000)
  const other = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  try {
    return bytes.subarray(0, readSync(other, bytes)).toString()
  } finally {
    closeSync(other)
  }
}
