/** What a kernel of a pool needs to know to go on in another process: a file with a line for each thing that happened. */

import { appendFileSync, readFileSync } from 'node:fs'
import type { Numbered, WorkerCommand } from '../../src/link/protocol.js'
import type { PythonEvent } from '../../src/worker/events.js'
import type { Placement, WorkerMemory } from '../../src/worker/memory.js'

type Note =
  | { readonly what: 'placed'; readonly placement: Placement }
  | { readonly what: 'fork'; readonly token: string; readonly generation: number }
  | { readonly what: 'up'; readonly token: string; readonly pid: number }
  | { readonly what: 'frame'; readonly frame: number; readonly got: number; readonly snapshot: Snapshot | null }
  | { readonly what: 'text'; readonly text: string }
  | { readonly what: 'command'; readonly command: Numbered<WorkerCommand>; readonly parts: readonly string[] }

export interface Snapshot {
  readonly snapshot: string
  readonly pid: number
}

export interface Recalled {
  readonly memory: WorkerMemory
  readonly generation: number
  readonly seq: number
  readonly commands: number
  readonly snapshots: readonly Snapshot[]
  /** All that was printed. */
  readonly text: string
}

export class Notes {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  event(event: PythonEvent): void {
    if (event.on === 'placed') this.#write({ what: 'placed', placement: event.placement })
    if (event.on === 'worker_up') this.#write({ what: 'up', token: event.token, pid: event.pid })
    if (event.on === 'output') this.#write({ what: 'text', text: event.text.toString() })
    if (event.on !== 'worker') return
    const { event: said, frame, parts } = event
    if (said.kind === 'stream') this.#write({ what: 'text', text: parts[0]?.toString() ?? '' })
    const got = said.kind === 'reply' ? (said.got ?? 0) : 0
    const snapshot = said.kind === 'taken' ? { snapshot: said.snapshot, pid: said.pid } : null
    this.#write({ what: 'frame', frame, got, snapshot })
  }

  fork(token: string, generation: number): void {
    this.#write({ what: 'fork', token, generation })
  }

  command(command: Numbered<WorkerCommand>, parts: readonly Buffer[]): void {
    this.#write({ what: 'command', command, parts: parts.map((part) => part.toString('base64')) })
  }

  recall(): Recalled {
    const notes = readFileSync(this.#path, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Note)
    const all = <W extends Note['what']>(what: W): Extract<Note, { readonly what: W }>[] =>
      notes.filter((each): each is Extract<Note, { readonly what: W }> => each.what === what)
    const fork = all('fork').at(-1)
    if (!fork) return noNotes()
    const pid = all('up').find(({ token }) => token === fork.token)?.pid ?? null
    const frames = Math.max(0, ...all('frame').map(({ frame }) => frame))
    const got = Math.max(0, ...all('frame').map((each) => each.got))
    const snapshots = all('frame').flatMap(({ snapshot }) => snapshot ?? [])
    const commands = all('command').map(({ command, parts }) => ({
      command,
      parts: parts.map((part) => Buffer.from(part, 'base64')),
    }))
    return {
      memory: {
        placements: all('placed').map(({ placement }) => placement),
        current: { generation: fork.generation, token: fork.token, pid, frames },
        commands: commands.filter(({ command: { n = 0 } }) => n > got),
        outstanding: pid === null ? [{ do: 'fork', ...fork }] : [],
        snapshots: snapshots.map(({ snapshot }) => snapshot),
        held: [],
        cell: 0,
      },
      generation: fork.generation,
      seq: Math.max(0, ...commands.map(({ command }) => (command.kind === 'request' ? command.seq : 0))),
      commands: Math.max(0, ...commands.map(({ command: { n = 0 } }) => n)),
      snapshots,
      text: all('text')
        .map(({ text }) => text)
        .join(''),
    }
  }

  #write(note: Note): void {
    appendFileSync(this.#path, `${JSON.stringify(note)}\n`)
  }
}

export function noNotes(): Recalled {
  const memory = { placements: [], current: null, commands: [], outstanding: [], snapshots: [], held: [], cell: 0 }
  return { memory, generation: 0, seq: 0, commands: 0, snapshots: [], text: '' }
}
