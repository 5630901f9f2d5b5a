/**
 * The frame of every test in the browser: a real JupyterLab in a real Chromium.
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

/** What a test does once JupyterLab and a window of the browser are there. */
export type Tour = (report: Report, lab: Lab, notebook: NotebookPage) => Promise<void>

/** Starts both, lets `tour` do its checks, ends both, and prints the result. Returns the exit code. */
export async function inLab(tour: Tour): Promise<number> {
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
    await tour(report, server.value, new NotebookPage(page, folder))
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
