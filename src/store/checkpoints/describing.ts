/** What a checkpoint holds, and what lies between two of them. */

import { constants } from 'node:fs'
import { SavepointError } from '../../errors.js'
import { cellsOf, groupsOf, type Cell, type StoredObject } from './checkpoint-contents.js'
import { readObjects } from './checkpoint-file.js'
import { recordOf, type CheckpointRecord } from './checkpoint-record.js'
import type { Root } from './checkpoint-root.js'
import { Walk } from './checkpoint-tree.js'
import { eitherOf, type Place, type Places } from '../chunks/chunk.js'
import { placesIn } from '../chunks/chunk-index.js'
import { withReader } from '../chunks/chunk-reader.js'
import { storeLimits } from '../limits.js'
import { readDraft } from './manifest-file.js'
import { verified } from './opening.js'
import { draftEntries, type Draft } from './sealing.js'
import { withPlainFile } from '../chunks/sealed-end.js'
import type { Stocked } from './shelf.js'

/** A variable as `objects` of a checkpoint lists it. */
export type ListedObject = Omit<StoredObject, 'preview' | 'digest' | 'attribute'>

export interface DescribedCheckpoint extends CheckpointRecord {
  readonly objects: readonly ListedObject[]
  /** Variables beyond the bound of a list; absent: all are there. */
  readonly objects_omitted?: number
}

export interface DiffedVariable {
  readonly name: string
  readonly type: string
  readonly bytes: number
  readonly preview: string | null
}

export interface CheckpointDiff {
  readonly added: readonly DiffedVariable[]
  readonly removed: readonly DiffedVariable[]
  /** As they are in the later one. */
  readonly changed: readonly DiffedVariable[]
  /** The cells that the later one has and the earlier one has not. */
  readonly code: readonly string[]
  /** Variables or cells beyond the bound of an answer; absent: all are there. */
  readonly omitted?: number
}

/** Throws as `verified` does, and `damaged_checkpoint` for a list that cannot be read. */
export async function describeCheckpoint(
  stocked: Stocked,
  id: string,
  owner: string | null,
): Promise<DescribedCheckpoint> {
  const found = await verified(stocked.shelf, id, owner)
  const record = recordOf(found.contents)
  const { objects } =
    found.format === 1
      ? { objects: await withPlainFile(found.path, constants.O_RDONLY, readObjects) }
      : await readTree(found.contents.root, ownPlaces(stocked, found.contents.label.owner))
  const listed = objects.slice(0, storeLimits.objectsMax).map(listedObject)
  const omitted = objects.length - listed.length
  return { ...record, objects: listed, ...(omitted > 0 ? { objects_omitted: omitted } : {}) }
}

/**
 * What changed from one checkpoint to another, or to a draft that was never sealed. Throws as `verified` does, and
 * `format_unsupported` for checkpoints of the first format, which say nothing to compare by.
 */
export async function diffCheckpoints(
  stocked: Stocked,
  from: string,
  to: { readonly id: string } | { readonly draft: Draft; readonly owner: string },
  owner: string | null,
): Promise<CheckpointDiff> {
  const before = await treeOf(stocked, from, owner)
  const after = 'id' in to ? await treeOf(stocked, to.id, owner) : await draftTree(stocked, to.draft, to.owner)
  return diffOf(before, after)
}

function listedObject({ name, type, verdict, tier, bytes, reason }: StoredObject): ListedObject {
  return { name, type, verdict, tier, bytes, reason }
}

interface ReadTree {
  readonly objects: readonly StoredObject[]
  readonly cells: readonly Cell[]
}

async function treeOf(stocked: Stocked, id: string, owner: string | null): Promise<ReadTree> {
  const found = await verified(stocked.shelf, id, owner)
  if (found.format === 2) return await readTree(found.contents.root, ownPlaces(stocked, found.contents.label.owner))
  throw new SavepointError(
    'format_unsupported',
    'The checkpoint has format 1, which does not say what its variables were. Compare checkpoints of format 2.',
    { checkpoint: id, format_version: 1 },
  )
}

async function draftTree(stocked: Stocked, draft: Draft, owner: string): Promise<ReadTree> {
  const { root } = await withPlainFile(draft.path, constants.O_RDONLY, readDraft)
  const entries = (await draftEntries(draft.pack)) ?? []
  const own = new Map<string, Place>(entries.map((entry) => [entry.digest, { pack: draft.pack, ...entry }]))
  return await readTree(root, eitherOf(own, ownPlaces(stocked, owner)))
}

function ownPlaces({ shelf, database }: Stocked, owner: string): Places {
  return placesIn(database, shelf.packsFolder, owner)
}

async function readTree(root: Root, places: Places): Promise<ReadTree> {
  return await withReader(async (reader) => {
    const walk = new Walk(places, reader)
    const objects: StoredObject[] = []
    for await (const groups of groupsOf(walk, root)) {
      for (const group of groups) for (const object of group.objects) if (!object.attribute) objects.push(object)
    }
    return { objects, cells: await cellsOf(walk, root) }
  })
}

function diffOf(before: ReadTree, after: ReadTree): CheckpointDiff {
  const old = new Map(before.objects.map((object) => [object.name, object]))
  const present = new Set(after.objects.map(({ name }) => name))
  const added = after.objects.filter(({ name }) => !old.has(name))
  const removed = before.objects.filter(({ name }) => !present.has(name))
  const changed = after.objects.filter((object) => isChanged(old.get(object.name), object))
  const known = new Set(before.cells.map(cellKey))
  const code = after.cells.filter((cell) => !known.has(cellKey(cell))).map(([, text]) => text)
  const all = [added, removed, changed]
  const shown = all.map((list) => list.slice(0, storeLimits.objectsMax).map(diffed))
  const cells = lastCells(code)
  const omitted =
    all.reduce((sum, list) => sum + Math.max(0, list.length - storeLimits.objectsMax), 0) + code.length - cells.length
  const [a = [], r = [], c = []] = shown
  return { added: a, removed: r, changed: c, code: cells, ...(omitted > 0 ? { omitted } : {}) }
}

function isChanged(before: StoredObject | undefined, after: StoredObject): boolean {
  if (!before) return false
  // What was not kept has no digest: then its type is all that is known of it.
  return before.type !== after.type || before.digest !== after.digest
}

function cellKey([number, text]: Cell): string {
  return `${number}\0${text}`
}

function diffed({ name, type, bytes, preview }: StoredObject): DiffedVariable {
  return { name, type, bytes, preview }
}

/** The latest that fit into an answer. */
function lastCells(texts: readonly string[]): readonly string[] {
  let left = storeLimits.diffCodeCharsMax
  const first = texts.findLastIndex((text) => (left -= text.length) < 0)
  return texts.slice(first + 1)
}
