/**
 * What goes wrong in a notebook whose kernel JupyterLab starts by its kernelspec.
 *
 *   node build/test/browser/mishaps.js [FOLDER FOR SCREENSHOTS]
 */

import { inLabOf } from './in-lab.js'
import { startLab } from './lab.js'
import { runMishaps } from './mishaps-tour.js'

process.exitCode = await inLabOf(
  startLab,
  async (report, lab, notebook) => {
    if (!(await report.check('the notebook opens', () => notebook.open(lab, 'mishaps')))) {
      await notebook.picture('not-open')
      return
    }
    await runMishaps(report, notebook)
  },
  'mishaps',
)
