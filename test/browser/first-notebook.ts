/** The notebook of the first slice, from its first cell to its second life after the kernel was killed. */

import type { Lab } from './lab.js'
import type { NotebookPage } from './notebook-page.js'
import { kill } from './processes.js'
import { assert, type Report } from './report.js'

export async function runNotebook(report: Report, lab: Lab, notebook: NotebookPage): Promise<void> {
  const opened = await report.check('the notebook opens with an idle kernel', () => notebook.open(lab, 'first_slice'))
  const ours = notebook.has('restore')
  if (!opened) {
    await notebook.picture('not-open')
    return
  }
  const ran = await report.check('all cells run, and the one that asks is answered', async () => {
    if (ours) await notebook.runAllAbove('restore')
    else await notebook.runAll()
    const question = notebook.cell('input').locator('.jp-Stdin-input')
    await question.waitFor()
    await notebook.picture('question', 'input')
    await question.fill('Ada')
    await question.press('Enter')
    await notebook.waitForText('state-after', 'degrees')
    if (ours) await notebook.waitForText('checkpoint', 'saved')
    await notebook.waitUntilIdle()
  })
  if (!ran) await notebook.picture('stuck')
  await firstLife(report, notebook, ours)
  await secondLife(report, lab, notebook, ours)
}

async function firstLife(report: Report, notebook: NotebookPage, ours: boolean): Promise<void> {
  await report.check('the plot is a picture', async () => {
    const image = notebook.output('plot').locator('img')
    await image.waitFor()
    const width = await image.evaluate((img: { naturalWidth: number }) => img.naturalWidth)
    assert(width > 100, `the picture is ${width} pixels wide`)
    await notebook.picture('plot', 'plot')
  })
  await report.check('the error has its traceback', async () => {
    await notebook.waitForText('error', 'ZeroDivisionError')
    await notebook.waitForText('error', 'return a / b')
    await notebook.picture('error', 'error')
  })
  await report.check('the answer arrived', () => notebook.waitForText('input', 'Hello, Ada!'))
  await report.check('the progress bar is full', async () => {
    await notebook.waitForText('progress', '100%')
    await notebook.waitForText('progress', 'The total is 780.')
    await notebook.picture('progress', 'progress')
  })
  await report.check('the slider moves, and the kernel knows', async () => {
    await notebook.waitForText('slider-value', 'The slider stands at 3.')
    const handle = notebook.output('slider').locator('.noUi-handle')
    await handle.focus()
    for (let step = 0; step < 4; step += 1) await handle.press('ArrowRight')
    await notebook.output('slider').locator('.widget-readout', { hasText: '7' }).waitFor()
    // While one of its messages is out, a widget keeps its newest value back: a cell that is run now may come first.
    const shown = notebook.output('slider-value').filter({ hasText: 'The slider stands at 7.' })
    for (let run = 0; run < RUNS_MAX; run += 1) {
      await notebook.run('slider-value')
      await notebook.waitUntilIdle()
      if ((await shown.count()) > 0) break
    }
    await notebook.waitForText('slider-value', 'The slider stands at 7.')
    await notebook.picture('slider', 'slider')
  })
  await report.check('the cell that awaits ran', () => notebook.waitForText('await', "['first', 'second']"))
  await report.check('the state is as it was before the failing cell', async () => {
    if (ours) {
      await notebook.waitForText('failing-transaction', 'Before the failure there are 4 readings.')
      await notebook.waitForText('failing-transaction', 'TypeError')
      await notebook.waitForText('failing-by-metadata', 'IndexError')
    }
    await notebook.waitForText('state-after', "[20.5, 21.0, 19.5] {'unit': 'degrees'}")
    await notebook.picture('state-after', 'state-after')
  })
}

/** How often it is looked whether the kernel has heard of a slider's last step. */
const RUNS_MAX = 20

async function secondLife(report: Report, lab: Lab, notebook: NotebookPage, ours: boolean): Promise<void> {
  await report.check('a killed kernel is noticed and started again', async () => {
    const processes = lab.kernelProcesses()
    assert(processes.length >= (ours ? 3 : 1), `there are only ${processes.length} processes`)
    const notice = notebook.page.locator('.jp-Dialog', { hasText: 'Kernel Restarting' })
    const greeting = notebook.greeting()
    kill(processes)
    await Promise.all([greeting, notice.waitFor()])
    await notebook.picture('died')
    await notice.getByRole('button', { name: 'Ok' }).click()
    await notebook.waitUntilIdle()
  })
  if (!ours) {
    await report.check('the new kernel runs cells', async () => {
      await notebook.run('state')
      await notebook.run('state-after')
      await notebook.picture('second-life', 'state-after')
    })
    return
  }
  await report.check('the new kernel restores the checkpoint', async () => {
    await notebook.run('restore')
    await notebook.waitForText('restore', /Restored/i)
  })
  await report.check('the values are there again', async () => {
    await notebook.run('restored')
    await notebook.waitForText('restored', "[20.5, 21.0, 19.5] {'unit': 'degrees'}")
    await notebook.waitForText('restored', 'The mean is 20.33, the total was 780.')
    await notebook.picture('restored', 'restored')
  })
}
