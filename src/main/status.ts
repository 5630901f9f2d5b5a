/**
 * `savepoint status`: whether a gateway runs (`pool`), only kernels without one (`single`), or nothing (`none`).
 *
 * The gateway's note in the data folder is looked at first, then the process that it names, then its API; then the
 * folders that running kernels have. Whatever was left behind by what was killed is told apart, and said.
 */

import { resolveSettings } from '../config.js'
import { kernelsWith, runtimeRoot } from '../worker/runtime-dir.js'
import { parseFlags } from './flags.js'
import { GatewayClient } from './gateway-client.js'
import { isAlive } from '../store/instances/process.js'
import { readRecord } from './gateway-record.js'
import { checkWritable } from './health/data-folder.js'
import { problem, showFinding, type Finding } from './health/finding.js'
import { checkRelease, checkRunning } from './health/running.js'
import { checkSurvivors } from './health/survivors.js'
import { productVersion } from './commands.js'
import { EXIT } from './report.js'
import { keptToken } from './token-file.js'

const FLAGS = { '--json': 'switch', '--data-dir': 'value', '--token': 'value' } as const
const UNCOUNTED =
  'The gateway does not take the token that is known here, so its kernels are not counted. Give its own with --token T, or in SAVEPOINT_TOKEN.'

/** How long the gateway may take to say who it is. */
const ANSWER_MS = 5_000

export interface Status {
  readonly mode: 'pool' | 'single' | 'none'
  readonly url: string | null
  readonly pid: number | null
  /** Release of the gateway. */
  readonly version: string | null
  readonly started_at: string | null
  /** Kernels of the gateway; null: it did not say. */
  readonly kernels: number | null
  /** Processes of kernels without a gateway. */
  readonly single_pids: readonly number[]
  /** What was left behind, or does not answer, in sentences. */
  readonly notes: readonly string[]
}

export async function runStatus(args: readonly string[]): Promise<number> {
  const { given } = parseFlags(args, FLAGS)
  const { dataDir } = resolveSettings(given['--data-dir'] === undefined ? {} : { dataDir: given['--data-dir'] })
  const token = given['--token'] ?? process.env['SAVEPOINT_TOKEN'] ?? keptToken(dataDir)
  const status = await detect(dataDir, token, singleKernels(dataDir))
  const findings = (await findingsOf(dataDir, token, status)).filter(({ level }) => level !== 'ok')
  const shown = [`${show(status)}\n`, ...findings.map(showFinding)].join('')
  process.stdout.write(given['--json'] ? `${JSON.stringify({ ...status, findings })}\n` : shown)
  return status.mode === 'none' ? EXIT.notFound : EXIT.done
}

/** What is wrong, and what to do. Never throws. */
async function findingsOf(dataDir: string, token: string | null, status: Status): Promise<readonly Finding[]> {
  const found = readRecord(dataDir)
  const local = [...checkSurvivors(dataDir, status.mode === 'pool'), ...checkWritable(dataDir)]
  if (found?.alive !== true) return local
  const { url, pid, release } = found.record
  if (status.mode !== 'pool') {
    const why = 'Its kernels cannot be reached as long as it does not answer.'
    const remedy = `Look at its log; then replace it, its kernels live on: kill -KILL ${pid}; savepoint serve`
    return [...local, problem('gateway', `process ${pid} does not answer at ${url}`, why, remedy)]
  }
  const client = new GatewayClient(url, token)
  try {
    return [...local, ...checkRelease(release, productVersion()), ...(await checkRunning(client, ANSWER_MS))]
  } catch {
    // That it does not take the token is said already.
    return [...local, ...checkRelease(release, productVersion())]
  } finally {
    client.close()
  }
}

/** Looks for what runs. `singles`: processes of kernels; the gateway's own may be among them. Never throws. */
export async function detect(dataDir: string, token: string | null, singles: readonly number[]): Promise<Status> {
  const nothing = { url: null, pid: null, version: null, started_at: null, kernels: null }
  const without = (pids: readonly number[], notes: readonly string[]): Status => ({
    ...nothing,
    mode: pids.length > 0 ? 'single' : 'none',
    single_pids: pids,
    notes,
  })
  const found = readRecord(dataDir)
  if (found === null) return without(singles, [])
  const { url, pid, started_at, release } = found.record
  if (!found.alive) {
    const note = `The note of a gateway of process ${pid} is stale: it was killed. The next "savepoint serve" replaces it.`
    return without(singles, [note])
  }
  const others = singles.filter((each) => each !== pid)
  const client = new GatewayClient(url, token)
  try {
    await client.ask('GET', '/api', undefined, ANSWER_MS)
    // To be told how many there are takes a token that is valid there; that it runs is told to anybody.
    const kernels = await client.ask('GET', '/api/kernels', undefined, ANSWER_MS).catch(() => null)
    return {
      mode: 'pool',
      url,
      pid,
      started_at,
      version: release,
      kernels: Array.isArray(kernels) ? kernels.length : null,
      single_pids: others,
      notes: Array.isArray(kernels) ? [] : [UNCOUNTED],
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return without(others, [`Process ${pid} is there, but it does not answer at ${url}: ${why}`])
  } finally {
    client.close()
  }
}

/** Pids of kernels that run for themselves with this data folder; each has a folder of its own that says so. */
function singleKernels(dataDir: string): readonly number[] {
  try {
    return kernelsWith(runtimeRoot(), dataDir).filter(isAlive)
  } catch {
    return []
  }
}

function show({ mode, url, pid, version, kernels, single_pids, notes }: Status): string {
  const count = kernels === null ? '' : `, ${kernels} ${kernels === 1 ? 'kernel' : 'kernels'}`
  const lines = {
    pool: `A gateway runs at ${url} (process ${pid}, version ${version}${count}).`,
    single: 'No gateway runs.',
    none: 'Nothing runs. Start a gateway with "savepoint serve".',
  }
  const singles = single_pids.length > 0 ? [`Kernels without a gateway: processes ${single_pids.join(', ')}.`] : []
  return [...notes, lines[mode], ...singles].join('\n')
}
