/**
 * JupyterLab's debugger: a breakpoint is set in the margin of a cell, hit, looked at, stepped over and left.
 *
 *   node build/test/browser/debugger.js [FOLDER FOR SCREENSHOTS]
 */

import type { Locator } from 'playwright-core'
import { inLab } from './in-lab.js'
import type { Lab } from './lab.js'
import type { NotebookPage } from './notebook-page.js'
import { assert, type Report } from './report.js'

async function debug(report: Report, lab: Lab, notebook: NotebookPage): Promise<void> {
  const { page } = notebook
  if (!(await report.check('the notebook opens', () => notebook.open(lab, 'debugged')))) return
  await report.check('the button of the toolbar begins to debug', async () => {
    const sidebar = page.locator('.jp-DebuggerSidebar:visible')
    const pressed = bug(notebook).and(page.locator('[aria-pressed="true"]'))
    // JupyterLab asks the kernel whether it can debug; on a busy machine a click before the answer does nothing.
    for (let times = 0; times < 5 && !(await sidebar.isVisible()); times += 1) {
      if (!(await pressed.isVisible())) await bug(notebook).click()
      await sidebar.waitFor({ timeout: 5000 }).catch(() => undefined)
    }
    await sidebar.waitFor()
    await pressed.waitFor()
  })
  await report.check('a click into the margin sets a breakpoint', async () => {
    const margin = notebook.cell('stops').locator('.cm-breakpoint-gutter .cm-gutterElement')
    // The first one is the spacer.
    await margin.nth(2).click()
    await page.locator('.jp-DebuggerBreakpoints .jp-DebuggerBreakpoint', { hasText: '2' }).waitFor()
  })
  await report.check('the cell stops there', async () => {
    await notebook.select('stops')
    await page.keyboard.press('Control+Enter')
    await frame(notebook, 'double').waitFor()
    await highlighted(notebook, 'result = number * 2')
  })
  await report.check('its variables are shown', async () => {
    await variable(notebook, 'number', '21').waitFor()
    await notebook.picture('debugger-stopped')
  })
  await report.check('a step goes to the next line, and the result is there', async () => {
    await command(notebook, 'next').click()
    await highlighted(notebook, 'return result')
    await variable(notebook, 'result', '42').waitFor()
    await notebook.picture('debugger-stepped')
  })
  await report.check('the cell goes on to its end', async () => {
    await command(notebook, 'continue').click()
    await notebook.waitForText('stops', 'doubled: 42')
    await notebook.waitUntilIdle()
    await frame(notebook, 'double').waitFor({ state: 'detached' })
  })
  await report.check('it stops again when it is run again', async () => {
    await notebook.select('stops')
    await page.keyboard.press('Control+Enter')
    await frame(notebook, 'double').waitFor()
    await command(notebook, 'continue').click()
    await notebook.waitUntilIdle()
  })
  await report.check('the button ends debugging, and cells run as before', async () => {
    await bug(notebook).click()
    await bug(notebook).and(page.locator('[aria-pressed="false"]')).waitFor()
    await notebook.run('stops')
    await notebook.run('afterwards')
    await notebook.waitForText('afterwards', 'went on')
    const stopped = await page.locator('.jp-DebuggerCallstackFrame').count()
    assert(stopped === 0, `${stopped} frames are shown`)
    await notebook.picture('debugger-ended')
  })
}

function bug({ page }: NotebookPage): Locator {
  return page.locator('.jp-NotebookPanel:visible .jp-DebuggerBugButton')
}

function frame({ page }: NotebookPage, name: string): Locator {
  return page.locator('.jp-DebuggerCallstackFrame-name', { hasText: name })
}

function variable({ page }: NotebookPage, name: string, value: string): Locator {
  return page.locator('.jp-DebuggerVariables-body .jp-TreeItem', { hasText: name }).filter({ hasText: value }).first()
}

function command({ page }: NotebookPage, name: string): Locator {
  return page.locator(`.jp-DebuggerSidebar [data-command="debugger:${name}"]`).first()
}

/** The line at which the cell stands. */
async function highlighted({ page }: NotebookPage, text: string): Promise<void> {
  await page.locator('.jp-DebuggerEditor-highlight', { hasText: text }).first().waitFor()
}

process.exitCode = await inLab(debug)
