/**
 * A page that is loaded anew, again and again, while a cell prints: what the kernel has, what the browser is sent, and
 * what JupyterLab shows of it.
 *
 * SAVEPOINT_TEST_RELOADS says how often (2).
 */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lab } from './lab.js'
import type { NotebookPage } from './notebook-page.js'
import { assert, type Report } from './report.js'

const RELOADS = Number(process.env['SAVEPOINT_TEST_RELOADS'] ?? 2)
const BETWEEN_MS = 700

/** Numbers of the lines that the page has been sent by its present connection. */
interface Sent {
  readonly lines: Set<number>
  /** Those that were sent more than once. */
  doubled: number
}

/** `whole`: a page that was loaded anew is sent what the running cell has printed so far, too. */
export async function refresh(report: Report, lab: Lab, notebook: NotebookPage, whole: boolean): Promise<void> {
  const { page } = notebook
  let sent: Sent = { lines: new Set(), doubled: 0 }
  const everSent = new Set<number>()
  const keep = (): void => {
    for (const line of sent.lines) everSent.add(line)
    sent = { lines: new Set(), doubled: 0 }
  }
  page.on('websocket', (socket) => {
    if (!socket.url().includes('/channels')) return
    // JupyterLab drops its first connection at once; the next one is as new as that.
    keep()
    socket.on('framereceived', ({ payload }) => {
      const text = typeof payload === 'string' ? payload : payload.toString('latin1')
      if (!text.includes('stream')) return
      for (const [, number] of text.matchAll(/line (\d+);/g)) {
        if (sent.lines.has(Number(number))) sent.doubled += 1
        sent.lines.add(Number(number))
      }
    })
  })
  const shown: number[] = []
  await report.check(`a cell prints on while its page is loaded anew ${RELOADS} times`, async () => {
    await notebook.open(lab, 'refreshed')
    await notebook.begin('prints')
    await notebook.waitForText('prints', 'line 5;')
    for (let times = 0; times < RELOADS; times += 1) {
      await sleep(BETWEEN_MS)
      await notebook.reload()
      // A page of a Jupyter server of its own is told nothing of what runs, but that its question was answered.
      if (whole) await notebook.waitForState('busy')
      shown.push(lineCount(await notebook.output('prints').allInnerTexts()))
    }
    await sleep(BETWEEN_MS)
    writeFileSync(join(lab.root, 'go-on'), '')
    await notebook.waitUntilIdle()
  })
  await report.check('the kernel has run it once, to its end', async () => {
    await notebook.run('told')
    await notebook.waitForText('told', /told \d+ lines/)
  })
  const text = (await notebook.output('told').allInnerTexts()).join('')
  const told = Number(/told (\d+) lines/.exec(text)?.[1] ?? 0)
  for (const line of sent.lines) everSent.add(line)
  const missing = (lines: ReadonlySet<number>): number =>
    Array.from({ length: told }, (_, line) => line).filter((line) => !lines.has(line)).length
  const inTheEnd = lineCount(await notebook.output('prints').allInnerTexts())
  process.stdout.write(
    `      ${told} lines; the page as it was loaded last was sent all but ${missing(sent.lines)}, ${sent.doubled} twice; ` +
      `all pages together all but ${missing(everSent)}; JupyterLab showed ${shown.join(', ')} of them after each time, ${inTheEnd} in the end\n`,
  )
  if (whole) {
    await report.check('the page that was loaded last was sent every line, once', async () => {
      assert(told > 0 && missing(sent.lines) === 0, `${missing(sent.lines)} of ${told} lines are missing`)
      assert(sent.doubled === 0, `${sent.doubled} lines came twice`)
    })
  }
}

function lineCount(texts: readonly string[]): number {
  return new Set([...texts.join('\n').matchAll(/line (\d+);/g)].map(([, number]) => number)).size
}
