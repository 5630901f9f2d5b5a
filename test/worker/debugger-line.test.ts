import type { Connection, ConnectionHandlers } from '../../src/worker/connection.js'
import { DebuggerLine } from '../../src/worker/debugger-line.js'

function stage() {
  const heard: string[] = []
  const line = new DebuggerLine({
    debuggerUp: (token) => heard.push(`up ${token}`),
    debuggerSaid: (token, event) => heard.push(`${token} says ${event.kind}`),
    debuggerGone: (token) => heard.push(`gone ${token}`),
  })
  const dial = (token: string) => {
    const done: string[] = []
    let handlers: ConnectionHandlers | undefined
    const connection: Connection = {
      send: ({ kind }) => void done.push(kind),
      pause: () => void done.push('pause'),
      resume: () => void done.push('resume'),
      close: () => void done.push('close'),
    } as Partial<Connection> as Connection
    const hello = { kind: 'hello', role: 'debugger', kernel: 'k', token, pid: 1 } as const
    const admitted = line.admit(hello, (given) => {
      handlers = given
      return connection
    })
    return { admitted, done, handlers }
  }
  return { line, heard, dial }
}

describe('the line to the debugger', () => {
  test('is open to the one that was called, once', () => {
    const { line, heard, dial } = stage()
    expect(dial('a').admitted).toBe(false)
    line.call('a')
    expect(dial('b').admitted).toBe(false)
    const { admitted, done, handlers } = dial('a')
    expect([admitted, dial('a').admitted]).toEqual([true, false])
    handlers?.onFrame({ envelope: { kind: 'debug_event' }, parts: [] })
    line.tell({ kind: 'debug_request', seq: 1 }, [])
    line.pause()
    line.resume()
    expect(done).toEqual(['debug_request', 'pause', 'resume'])
    expect(heard).toEqual(['up a', 'a says debug_event'])
  })

  test('is hung up when it is dismissed or another one is called', () => {
    const { line, heard, dial } = stage()
    line.call('a')
    const first = dial('a')
    line.call('b')
    expect(first.done).toEqual(['close'])
    const second = dial('b')
    first.handlers?.onClose()
    line.tell({ kind: 'debug_request', seq: 1 }, [])
    line.dismiss()
    line.dismiss()
    expect(second.done).toEqual(['debug_request', 'close'])
    expect(heard).toEqual(['up a', 'up b', 'gone a'])
  })
})
