/**
 * The same transcripts against ipykernel: what we expect of ourselves is what Jupyter users get elsewhere. Left out is
 * what only we speak.
 */

import { LiveStage } from '../support/live-stage.js'
import { perform } from '../support/perform.js'
import { transcripts } from '../support/transcripts.js'

const python = process.env['SAVEPOINT_TEST_PYTHON'] ?? 'python3'
const argv = [python, '-m', 'ipykernel_launcher', '-f', '{connection_file}', '--HistoryManager.hist_file=:memory:']

describe('ipykernel', () => {
  for (const transcript of transcripts()) {
    if (transcript.ours) continue
    test(
      transcript.title,
      async () => {
        const stage = await LiveStage.open(argv, false)
        try {
          await perform(transcript, stage)
        } finally {
          await stage.close()
        }
      },
      60_000,
    )
  }
})
