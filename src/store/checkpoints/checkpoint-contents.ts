/** What a checkpoint says of its variables and cells, read from its lists. */

import { isObject, malformed, type Json } from './checkpoint-json.js'
import { refsIn, type Ref, type Root } from './checkpoint-root.js'
import { parsedLine, type Walk } from './checkpoint-tree.js'

/** A variable, as in the list of the checkpoint that holds it. */
export interface StoredObject {
  readonly name: string
  readonly type: string
  readonly verdict: string
  readonly tier: string | null
  readonly bytes: number
  readonly reason: string | null
  /** Short text of a value that is safe to show. */
  readonly preview: string | null
  /** Of its data: equal ones are unchanged; null: nothing was kept, or the format has none. */
  readonly digest: string | null
  /** No variable, but an attribute that the user gave to a module: `module:path`. */
  readonly attribute: boolean
}

/** Variables that share data, and where all of it is. */
export interface Group {
  readonly objects: readonly StoredObject[]
  readonly refs: readonly Ref[]
}

/** A cell that was run. */
export type Cell = readonly [number: number, text: string]

/** The variables, group by group. Throws `damaged_checkpoint`. */
export async function* groupsOf(walk: Walk, root: Root): AsyncGenerator<Group[]> {
  if (!root.variables) return
  for await (const lines of walk.lines(root.variables)) {
    yield lines.map((line) => {
      const json = parsedLine(line)
      if (!isObject(json)) throw malformed('variables')
      const { objects, ...others } = json
      if (!Array.isArray(objects)) throw malformed('objects')
      return { objects: objects.map(storedObject), refs: refsIn(others) }
    })
  }
}

/** Throws `damaged_checkpoint`. */
export async function cellsOf(walk: Walk, root: Root): Promise<Cell[]> {
  const cells: Cell[] = []
  if (!root.history) return cells
  for await (const lines of walk.lines(root.history)) {
    for (const line of lines) {
      const cell = parsedLine(line)
      if (!isCell(cell)) throw malformed('history')
      cells.push(cell)
    }
  }
  return cells
}

function isCell(value: unknown): value is Cell {
  return Array.isArray(value) && typeof value[0] === 'number' && typeof value[1] === 'string'
}

/** Throws `damaged_checkpoint`. */
export function storedObject(value: unknown): StoredObject {
  if (!isObject(value)) throw malformed('objects')
  const { name, bytes } = value
  if (typeof name !== 'string') throw malformed('name')
  return {
    name,
    type: textIn(value, 'type') ?? 'object',
    verdict: textIn(value, 'verdict') ?? 'lost',
    tier: textIn(value, 'tier'),
    bytes: typeof bytes === 'number' ? bytes : 0,
    reason: textIn(value, 'reason'),
    preview: textIn(value, 'preview'),
    digest: textIn(value, 'digest'),
    attribute: value['attribute'] === true,
  }
}

function textIn(json: Json, key: string): string | null {
  const value = json[key]
  return typeof value === 'string' ? value : null
}
