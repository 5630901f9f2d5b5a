/** A page that is loaded anew while a cell prints, in JupyterLab with the kernel that it starts itself. */

import { inLab } from './in-lab.js'
import { refresh } from './refresh-tour.js'

// A Jupyter server keeps nothing for a page that comes back under another session.
process.exitCode = await inLab((report, lab, notebook) => refresh(report, lab, notebook, false))
