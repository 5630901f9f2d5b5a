/**
 * Work that is saved in the evening; then everything is killed: JupyterLab, the gateway, kernels and their workers. The
 * next morning other processes go on where the work was, and a branch is tried and dropped.
 */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startGateway, type RunningGateway } from './gateway-lab.js'
import { startLab, type Lab } from './lab.js'
import type { NotebookPage } from './notebook-page.js'
import { described, kill, survivors } from './processes.js'
import { assert, type Report } from './report.js'

/** A JupyterLab, perhaps in front of a gateway, that can be killed and started again on what it has saved. */
export interface Days extends Lab {
  /** Kills all processes; resolves to others, when they are there. */
  nextDay(): Promise<Lab>
}

/** How to start one, with a gateway or without. */
export function daysOf(withGateway: boolean) {
  return async (python: string, sources: URL): Promise<Days> => {
    const kept = mkdtempSync(join(tmpdir(), 'savepoint-days-'))
    for (const name of ['data', 'temporary']) mkdirSync(join(kept, name), { mode: 0o700 })
    const environment = { SAVEPOINT_TEST_KEPT: kept, TMPDIR: join(kept, 'temporary') }
    let gateway: RunningGateway | null = null
    let lab: Lab | null = null
    const start = async (): Promise<Lab> => {
      gateway = withGateway ? await startGateway(python, join(kept, 'data')) : null
      lab = await startLab(python, sources, {
        arguments: gateway === null ? [] : [`--gateway-url=${gateway.url}`],
        environment: gateway === null ? environment : { ...environment, JUPYTER_GATEWAY_AUTH_TOKEN: gateway.token },
      })
      return lab
    }
    const stop = async (): Promise<string[]> => [...((await lab?.stop()) ?? []), ...((await gateway?.stop()) ?? [])]
    const nextDay = async (): Promise<Lab> => {
      const processes = [...(lab?.processes() ?? []), ...(gateway?.processes() ?? [])]
      assert(processes.length >= 4, `there are only ${processes.map(described).join(', ')}`)
      kill(processes)
      await stop()
      const left = await survivors(processes)
      assert(left.length === 0, `these survived: ${left.map(described).join(', ')}`)
      return await start()
    }
    const stopAll = async (): Promise<string[]> => {
      const left = await stop()
      rmSync(kept, { recursive: true, force: true })
      return left
    }
    try {
      return { ...(await start()), nextDay, stop: stopAll }
    } catch (error) {
      await stopAll()
      throw error
    }
  }
}

async function evening(report: Report, lab: Lab, notebook: NotebookPage): Promise<boolean> {
  return await report.check('work is saved, and saved again after a small change', async () => {
    await notebook.open(lab, 'tomorrow')
    await notebook.run('work')
    await notebook.waitForText('work', 'rows (1000000, 3)')
    await notebook.run('save')
    await notebook.waitForText('save', /Checkpoint 'evening' .*variables, 24/)
    await notebook.run('change')
    await notebook.run('save-again')
    await notebook.waitForText('save-again', /Checkpoint 'marked' .*24\.\d MB \([\d.]+ kB new\)/)
    await notebook.run('tree')
    await notebook.output('tree').locator('table svg circle').nth(1).waitFor()
    await notebook.waitForText('tree', /marked[\s\S]*you are here[\s\S]*evening: before the weekend/)
    await notebook.picture('evening', 'tree')
  })
}

const AS_IT_WAS = /rows 42.0 shared True True\s+notes \['loaded', 'marked'\] score [\d.]+ model 3.0\s+source True/

async function morning(report: Report, days: Days, notebook: NotebookPage): Promise<boolean> {
  return await report.check('after everything was killed, new processes go on where the work was', async () => {
    await notebook.page.goto('about:blank')
    const lab = await days.nextDay()
    await notebook.open(lab, 'tomorrow')
    await notebook.run('restore')
    await notebook.waitForText('restore', /Restored \d+ variables/)
    await notebook.run('look')
    await notebook.waitForText('look', AS_IT_WAS)
    await notebook.run('view')
    await notebook.waitForText('view', 'a view -5.0')
    await notebook.picture('morning', 'look')
  })
}

async function branch(report: Report, notebook: NotebookPage): Promise<void> {
  await report.check('a branch is tried, compared and dropped', async () => {
    await notebook.run('branch')
    await notebook.waitForText('branch', /On branch 'try': restored \d+ variables/)
    await notebook.run('tried')
    await notebook.waitForText('tried', "tried ['loaded', 'tried zeros']")
    await notebook.run('save-tried')
    await notebook.waitForText('save-tried', /Checkpoint 'zeros'/)
    await notebook.run('compare')
    await notebook.waitForText('compare', /added\s*forest/)
    await notebook.waitForText('compare', /removed\s*score/)
    await notebook.picture('compared', 'compare')
    await notebook.run('drop')
    await notebook.waitForText('drop', /Restored \d+ variables/)
    await notebook.run('look')
    await notebook.waitForText('look', AS_IT_WAS)
  })
  await report.check('the tree shows the branch, and where the kernel is', async () => {
    await notebook.run('tree-again')
    await notebook.output('tree-again').locator('table svg circle').nth(2).waitFor()
    await notebook.waitForText('tree-again', /zeros[\s\S]*try[\s\S]*marked[\s\S]*you are here[\s\S]*evening/)
    await notebook.picture('tree', 'tree-again')
  })
  await report.check('what was never saved is refused in one line, and nothing is lost', async () => {
    await notebook.run('unknown')
    await notebook.waitForText('unknown', 'SavepointError: unknown_checkpoint')
    await notebook.run('after-unknown')
    await notebook.waitForText('after-unknown', "still ['loaded', 'marked'] 42.0")
  })
}

export async function twoDays(report: Report, days: Days, notebook: NotebookPage): Promise<void> {
  if (!(await evening(report, days, notebook))) {
    await notebook.picture('evening-failed')
    return
  }
  if (!(await morning(report, days, notebook))) {
    await notebook.picture('morning-failed')
    return
  }
  await branch(report, notebook)
}
