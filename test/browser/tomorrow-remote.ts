/**
 * The same where a gateway runs the kernels, and is killed as well.
 *
 *   node build/test/browser/tomorrow-remote.js [FOLDER FOR SCREENSHOTS]
 */

import { inLabOf } from './in-lab.js'
import { daysOf, twoDays } from './tomorrow-tour.js'

process.exitCode = await inLabOf(daysOf(true), twoDays, 'tomorrow-remote')
