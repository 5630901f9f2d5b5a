/** The same with `jupyter lab --gateway-url`: the gateway sends what the running cell has printed so far. */

import { startLabWithGateway } from './gateway-lab.js'
import { inLabOf } from './in-lab.js'
import { refresh } from './refresh-tour.js'

process.exitCode = await inLabOf(
  startLabWithGateway,
  (report, lab, notebook) => refresh(report, lab, notebook, true),
  'refresh-remote',
)
