/** One cell through a real Jupyter client, as a notebook would run it. */
import { config, places } from '../config.js'
import { runCommand } from '../provision/command.js'
import type { WorkerPython } from '../provision/known.js'

export interface Trial {
  readonly ok: boolean
  /** Milliseconds from starting the kernel until it answers, and for the cell; absent when it failed. */
  readonly start_ms?: number
  readonly cell_ms?: number
  readonly problem?: string | null
}

/** Starts the kernel of a kernelspec folder, runs one cell in it and ends it. Never throws for a kernel that fails. */
export async function tryCell(specFolder: string, { python, stack }: WorkerPython): Promise<Trial> {
  const { trialStartS, trialExecuteS, trialMarginS } = config
  // jupyter_client comes with ipykernel, so it is where ipykernel is.
  const importFrom = stack === null ? [] : [stack]
  const argv = [python, places.trialClient, specFolder, String(trialStartS), String(trialExecuteS), ...importFrom]
  const result = await runCommand(argv, { deadlineMs: (trialStartS + trialExecuteS + trialMarginS) * 1000 })
  try {
    return JSON.parse(result.stdout.at(-1) ?? '') as Trial
  } catch {
    return { ok: false, problem: [result.failure ?? `exit code ${result.code}`, ...result.tail.slice(-5)].join('\n') }
  }
}
