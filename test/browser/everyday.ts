/**
 * What a person does all day: completion, tooltips, long output, the buttons of the toolbar, widgets, Run All.
 *
 *   node build/test/browser/everyday.js [FOLDER FOR SCREENSHOTS]
 */

import { inLab } from './in-lab.js'
import type { Lab } from './lab.js'
import type { NotebookPage } from './notebook-page.js'
import { assert, type Report } from './report.js'
import { restarting, running, widgets, writing } from './working-day.js'

async function day(report: Report, lab: Lab, notebook: NotebookPage): Promise<void> {
  if (!(await report.check('the notebook opens', () => notebook.open(lab, 'everyday')))) return
  await writing(report, notebook)
  await running(report, notebook)
  await widgets(report, notebook)
  await restarting(report, notebook)
  await runAll(report, lab, notebook)
}

async function runAll(report: Report, lab: Lab, notebook: NotebookPage): Promise<void> {
  await report.check('Run All stops at the error in the middle', async () => {
    await notebook.open(lab, 'run_all')
    await notebook.runAll()
    await notebook.waitForText('fails', 'in the middle')
    await notebook.waitUntilIdle()
    await notebook.waitForText('before', 'ran before')
    for (const id of ['after', 'last']) {
      assert((await notebook.output(id).count()) === 0, `cell '${id}' has an output`)
      assert((await notebook.number(id)) === null, `cell '${id}' has a number`)
    }
    await notebook.picture('run-all', 'fails')
  })
  await report.check('the kernel goes on with the rest', async () => {
    await notebook.run('last')
    await notebook.waitForText('last', 'ran last')
  })
}

process.exitCode = await inLab(day)
