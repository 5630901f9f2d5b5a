/**
 * The same where a gateway runs the kernels.
 *
 *   node build/test/browser/mishaps-remote.js [FOLDER FOR SCREENSHOTS]
 */

import { startLabWithGateway } from './gateway-lab.js'
import { inLabOf } from './in-lab.js'
import { runMishaps } from './mishaps-tour.js'

process.exitCode = await inLabOf(
  startLabWithGateway,
  async (report, lab, notebook) => {
    if (!(await report.check('the notebook opens', () => notebook.open(lab, 'mishaps')))) {
      await notebook.picture('not-open')
      return
    }
    await runMishaps(report, notebook)
  },
  'mishaps-remote',
)
