/**
 * What was found out about a Python, kept for the next start: a kernel has a few milliseconds to begin its Python, and
 * asking an interpreter what it is takes many.
 *
 * Kernels may be started with several environments in turn, in which one interpreter imports from other places: the
 * latest answers are kept, each with its own. Each answer names the files that it depends on, with their dates. When one of them changed (an upgrade, a package
 * installed or removed) the answer is not used, and everything is asked anew.
 */
import { createHash } from 'node:crypto'
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Environment, Settings } from '../config.js'
import { places } from '../config.js'
import { makeFolder } from '../folders.js'

/** How a zygote is to be started. */
export interface WorkerPython {
  /** Absolute path of the interpreter, not resolved through symbolic links. */
  readonly python: string
  /** Folder with the worker's own packages, to be imported from first and then moved to the end; null: not needed. */
  readonly stack: string | null
}

/** Answers that are kept of one interpreter. */
const ANSWERS_MAX = 8

interface KnownAnswers {
  readonly version: 2
  readonly asked: string | null
  /** The newest first, each of another `bent`. */
  readonly answers: readonly KnownAnswer[]
}

interface KnownAnswer extends WorkerPython {
  readonly lock: string
  /** Modification time in ms of each file or folder, null for one that was not there. */
  readonly stamps: Readonly<Record<string, number | null>>
  readonly bent: string
}

/** The answer of an earlier start, if it still holds; else null. Some file stats; runs nothing. */
export function recallWorkerPython(settings: Settings, env: Environment = process.env): WorkerPython | null {
  try {
    const bent = bending(settings, env)
    const known = readAnswers(settings).find((answer) => answer.bent === bent)
    const holds =
      known !== undefined &&
      known.lock === lockDigest() &&
      Object.entries(known.stamps).every(([path, stamp]) => stampOf(path) === stamp)
    return holds ? { python: known.python, stack: known.stack } : null
  } catch {
    return null
  }
}

/** Keeps an answer that depends on these files. A data folder that cannot be written costs speed, nothing else. */
export function rememberWorkerPython(
  settings: Settings,
  answer: WorkerPython,
  files: readonly string[],
  env: Environment = process.env,
): void {
  const known: KnownAnswer = {
    ...answer,
    lock: lockDigest(),
    stamps: Object.fromEntries(files.map((path) => [path, stampOf(path)])),
    bent: bending(settings, env),
  }
  const path = knownPath(settings)
  try {
    // What another process adds in this moment is found out again.
    const others = readAnswers(settings).filter((other) => other.bent !== known.bent)
    const content: KnownAnswers = {
      version: 2,
      asked: settings.python,
      answers: [known, ...others].slice(0, ANSWERS_MAX),
    }
    makeFolder(dirname(path), 0o700)
    const draft = `${path}.${process.pid}`
    writeFileSync(draft, JSON.stringify(content, null, 1), { mode: 0o600 })
    renameSync(draft, path)
  } catch {
    // Found out again at the next start.
  }
}

/** What is there for this interpreter; nothing when the file is missing, damaged or another version's. */
function readAnswers(settings: Settings): readonly KnownAnswer[] {
  try {
    const file = JSON.parse(readFileSync(knownPath(settings), 'utf8')) as KnownAnswers
    return file.version === 2 && file.asked === settings.python ? file.answers : []
  } catch {
    return []
  }
}

function knownPath(settings: Settings): string {
  // A bare or relative name means something else in another folder or with another PATH, so these are part of the name.
  const asked = settings.python
  const context = asked === null || asked.startsWith('/') ? '' : `${process.cwd()}\0${process.env['PATH'] ?? ''}`
  const name = asked === null ? 'default' : digest(`${asked}\0${context}`)
  return join(settings.dataDir, 'py', 'known', `${name}.json`)
}

function lockDigest(): string {
  return digest(readFileSync(places.requirementsLock, 'utf8'))
}

/** The variables that change what the user's interpreter can import; the private one has all it needs. */
function bending(settings: Settings, env: Environment): string {
  if (settings.python === null) return ''
  const names = ['PYTHONPATH', 'PYTHONHOME', 'PYTHONNOUSERSITE', 'PYTHONUSERBASE', 'HOME']
  return names.map((name) => env[name] ?? '').join('\0')
}

function stampOf(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? null
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}
