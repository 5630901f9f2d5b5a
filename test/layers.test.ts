/**
 * Who may import whom, and what the pure layers keep away from. The table is the architecture: a new entry is a
 * decision, not a repair.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { packageRoot } from '../src/config.js'

const SRC = join(packageRoot, 'src')

/** Importable by all; they import nothing of ours. */
const TOP = ['errors', 'config', 'folders', 'clock', 'log', 'observe']

const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  settings: [],
  wire: [],
  link: [],
  kernel: ['wire', 'link'],
  worker: ['link'],
  pool: ['worker', 'link'],
  sockets: ['wire'],
  store: [],
  host: ['kernel', 'wire', 'link'],
  provision: [],
  gateway: ['settings', 'host', 'wire'],
  main: [
    'settings',
    'wire',
    'link',
    'kernel',
    'worker',
    'pool',
    'sockets',
    'store',
    'host',
    'gateway',
    'provision',
    'main',
  ],
}

const PURE = ['wire', 'link', 'kernel']
/** What would make a pure layer depend on when and where it runs. */
const IMPURE =
  /\bawait\b|\bPromise\b|\basync\b|\bset(Timeout|Interval|Immediate)\b|\bDate\.now\b|\bnew Date\(\)|\bperformance\b|\bprocess\.|\bMath\.random\b/

/** No file of ours has more lines. */
const LINES_MAX = 420

interface Source {
  /** Relative to src. */
  readonly path: string
  readonly layer: string
  readonly code: string
  readonly imports: readonly string[]
}

const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map(read)

function read(path: string): Source {
  const text = readFileSync(join(SRC, path), 'utf8')
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1')
  const imports = [...code.matchAll(/(?:\bfrom\s+|\bimport\s+|\bimport\s*\(\s*)'([^']+)'/g)].map(
    ([, name]) => name ?? '',
  )
  return { path, layer: layerOf(path), code, imports }
}

function layerOf(path: string): string {
  const [first = ''] = path.split('/')
  return first.replace(/\.ts$/, '')
}

function layersImportedBy({ path, imports }: Source): string[] {
  const ours = imports.filter((name) => name.startsWith('.'))
  return ours.map((name) => layerOf(normalize(relative(SRC, join(SRC, dirname(path), name))).replace(/\.js$/, '.ts')))
}

describe('the layers', () => {
  test('import only what stands in the table', () => {
    const wrong = sources.flatMap((source) => {
      const { path, layer } = source
      const allowed = TOP.includes(layer) ? [] : [layer, ...TOP, ...(MAY_IMPORT[layer] ?? [])]
      return layersImportedBy(source)
        .filter((imported) => !allowed.includes(imported))
        .map((imported) => `${path} imports ${imported}`)
    })
    expect(wrong).toEqual([])
  })

  test('are all in the table', () => {
    const layers = new Set(sources.map(({ layer }) => layer))
    expect([...layers].filter((layer) => !TOP.includes(layer) && MAY_IMPORT[layer] === undefined)).toEqual([])
  })

  test('that are pure open nothing, wait for nothing and know no time', () => {
    const wrong = sources
      .filter(({ layer }) => PURE.includes(layer))
      .flatMap(({ path, imports, code }) => {
        const foreign = imports.filter((name) => !name.startsWith('.') && name !== 'node:crypto')
        const impure = IMPURE.exec(code)
        return [...foreign, ...(impure ? [impure[0]] : [])].map((what) => `${path}: ${what}`)
      })
    expect(wrong).toEqual([])
  })

  test('have small files, in TypeScript and in Python', () => {
    const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((path) => /\.(ts|py)$/.test(path))
    const lines = (path: string): number => readFileSync(join(SRC, path), 'utf8').split('\n').length - 1
    expect(files.filter((path) => lines(path) > LINES_MAX)).toEqual([])
  })

  test('use no enum, namespace, default export or any', () => {
    const forbidden = /^\s*(export )?(const )?enum |^\s*(export )?namespace |^export default |: any\b|<any>|\bas any\b/m
    expect(sources.filter(({ code }) => forbidden.test(code)).map(({ path }) => path)).toEqual([])
  })
})

describe('the rules', () => {
  test('notice what they forbid', () => {
    const planted = read('main.ts')
    expect(layersImportedBy({ ...planted, path: 'wire/bad.ts', imports: ['../worker/door.js'] })).toEqual(['worker'])
    expect(IMPURE.test('const x = await y')).toBe(true)
    expect(IMPURE.test('// a clock')).toBe(false)
  })
})
