/**
 * The notebook of the first slice in a real JupyterLab in a real Chromium.
 *
 *   node build/test/browser/first-slice.js [FOLDER FOR SCREENSHOTS]
 */

import { runNotebook } from './first-notebook.js'
import { inLab } from './in-lab.js'

process.exitCode = await inLab(runNotebook)
