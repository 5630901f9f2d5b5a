/** Checkpoints and what is told of them, as lines for a terminal. */

export interface VariableFacts {
  readonly name: string
  readonly type: string
  readonly bytes: number | null
  readonly verdict?: string
  readonly tier?: string | null
  readonly reason?: string | null
  readonly preview?: string | null
}

/** As on the wire; what a release does not know is absent. */
export interface CheckpointFacts {
  readonly checkpoint_id: string
  readonly name: string | null
  readonly note: string | null
  readonly parent_id: string | null
  readonly branch: string
  readonly kernel_id: string
  readonly created_at: string
  readonly execution_count: number
  readonly namespace_size: number
  readonly checkpoint_size: number
  readonly written_bytes: number
  readonly python_version: string
  readonly verdicts: Readonly<Record<string, number>>
  readonly lost: readonly { readonly name: string; readonly type: string; readonly reason: string }[]
  readonly objects?: readonly VariableFacts[]
}

export interface Difference {
  readonly added: readonly VariableFacts[]
  readonly removed: readonly VariableFacts[]
  readonly changed: readonly VariableFacts[]
  readonly code: readonly string[]
}

export interface Validity {
  readonly valid: boolean
  readonly damaged: readonly { readonly code: string; readonly message: string }[]
}

const UNITS = ['kB', 'MB', 'GB'] as const

/** "512 bytes", "1.2 MB". */
export function sizeText(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`
  let size = bytes / 1000
  let unit = 0
  for (; size >= 1000 && unit < UNITS.length - 1; unit += 1) size /= 1000
  return `${size.toFixed(1)} ${UNITS[unit]}`
}

/** What others wrote must not move the cursor, or pretend to be another line. */
export function inOneLine(text: string | null | undefined, charactersMax = 60): string {
  const flat = (text ?? '').replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ').trim()
  return [...flat].length <= charactersMax ? flat : `${[...flat].slice(0, charactersMax - 1).join('')}…`
}

export function listLine(each: CheckpointFacts): string {
  const { checkpoint_id: id, created_at, branch, execution_count: count, namespace_size: variables } = each
  const size = `${sizeText(each.checkpoint_size)} (${sizeText(each.written_bytes)} new)`
  const lost = each.verdicts['lost'] ? `, ${each.verdicts['lost']} lost` : ''
  const title = [inOneLine(each.name, 200), inOneLine(each.note)].filter((text) => text !== '').join(': ')
  return `${id}  ${created_at}  ${inOneLine(branch).padEnd(6)}  cell ${count}  ${variables} variables${lost}  ${size}  ${title}`.trimEnd()
}

export function showLines(each: CheckpointFacts): string {
  const { verdicts, objects } = each
  const kept = ['exact', 'equal', 'rebuilt', 'replayed', 'lost']
    .filter((verdict) => (verdicts[verdict] ?? 0) > 0)
    .map((verdict) => `${verdicts[verdict]} ${verdict}`)
  const head = [
    ['checkpoint', each.checkpoint_id],
    ['name', inOneLine(each.name, 200)],
    ['note', inOneLine(each.note, 1_000)],
    ['made', `${each.created_at}, after cell ${each.execution_count} of kernel ${inOneLine(each.kernel_id)}`],
    ['branch', `${inOneLine(each.branch)}${each.parent_id === null ? '' : `, after ${each.parent_id}`}`],
    ['size', `${sizeText(each.checkpoint_size)}, of which ${sizeText(each.written_bytes)} were written for it`],
    ['Python', inOneLine(each.python_version)],
    ['variables', `${each.namespace_size}: ${kept.join(', ') || 'none'}`],
  ]
  const lines = head.filter(([, value]) => value !== '').map(([name, value]) => `${name?.padEnd(10)}  ${value}`)
  return [...lines, ...(objects ?? each.lost).map(objectLine)].join('\n')
}

function objectLine(each: Partial<VariableFacts> & { readonly name: string; readonly type: string }): string {
  const size = typeof each.bytes === 'number' ? sizeText(each.bytes) : ''
  const how = [each.verdict ?? 'lost', each.reason].filter(Boolean).map((text) => inOneLine(text, 200))
  return `  ${inOneLine(each.name).padEnd(20)}  ${inOneLine(each.type).padEnd(20)}  ${size.padEnd(10)}  ${how.join(': ')}`.trimEnd()
}

export function differenceLines({ added, removed, changed, code }: Difference): string {
  const groups = [
    ['+', added],
    ['-', removed],
    ['~', changed],
  ] as const
  const lines = groups.flatMap(([mark, items]) =>
    items.map(({ name, type, bytes, preview }) =>
      `${mark} ${inOneLine(name)}  ${inOneLine(type)}  ${sizeText(bytes ?? 0)}  ${inOneLine(preview)}`.trimEnd(),
    ),
  )
  if (lines.length === 0) return 'Nothing differs.'
  const cells = code.flatMap((cell) => ['', ...cell.split('\n').map((line) => `    ${inOneLine(line, 500)}`.trimEnd())])
  return [...lines, ...(cells.length > 0 ? ['', 'The cells between:', ...cells.slice(1)] : [])].join('\n')
}

export function validityLines(id: string, { valid, damaged }: Validity): string {
  if (valid) return `${id} is whole: all of it was read, and its signature is right.`
  return [`${id} is damaged:`, ...damaged.map(({ code, message }) => `  ${code}: ${inOneLine(message, 500)}`)].join(
    '\n',
  )
}

interface Restored {
  readonly restored: number
  readonly lost: readonly { readonly name: string; readonly reason: string }[]
  readonly warnings: readonly string[]
}

export function restoredLines({ restored, lost, warnings }: Restored, kernel: string): string {
  const losses = lost.map(({ name, reason }) => `  lost: ${inOneLine(name)}: ${inOneLine(reason, 200)}`)
  const said = warnings.map((text) => `  ${inOneLine(text, 500)}`)
  return [`Restored ${restored} variables in kernel ${kernel}.`, ...losses, ...said].join('\n')
}
