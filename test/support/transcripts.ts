/** The transcripts of this folder. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../src/config.js'
import { parseTranscript, type Transcript } from './transcript.js'

const FOLDER = join(packageRoot, 'test', 'transcripts')

export interface NamedTranscript extends Transcript {
  readonly file: string
}

/** All transcripts; with TRANSCRIPT=NAME those whose file has that in its name. */
export function transcripts(): NamedTranscript[] {
  const wanted = process.env['TRANSCRIPT'] ?? ''
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.txt') && file.includes(wanted))
  return files.toSorted().map((file) => {
    try {
      return { file, ...parseTranscript(readFileSync(join(FOLDER, file), 'utf8')) }
    } catch (error) {
      throw new Error(`${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
  })
}
