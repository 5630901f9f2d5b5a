/**
 * The notebook of the first slice in a real JupyterLab in a real Chromium.
 *
 *   node build/test/browser/first-slice.js [FOLDER FOR SCREENSHOTS]
 *
 * `SAVEPOINT_TEST_PYTHON` is a Python with JupyterLab (default `python3`), `SAVEPOINT_CHROMIUM` a Chromium (default:
 * Debian's), and `SAVEPOINT_TEST_KERNEL` the kernelspec (default `savepoint`; another one is run as an oracle, without
 * what only Savepoint can do). The last line is `N passed, N failed`.
 */

import { existsSync, mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { chromium, type Browser } from 'playwright-core'
import { startLab, type Lab } from './lab.js'
import { NotebookPage } from './notebook-page.js'
import { kill } from './processes.js'
import { assert, Report } from './report.js'

const ROOT = new URL('../../../', import.meta.url)
const SOURCES = new URL('test/browser/', ROOT)
const CHROMIUMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

async function main(): Promise<number> {
  const folder = process.argv[2] ?? fileURLToPath(new URL('build/screenshots', ROOT))
  mkdirSync(folder, { recursive: true })
  const report = new Report()
  let lab: Lab | null = null
  let browser: Browser | null = null
  try {
    const python = process.env['SAVEPOINT_TEST_PYTHON'] ?? 'python3'
    const [server, window] = await Promise.allSettled([startLab(python, SOURCES), openBrowser()])
    if (server.status === 'fulfilled') lab = server.value
    if (window.status === 'fulfilled') browser = window.value
    if (server.status === 'rejected') throw server.reason
    if (window.status === 'rejected') throw window.reason
    const page = await window.value.newPage({ viewport: { width: 1280, height: 1000 } })
    const faults: string[] = []
    page.on('pageerror', (error) => faults.push(error.message))
    await runNotebook(report, server.value, new NotebookPage(page, server.value.notebook, folder))
    await report.check('the page reports no errors of its own', async () => {
      assert(faults.length === 0, faults.join('\n'))
    })
  } catch (error) {
    await report.check('the browser and JupyterLab start', () => Promise.reject(error))
  } finally {
    await browser?.close()
    const left = (await lab?.stop()) ?? []
    await report.check('nothing is left running', async () => {
      assert(left.length === 0, `these processes outlived JupyterLab: ${left.join(' ')}`)
    })
  }
  return report.sumUp()
}

async function openBrowser(): Promise<Browser> {
  const executablePath = process.env['SAVEPOINT_CHROMIUM'] ?? CHROMIUMS.find((path) => existsSync(path))
  if (executablePath === undefined) {
    throw new Error(
      'There is no Chromium. Install it (on Debian: apt-get install chromium) or name one in SAVEPOINT_CHROMIUM.',
    )
  }
  return await chromium.launch({ executablePath, args: FLAGS, headless: true })
}

async function runNotebook(report: Report, lab: Lab, notebook: NotebookPage): Promise<void> {
  const ours = notebook.has('restore')
  const opened = await report.check('the notebook opens with an idle kernel', () => notebook.open(lab))
  if (!opened) {
    await notebook.picture('not-open')
    return
  }
  const ran = await report.check('all cells run, and the one that asks is answered', async () => {
    if (ours) await notebook.runAllAbove('restore')
    else await notebook.runAll()
    const question = notebook.cell('input').locator('.jp-Stdin-input')
    await question.waitFor()
    await notebook.picture('question', 'input')
    await question.fill('Ada')
    await question.press('Enter')
    await notebook.waitForText('state-after', 'degrees')
    if (ours) await notebook.waitForText('checkpoint', 'saved')
    await notebook.waitUntilIdle()
  })
  if (!ran) await notebook.picture('stuck')
  await firstLife(report, notebook, ours)
  await secondLife(report, lab, notebook, ours)
}

async function firstLife(report: Report, notebook: NotebookPage, ours: boolean): Promise<void> {
  await report.check('the plot is a picture', async () => {
    const image = notebook.output('plot').locator('img')
    await image.waitFor()
    const width = await image.evaluate((img: { naturalWidth: number }) => img.naturalWidth)
    assert(width > 100, `the picture is ${width} pixels wide`)
    await notebook.picture('plot', 'plot')
  })
  await report.check('the error has its traceback', async () => {
    await notebook.waitForText('error', 'ZeroDivisionError')
    await notebook.waitForText('error', 'return a / b')
    await notebook.picture('error', 'error')
  })
  await report.check('the answer arrived', () => notebook.waitForText('input', 'Hello, Ada!'))
  await report.check('the progress bar is full', async () => {
    await notebook.waitForText('progress', '100%')
    await notebook.waitForText('progress', 'The total is 780.')
    await notebook.picture('progress', 'progress')
  })
  await report.check('the slider moves, and the kernel knows', async () => {
    await notebook.waitForText('slider-value', 'The slider stands at 3.')
    const handle = notebook.output('slider').locator('.noUi-handle')
    await handle.focus()
    for (let step = 0; step < 4; step += 1) await handle.press('ArrowRight')
    await notebook.output('slider').locator('.widget-readout', { hasText: '7' }).waitFor()
    await notebook.run('slider-value')
    await notebook.waitForText('slider-value', 'The slider stands at 7.')
    await notebook.picture('slider', 'slider')
  })
  await report.check('the cell that awaits ran', () => notebook.waitForText('await', "['first', 'second']"))
  await report.check('the state is as it was before the failing cell', async () => {
    if (ours) {
      await notebook.waitForText('failing-transaction', 'Before the failure there are 4 readings.')
      await notebook.waitForText('failing-transaction', 'TypeError')
      await notebook.waitForText('failing-by-metadata', 'IndexError')
    }
    await notebook.waitForText('state-after', "[20.5, 21.0, 19.5] {'unit': 'degrees'}")
    await notebook.picture('state-after', 'state-after')
  })
}

async function secondLife(report: Report, lab: Lab, notebook: NotebookPage, ours: boolean): Promise<void> {
  await report.check('a killed kernel is noticed and started again', async () => {
    const processes = lab.kernelProcesses()
    assert(processes.length >= (ours ? 3 : 1), `there are only ${processes.length} processes`)
    const notice = notebook.page.locator('.jp-Dialog', { hasText: 'Kernel Restarting' })
    const greeting = notebook.greeting()
    kill(processes)
    await Promise.all([greeting, notice.waitFor()])
    await notebook.picture('died')
    await notice.getByRole('button', { name: 'Ok' }).click()
    await notebook.waitUntilIdle()
  })
  if (!ours) {
    await report.check('the new kernel runs cells', async () => {
      await notebook.run('state')
      await notebook.run('state-after')
      await notebook.picture('second-life', 'state-after')
    })
    return
  }
  await report.check('the new kernel restores the checkpoint', async () => {
    await notebook.run('restore')
    await notebook.waitForText('restore', /Restored/i)
  })
  await report.check('the values are there again', async () => {
    await notebook.run('restored')
    await notebook.waitForText('restored', "[20.5, 21.0, 19.5] {'unit': 'degrees'}")
    await notebook.waitForText('restored', 'The mean is 20.33, the total was 780.')
    await notebook.picture('restored', 'restored')
  })
}

process.exitCode = await main()
