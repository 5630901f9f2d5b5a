/** What goes wrong in a notebook, and that the next cell works on the state before it. */

import type { NotebookPage } from './notebook-page.js'
import { kill } from './processes.js'
import { assert, type Report } from './report.js'

const KEPT = 'rows [1, 2, 3] True slider 3'

/** In an opened notebook `mishaps`. */
export async function runMishaps(report: Report, notebook: NotebookPage): Promise<void> {
  const looks = async (text: string): Promise<void> => {
    await notebook.run('look')
    await notebook.waitForText('look', text)
    await notebook.waitUntilIdle()
  }
  const goesWrong = async (id: string, error: string): Promise<void> => {
    await notebook.run(id)
    await notebook.waitForText(id, error)
    await notebook.waitUntilIdle()
    await notebook.picture(id, id)
  }
  await report.check('the guard is on, and there is a state to lose', async () => {
    await notebook.run('guard')
    await notebook.run('state')
    await notebook.output('state').locator('.noUi-handle').waitFor()
    await looks(KEPT)
  })
  await report.check('a cell that fails under its policy leaves nothing behind', async () => {
    await goesWrong('fails', 'ZeroDivisionError')
    await looks(KEPT)
  })
  await report.check('a block that fails leaves nothing behind', async () => {
    await notebook.run('block')
    await notebook.waitForText('block', 'taken back: KeyError')
    await looks(KEPT)
  })
  await report.check('a block goes back to its savepoint, and on from there', async () => {
    await goesWrong('comes-back', 'came back: True tried')
    await looks(KEPT)
  })
  await report.check('%undo takes a cell back, and %redo brings it again', async () => {
    await notebook.run('change')
    await looks('rows [1, 2, 3, 4] True slider 3')
    await notebook.run('undo')
    // The cell that looked is undone first.
    await notebook.run('undo')
    await notebook.waitUntilIdle()
    await notebook.picture('undone', 'undo')
    await looks(KEPT)
    await notebook.run('undo')
    await notebook.run('redo')
    await notebook.waitUntilIdle()
    await notebook.picture('redone', 'redo')
    await looks(KEPT)
  })
  for (const [id, sign] of DEATHS) {
    await report.check(`a cell that ends the process (${id}) costs that cell alone`, async () => {
      await goesWrong(id, sign)
      await looks(KEPT)
    })
  }
  await report.check('a process that is killed from outside costs its cell alone', async () => {
    await notebook.begin('killed')
    await notebook.waitForText('killed', /pid \d+/)
    const [text = ''] = await notebook.output('killed').allInnerTexts()
    kill([Number(/pid (\d+)/.exec(text)?.[1])])
    await notebook.waitForText('killed', 'SIGKILL')
    await notebook.waitUntilIdle()
    await notebook.picture('killed', 'killed')
    await looks(KEPT)
  })
  await report.check('a regular expression without an end is interrupted', async () => {
    await notebook.begin('regex')
    await notebook.waitForText('regex', 'begun')
    await notebook.choose('Kernel', 'Interrupt Kernel')
    await notebook.waitForText('regex', 'KeyboardInterrupt')
    await notebook.waitUntilIdle()
    await looks("rows [1, 2, 3, 'by an expression'] True slider 3")
    await notebook.run('undo')
    await notebook.run('undo')
    await looks(KEPT)
  })
  await report.check('code in C that hears no interrupt is ended by a second one', async () => {
    await notebook.begin('stubborn')
    await notebook.waitForText('stubborn', 'begun')
    await notebook.choose('Kernel', 'Interrupt Kernel')
    await notebook.waitForText('stubborn', /interrupt/i)
    await notebook.picture('stubborn-notice', 'stubborn')
    await notebook.choose('Kernel', 'Interrupt Kernel')
    await notebook.waitForText('stubborn', 'WorkerDied')
    await notebook.waitUntilIdle()
    await notebook.picture('stubborn', 'stubborn')
    await looks(KEPT)
  })
  await report.check('the slider that was there before all this still speaks with the kernel', async () => {
    const handle = notebook.output('state').locator('.noUi-handle')
    await handle.focus()
    await handle.press('ArrowRight')
    await notebook.output('state').locator('.widget-readout', { hasText: '4' }).waitFor()
    await notebook.waitUntilIdle()
    await looks('rows [1, 2, 3] True slider 4')
    await notebook.picture('slider', 'state')
  })
  await report.check('the numbers of cells have only grown', async () => {
    const number = (await notebook.number('look')) ?? 0
    assert(number > 20, `the last cell has the number ${number}`)
  })
}

/** Cells that end their process, and what their output says. */
const DEATHS = [
  ['segfault', 'SIGSEGV'],
  ['abort', 'SIGABRT'],
  ['exit', 'exit code 3'],
] as const
