/** Every transcript against the built kernel, started as a kernelspec starts it. */

import { places } from '../../src/config.js'
import { LiveStage } from '../support/live-stage.js'
import { perform } from '../support/perform.js'
import { transcripts } from '../support/transcripts.js'

const python = process.env['SAVEPOINT_TEST_PYTHON']
const argv = [
  process.execPath,
  process.env['SAVEPOINT_TEST_PROGRAM'] ?? places.program,
  'kernel',
  '-f',
  '{connection_file}',
  ...(python ? ['--python', python] : []),
]

describe('the kernel as a process', () => {
  for (const transcript of transcripts()) {
    test(
      transcript.title,
      async () => {
        const stage = await LiveStage.open(argv, true)
        try {
          await perform(transcript, stage)
        } catch (error) {
          throw new Error(`${String(error)}\nIt wrote:\n${stage.errors}`, { cause: error })
        } finally {
          await stage.close()
        }
      },
      60_000,
    )
  }
})
