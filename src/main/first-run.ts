/**
 * `npm start`, once everything is built: installs the kernel for the user, tries it, and runs the gateway until a signal
 * ends it.
 */
import { SavepointError } from '../errors.js'
import { workerPython } from '../provision/worker-python.js'
import { install } from './install.js'
import { reportFailure } from './report.js'
import { parseServeCommand } from './serve-settings.js'
import { runServe } from './serve.js'
import { tryCell } from './trial.js'

/** `args` are those of `savepoint serve`. Returns the exit code. */
export async function firstRun(args: readonly string[]): Promise<number> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`)
  try {
    // Whatever is wrong with them is said before anything is done.
    const { python } = parseServeCommand(args).values
    const { folder, undo, settings } = await install(python ? ['--python', python] : [], say)
    say(`Kernelspec: ${folder}`)
    const worker = await workerPython(settings, say)
    say('Running a cell through a real client')
    const trial = await tryCell(folder, worker)
    if (!trial.ok) {
      throw new SavepointError(
        'ZYGOTE_FAILED',
        `The kernel is installed but did not run a cell: ${trial.problem}\nFor more: npm run doctor`,
      )
    }
    say(
      `  print(6 * 7) -> 42   (kernel ready after ${trial.start_ms?.toFixed(0)} ms, cell done after ${trial.cell_ms?.toFixed(1)} ms)`,
    )
    say('')
    say('Ready. Any Jupyter client on this machine has the kernel "Python 3 (Savepoint)" now, without the gateway too:')
    say('  jupyter lab        or        jupyter console --kernel savepoint')
    say('In a notebook: %begin, change anything, %rollback; or %checkpoint saved, and %restore saved in a new kernel.')
    say(`To undo the installation: ${undo}`)
    say('')
    say('Starting the gateway; Ctrl-C ends it.')
    return await runServe(args)
  } catch (error) {
    return reportFailure(error)
  }
}
