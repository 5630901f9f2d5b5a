/** `jupyter console` beside the browser, on a kernel that is there already. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const PROGRAM = new URL('../../../test/browser/console.py', import.meta.url)
const ANSWER_WITHIN_MS = 90_000

export interface JoinedConsole {
  /** Pastes a cell and runs it, without waiting. */
  enter(cell: string): Promise<void>
  /** Waits until the screen matches a pattern of Python's. */
  waitFor(pattern: string): Promise<void>
  close(): Promise<void>
}

/** Joins by a connection file, and waits for the first prompt. */
export async function joinByConsole(connectionFile: string): Promise<JoinedConsole> {
  const python = process.env['SAVEPOINT_TEST_PYTHON'] ?? 'python3'
  const child = spawn(python, [fileURLToPath(PROGRAM), connectionFile], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const lines = createInterface({ input: child.stdout })
  const answer = async (): Promise<void> => {
    const ended = exited.then(() => {
      throw new Error('The console ended; its log is above.')
    })
    const signal = AbortSignal.timeout(ANSWER_WITHIN_MS)
    const [line] = (await Promise.race([once(lines, 'line', { signal }), ended])) as [string]
    const { error } = JSON.parse(line) as { error?: string }
    if (error !== undefined) throw new Error(error)
  }
  const ask = async (wish: object): Promise<void> => {
    const answered = answer()
    child.stdin.write(`${JSON.stringify(wish)}\n`)
    await answered
  }
  const close = async (): Promise<void> => {
    child.stdin.end()
    const late = setTimeout(() => child.kill('SIGKILL'), ANSWER_WITHIN_MS)
    await exited
    clearTimeout(late)
  }
  try {
    await answer()
  } catch (error) {
    child.kill('SIGTERM')
    throw error
  }
  return { enter: (enter) => ask({ enter }), waitFor: (wait) => ask({ wait }), close }
}
