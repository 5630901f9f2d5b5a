/** `npm start`, once everything is built: installs the kernel for the user, tries it, and says what to do next. */
import { tryCell } from './trial.js'
import { install } from './install.js'
import { EXIT, reportFailure } from './report.js'
import { workerPython } from '../provision/worker-python.js'
import { SavepointError } from '../errors.js'

/** `args` are those of `savepoint install`. Returns the exit code. */
export async function firstRun(args: readonly string[]): Promise<number> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`)
  try {
    const { folder, undo, settings } = await install(args, say)
    say(`Kernelspec: ${folder}`)
    const python = await workerPython(settings, say)
    say('Running a cell through a real client')
    const trial = await tryCell(folder, python)
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
    say('Ready. Open any Jupyter client and choose the kernel "Python 3 (Savepoint)", for example:')
    say('  jupyter lab        or        jupyter console --kernel savepoint')
    say('In a notebook: %begin, change anything, %rollback; or %checkpoint saved, and %restore saved in a new kernel.')
    say(`To undo the installation: ${undo}`)
    return EXIT.done
  } catch (error) {
    return reportFailure(error)
  }
}
