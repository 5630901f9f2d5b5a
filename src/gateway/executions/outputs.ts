/**
 * What a cell has put out, as a notebook keeps it: publications folded into a list of nbformat outputs.
 *
 * Neighbouring pieces of one stream become one output; `clear_output` empties the list, with `wait` once the next
 * output comes; a display that is updated changes in every place where it stands. So a notebook that nbclient ran has
 * the same outputs.
 *
 * Docs: https://nbformat.readthedocs.io/en/latest/format_description.html#code-cell-outputs
 */

type Bundle = Readonly<Record<string, unknown>>

export interface StreamOutput {
  readonly output_type: 'stream'
  readonly name: 'stdout' | 'stderr'
  text: string
}
export interface DisplayOutput {
  readonly output_type: 'display_data'
  data: Bundle
  metadata: Bundle
}
export interface ResultOutput {
  readonly output_type: 'execute_result'
  readonly execution_count: number | null
  data: Bundle
  metadata: Bundle
}
export interface ErrorOutput {
  readonly output_type: 'error'
  readonly ename: string
  readonly evalue: string
  readonly traceback: readonly string[]
}
export type Output = StreamOutput | DisplayOutput | ResultOutput | ErrorOutput

export interface Outputs {
  readonly list: Output[]
  /** Where each display stands, and the size of what it shows now. */
  readonly displays: Map<string, { readonly places: (DisplayOutput | ResultOutput)[]; size: number }>
  /** The next output takes the place of all that there are. */
  clearFirst: boolean
  /** Of the contents that are kept. */
  bytes: number
  /** Of the contents that were left out, since they would not have fitted. */
  bytesCut: number
}

/** Publications that are outputs, or change outputs. */
export const OUTPUT_TYPES: ReadonlySet<string> = new Set([
  'stream',
  'display_data',
  'execute_result',
  'error',
  'update_display_data',
  'clear_output',
])

/** An error is told however much was put out before it; of a long one the beginning. */
const ERROR_CHARS_MAX = 16_384

export function noOutputs(): Outputs {
  return { list: [], displays: new Map(), clearFirst: false, bytes: 0, bytesCut: 0 }
}

/**
 * Folds in one publication: `size` is its content's length in bytes. Of what would make them more than `bytesMax` a
 * stream's beginning is kept, and nothing of anything else but an error. Types that are no outputs change nothing.
 */
export function fold(outputs: Outputs, type: string, content: Bundle, size: number, bytesMax: number): void {
  if (type === 'clear_output') {
    if (content['wait'] === true) outputs.clearFirst = true
    else clear(outputs)
    return
  }
  if (type === 'update_display_data') {
    update(outputs, content, size, bytesMax)
    return
  }
  if (!OUTPUT_TYPES.has(type)) return
  if (outputs.clearFirst) clear(outputs)
  const room = bytesMax - outputs.bytes
  const fits = size <= room
  outputs.bytes += fits ? size : Math.max(room, 0)
  if (!fits) outputs.bytesCut += size - Math.max(room, 0)
  if (type === 'stream') addText(outputs, content, fits ? null : Math.max(room, 0))
  else if (type === 'error') outputs.list.push(errorOf(content, fits))
  else if (fits) addDisplay(outputs, type, content, size, bytesMax)
}

/**
 * Gives a display its new looks wherever it stands in these outputs. A display that began in an earlier cell is one of
 * that cell's.
 */
export function update(outputs: Outputs, content: Bundle, size: number, bytesMax: number): void {
  const id = displayId(content)
  const display = id === null ? undefined : outputs.displays.get(id)
  if (!display) return
  const more = (size - display.size) * display.places.length
  if (outputs.bytes + more > bytesMax) {
    outputs.bytesCut += size
    return
  }
  outputs.bytes += more
  display.size = size
  for (const output of display.places) {
    output.data = bundle(content['data'])
    output.metadata = bundle(content['metadata'])
  }
}

/** All text of one stream. */
export function textOf(outputs: Outputs, name: StreamOutput['name']): string {
  return outputs.list
    .flatMap((output) => (output.output_type === 'stream' && output.name === name ? [output.text] : []))
    .join('')
}

/** The MIME bundle of the cell's value, or null. */
export function resultOf(outputs: Outputs): Bundle | null {
  const result = outputs.list.findLast((output) => output.output_type === 'execute_result')
  return result?.output_type === 'execute_result' ? result.data : null
}

function clear(outputs: Outputs): void {
  outputs.list.length = 0
  outputs.displays.clear()
  outputs.clearFirst = false
  outputs.bytes = 0
  outputs.bytesCut = 0
}

function addText(outputs: Outputs, content: Bundle, room: number | null): void {
  const whole = text(content['text'])
  const piece = room === null ? whole : whole.slice(0, room)
  if (piece === '') return
  const name = content['name'] === 'stderr' ? 'stderr' : 'stdout'
  const last = outputs.list.at(-1)
  if (last?.output_type === 'stream' && last.name === name) last.text += piece
  else outputs.list.push({ output_type: 'stream', name, text: piece })
}

function addDisplay(outputs: Outputs, type: string, content: Bundle, size: number, bytesMax: number): void {
  const shown = { data: bundle(content['data']), metadata: bundle(content['metadata']) }
  const count = content['execution_count']
  const output: DisplayOutput | ResultOutput =
    type === 'execute_result'
      ? { output_type: 'execute_result', execution_count: typeof count === 'number' ? count : null, ...shown }
      : { output_type: 'display_data', ...shown }
  // A display that is shown again looks the same in all of its places.
  update(outputs, content, size, bytesMax)
  outputs.list.push(output)
  const id = displayId(content)
  if (id === null) return
  const display = outputs.displays.get(id)
  if (display) display.places.push(output)
  else outputs.displays.set(id, { places: [output], size })
}

function errorOf(content: Bundle, whole: boolean): ErrorOutput {
  const lines = Array.isArray(content['traceback']) ? content['traceback'].map(text) : []
  const most = whole ? Infinity : ERROR_CHARS_MAX
  return {
    output_type: 'error',
    ename: text(content['ename']).slice(0, most),
    evalue: text(content['evalue']).slice(0, most),
    traceback: whole ? lines : [],
  }
}

function displayId(content: Bundle): string | null {
  const id = bundle(content['transient'])['display_id']
  return typeof id === 'string' ? id : null
}

function bundle(value: unknown): Bundle {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Bundle) : {}
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
