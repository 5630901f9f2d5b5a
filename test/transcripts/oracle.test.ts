/**
 * The same transcripts against ipykernel: what we expect of ourselves is what Jupyter users get elsewhere. Left out is
 * what only we speak. All of them run with RUN_SLOW=1, else a few that cover most message types.
 */

import { LiveStage } from '../support/live-stage.js'
import { perform } from '../support/perform.js'
import { transcripts } from '../support/transcripts.js'

const python = process.env['SAVEPOINT_TEST_PYTHON'] ?? 'python3'
const argv = [python, '-m', 'ipykernel_launcher', '-f', '{connection_file}', '--HistoryManager.hist_file=:memory:']

const FEW = ['abort_queue.txt', 'comm_by_client.txt', 'execute_blank.txt', 'history_tail.txt', 'input.txt', 'shutdown.txt']
/** On a busy machine some five in a hundred ipykernels (7.4) that were told to end do not: that is not asked here. */
const TRIES = 3
const all = process.env['RUN_SLOW'] === '1' || process.env['TRANSCRIPT'] !== undefined

describe('ipykernel', () => {
  for (const transcript of transcripts()) {
    if (transcript.ours || !(all || FEW.includes(transcript.file))) continue
    test.concurrent(
      transcript.title,
      async () => {
        for (let triesLeft = TRIES; triesLeft > 0;) {
          triesLeft -= 1
          const stage = await LiveStage.open(argv, false)
          try {
            await perform(transcript, stage)
            triesLeft = 0
          } catch (error) {
            if (!stage.isHanging || triesLeft === 0) throw error
          } finally {
            await stage.close()
          }
        }
      },
      60_000,
    )
  }
})
