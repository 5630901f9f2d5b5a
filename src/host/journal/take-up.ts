/** What a host that takes a kernel up asks for again, from what its journal tells. */

import type { Effect, StoreCall } from '../../kernel/effects.js'
import type { Snapshot } from '../../kernel/snapshots.js'
import type { WorkerMemory } from '../ports.js'
import type { Ledger } from './ledger.js'
import type { Recovered } from './replay.js'

/** What was asked for and not answered. It is asked for again: nobody knows whether it was done. */
export interface Open {
  readonly calls: readonly (readonly [id: string, call: StoreCall])[]
  readonly effects: readonly Effect[]
  readonly lines: Ledger['lines']
  readonly deadlines: readonly (readonly [id: string, at: number])[]
}

export function openOf({ ledger }: Recovered): Open {
  const settles = ledger.settles.map((seq): Effect => (seq === undefined ? { do: 'settle' } : { do: 'settle', seq }))
  return {
    calls: [...ledger.calls],
    effects: [...ledger.measurements.values(), ...settles, ...ledger.latest],
    lines: [...ledger.lines],
    deadlines: [...ledger.deadlines],
  }
}

/** For whoever has the processes. */
export function memoryOf({ state, ledger }: Recovered): WorkerMemory {
  const { worker } = state
  return {
    placements: [...ledger.placements],
    current: worker && {
      generation: worker.generation,
      token: worker.token,
      pid: worker.pid,
      frames: ledger.frames,
      commands: ledger.commands,
    },
    commands: [...ledger.unconfirmed],
    outstanding: [...ledger.workers],
    held: [...ledger.held.values()],
    cell: state.turn?.atWorker ? state.turn.request.seq : 0,
    snapshots: [...state.snapshots.values()].filter(isProcess).map(({ id }) => id),
  }
}

/** One that is only permitted may be frozen by and by; copies of what the variables hold are the worker's. */
function isProcess({ phase, mode }: Snapshot): boolean {
  return phase === 'frozen' && mode !== 'objects'
}
