/**
 * Saved today, gone on with tomorrow in other processes: with a kernelspec.
 *
 *   node build/test/browser/tomorrow.js [FOLDER FOR SCREENSHOTS]
 */

import { inLabOf } from './in-lab.js'
import { daysOf, twoDays } from './tomorrow-tour.js'

process.exitCode = await inLabOf(daysOf(false), twoDays, 'tomorrow')
