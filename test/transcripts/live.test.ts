/** Every transcript against the built kernel, started as a kernelspec starts it. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { places } from '../../src/config.js'
import { workerPython } from '../../src/provision/worker-python.js'
import { LiveStage } from '../support/live-stage.js'
import { perform } from '../support/perform.js'
import { transcripts } from '../support/transcripts.js'

const python = process.env['SAVEPOINT_TEST_PYTHON'] ?? 'python3'
const program = process.env['SAVEPOINT_TEST_PROGRAM'] ?? places.program
const argv = [process.execPath, program, 'kernel', '-f', '{connection_file}', '--python', python]

/** What the first start finds out about the Python; asking it again for each kernel would take most of the time. */
const data = mkdtempSync(join(tmpdir(), 'savepoint-test-data-'))
const prepared = workerPython({ python, dataDir: data }, () => {})
afterAll(() => rmSync(data, { recursive: true, force: true }))

describe('the kernel as a process', () => {
  for (const transcript of transcripts()) {
    test.concurrent(
      transcript.title,
      async () => {
        await prepared
        const stage = await LiveStage.open(argv, true, data)
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
