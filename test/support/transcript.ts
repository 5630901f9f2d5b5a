/**
 * Transcripts: conversations with a kernel, written down.
 *
 *     # A title, in the first line; further lines that start with # are comments.
 *     > shell execute_request {"code":"1 + 1"} @as a      the client says
 *     < iopub status {"execution_state":"busy"} @of a     the client hears; content may have more keys than shown
 *     w< request {"type":"execute_request"}               what the worker is told   (only where the worker is scripted)
 *     w> reply {"status":"ok"} {"status":"ok"}            what the worker says: envelope, then parts
 *     s< verify_checkpoint {"checkpoint":"nope"}          what the store is asked;  `s> VALUE` and `s! CODE` answer
 *     --                                                  what stands below came after what stands above
 *
 * An indented line goes on with the one before. Order is strict within a channel. Marks at the end of a line:
 * `@as NAME` names a message, `@of NAME` says whose parent header it has, `@by NAME` which client it is (`ann` unless
 * said), `@answers NAME` which question an input_reply answers, `@meta {…}` and `@buffers […]` what goes with the
 * content, `@ours` that only this kernel speaks so, `@theirs` that only ipykernel does; `@ours` in the title holds for
 * the whole transcript.
 */

export interface Line {
  readonly number: number
  readonly text: string
  readonly kind:
    'says' | 'hears' | 'worker told' | 'worker says' | 'store asked' | 'store says' | 'store fails' | 'barrier'
  readonly channel: string
  readonly type: string
  /** Content, or envelope and parts. */
  readonly values: readonly unknown[]
  readonly marks: Readonly<Record<string, unknown>>
}

export interface Transcript {
  readonly title: string
  readonly ours: boolean
  readonly lines: readonly Line[]
}

const KINDS = {
  '>': 'says',
  '<': 'hears',
  'w<': 'worker told',
  'w>': 'worker says',
  's<': 'store asked',
  's>': 'store says',
  's!': 'store fails',
} as const

const MARKS_WITH_WORD = ['as', 'of', 'by', 'answers']
const MARKS_WITH_JSON = ['meta', 'buffers']
const MARKS_ALONE = ['ours', 'theirs']

/** Throws an Error that names the line. */
export function parseTranscript(text: string): Transcript {
  const [first = '', ...rest] = text.split('\n')
  if (!first.startsWith('# ')) throw new Error('A transcript begins with its title: # TITLE')
  const lines: Line[] = []
  for (const { number, text: line } of joined(rest)) {
    try {
      lines.push(parseLine(number, line))
    } catch (error) {
      throw new Error(`Line ${number}: ${error instanceof Error ? error.message : String(error)}\n  ${line}`, {
        cause: error,
      })
    }
  }
  return { title: first.slice(2).replace(/ @ours$/, ''), ours: first.endsWith(' @ours'), lines }
}

function joined(rest: readonly string[]): { number: number; text: string }[] {
  const lines: { number: number; text: string }[] = []
  for (const [index, line] of rest.entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const last = lines.at(-1)
    if (/^\s/.test(line) && last) last.text += ` ${line.trim()}`
    else lines.push({ number: index + 2, text: line.trimEnd() })
  }
  return lines
}

function parseLine(number: number, text: string): Line {
  if (text === '--') return { number, text, kind: 'barrier', channel: '', type: '', values: [], marks: {} }
  const words = new Words(text)
  const sign = words.word()
  const kind = KINDS[sign as keyof typeof KINDS]
  if (kind === undefined) throw new Error(`Lines begin with one of ${Object.keys(KINDS).join(' ')} --`)
  const spoken = kind === 'says' || kind === 'hears'
  const channel = spoken ? words.word() : ''
  const type = kind === 'store says' ? '' : words.word()
  const values: unknown[] = []
  while (words.more() && !words.at('@')) values.push(words.json())
  const marks: Record<string, unknown> = {}
  while (words.more()) {
    const mark = words.word().slice(1)
    if (MARKS_WITH_WORD.includes(mark)) marks[mark] = words.word()
    else if (MARKS_WITH_JSON.includes(mark)) marks[mark] = words.json()
    else if (MARKS_ALONE.includes(mark)) marks[mark] = true
    else throw new Error(`There is no mark @${mark}.`)
  }
  return { number, text, kind, channel, type, values, marks }
}

/** Words and JSON values, one after the other. */
class Words {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  more(): boolean {
    while (this.#text[this.#at] === ' ') this.#at += 1
    return this.#at < this.#text.length
  }

  at(sign: string): boolean {
    return this.#text.startsWith(sign, this.#at)
  }

  word(): string {
    if (!this.more()) throw new Error('The line ends too early.')
    const end = this.#text.indexOf(' ', this.#at)
    const word = this.#text.slice(this.#at, end < 0 ? undefined : end)
    this.#at += word.length
    return word
  }

  json(): unknown {
    this.more()
    const start = this.#at
    let depth = 0
    let quoted = false
    for (; this.#at < this.#text.length; this.#at += 1) {
      const sign = this.#text[this.#at] ?? ''
      if (quoted) {
        if (sign === '\\') this.#at += 1
        else if (sign === '"') quoted = false
      } else if (sign === '"') quoted = true
      else if ('{['.includes(sign)) depth += 1
      else if ('}]'.includes(sign)) depth -= 1
      else if (sign === ' ' && depth === 0) break
    }
    return JSON.parse(this.#text.slice(start, this.#at))
  }
}
