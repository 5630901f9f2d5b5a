/** Every transcript against the kernel's step alone. */

import { perform } from '../support/perform.js'
import { PureStage } from '../support/pure-stage.js'
import { transcripts } from '../support/transcripts.js'

describe('the step, with a scripted worker', () => {
  for (const transcript of transcripts()) {
    test(transcript.title, async () => {
      await perform(transcript, new PureStage())
    })
  }
})
