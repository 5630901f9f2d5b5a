/** Questions at the terminal, or lines of whatever stands in its place. */

import { createInterface, type Interface } from 'node:readline'
import { Writable } from 'node:stream'

export interface Terminal {
  /** The line that was typed; null at the end of the input, undefined once it is closed. */
  ask(prompt: string, password: boolean): Promise<string | null | undefined>
  /** Whoever asks now gets no answer. */
  close(): void
}

const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })

export function openTerminal(): Terminal {
  const { stdin, stdout } = process
  let open: Interface | null = null
  let giveUp: () => void = () => {}
  const lines: string[] = []
  let atEnd = false
  let wake: () => void = () => {}

  /** Piped input is read by one reader from the first question on: lines that come together must not be lost. */
  function readPiped(): void {
    open ??= createInterface({ input: stdin, terminal: false })
      .on('line', (line) => {
        lines.push(line)
        wake()
      })
      .on('close', () => {
        atEnd = true
        wake()
      })
  }

  async function nextPiped(): Promise<string | null> {
    readPiped()
    while (lines.length === 0 && !atEnd) await new Promise<void>((resolve) => (wake = resolve))
    return lines.shift() ?? null
  }

  function typed(password: boolean): Promise<string | null> {
    return new Promise((resolve) => {
      const asked = createInterface({ input: stdin, output: password ? nowhere : stdout, terminal: password })
      open = asked
      // In raw mode Ctrl-C is a key like any other.
      asked.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
      asked.on('line', (line) => {
        resolve(line)
        asked.close()
        if (password) stdout.write('\n')
      })
      asked.on('close', () => resolve(null))
    })
  }

  return {
    ask(prompt, password) {
      stdout.write(prompt)
      const closed = new Promise<undefined>((resolve) => (giveUp = () => resolve(undefined)))
      return Promise.race([stdin.isTTY ? typed(password) : nextPiped(), closed])
    },
    close() {
      giveUp()
      open?.close()
      stdin.pause()
    },
  }
}
