/** `npm start [-- OPTIONS OF savepoint serve]` on a fresh checkout. */
import { prepare } from './prepare.mjs'

prepare()
const { firstRun } = await import('../../dist/main/first-run.js')
process.exitCode = await firstRun(process.argv.slice(2))
