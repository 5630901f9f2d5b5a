/**
 * The frame of every test in the browser: a real JupyterLab in a real Chromium.
 *
 * `SAVEPOINT_TEST_PYTHON` is a Python with JupyterLab (default `python3`), `SAVEPOINT_CHROMIUM` a Chromium (default:
 * Debian's), and `SAVEPOINT_TEST_KERNEL` the kernelspec (default `savepoint`; another one is run as an oracle, without
 * what only Savepoint can do). The last line is `N passed, N failed`.
 */

import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
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
export type Tour<L extends Lab = Lab> = (report: Report, lab: L, notebook: NotebookPage) => Promise<void>

/** Starts JupyterLab and the browser, lets `tour` do its checks, ends both, and prints the result. Returns the exit code. */
export async function inLab(tour: Tour): Promise<number> {
  return await inLabOf(startLab, tour)
}

/** The same with a JupyterLab that is started in another way; screenshots go into the folder `pictures`. */
export async function inLabOf<L extends Lab>(
  start: (python: string, sources: URL) => Promise<L>,
  tour: Tour<L>,
  pictures = '.',
): Promise<number> {
  const folder = join(process.argv[2] ?? fileURLToPath(new URL('build/screenshots', ROOT)), pictures)
  mkdirSync(folder, { recursive: true })
  const report = new Report()
  let lab: L | null = null
  let browser: Browser | null = null
  try {
    const python = process.env['SAVEPOINT_TEST_PYTHON'] ?? 'python3'
    const [server, window] = await Promise.allSettled([start(python, SOURCES), openBrowser()])
    if (server.status === 'fulfilled') lab = server.value
    if (window.status === 'fulfilled') browser = window.value
    if (server.status === 'rejected') throw server.reason
    if (window.status === 'rejected') throw window.reason
    const context = await window.value.newContext({ viewport: { width: 1280, height: 1000 } })
    const page = await context.newPage()
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
      assert(left.length === 0, `these processes outlived JupyterLab: ${left.join(', ')}`)
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
