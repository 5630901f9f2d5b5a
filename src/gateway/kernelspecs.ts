/**
 * Kernelspecs that the gateway offers, with their logos.
 *
 * Files are looked up in a table made of each folder's entries, so that no path of a request ever reaches the disk.
 */

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { extname, join } from 'node:path'

export interface OfferedSpec {
  readonly name: string
  /** As in a `kernel.json`. */
  readonly spec: {
    readonly argv: readonly string[]
    readonly display_name: string
    readonly language: string
    readonly [key: string]: unknown
  }
  /** Folder with its logos. */
  readonly folder: string
  /** Another name of one that is listed: there for whoever asks for it, and no second entry in launchers and pickers. */
  readonly isAlias?: boolean
}

export interface KernelSpecModel {
  readonly name: string
  readonly spec: OfferedSpec['spec']
  readonly resources: Readonly<Record<string, string>>
}

interface SpecFile {
  readonly type: string
  readonly bytes: Buffer
}

const TYPES: Readonly<Record<string, string>> = {
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.jpg': 'image/jpeg',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
}
const FILE_BYTES_MAX = 1_048_576

export class KernelSpecs {
  readonly defaultName: string
  readonly #models: ReadonlyMap<string, KernelSpecModel>
  readonly #listed: Readonly<Record<string, KernelSpecModel>>
  readonly #files: ReadonlyMap<string, SpecFile>

  /** `offered` is in the order in which clients list them; the first is the default. */
  constructor(offered: readonly OfferedSpec[], baseUrl: string) {
    this.defaultName = offered[0]?.name ?? ''
    const files = new Map<string, SpecFile>()
    const models = offered.map(({ name, spec, folder }): [string, KernelSpecModel] => {
      const resources: Record<string, string> = {}
      for (const file of resourcesIn(folder)) {
        files.set(`${name}/${file}`, { type: TYPES[extname(file)] ?? '', bytes: readFileSync(join(folder, file)) })
        const title = file.startsWith('logo-') ? file.slice(0, -extname(file).length) : file
        resources[title] = `${baseUrl}kernelspecs/${encodeURIComponent(name)}/${file}`
      }
      return [name, { name, spec, resources }]
    })
    this.#models = new Map(models)
    const aliases = new Set(offered.filter(({ isAlias }) => isAlias).map(({ name }) => name))
    this.#listed = Object.fromEntries(models.filter(([name]) => !aliases.has(name)))
    this.#files = files
  }

  /** Without aliases. */
  all(): Readonly<Record<string, KernelSpecModel>> {
    return this.#listed
  }

  get(name: string): KernelSpecModel | null {
    return this.#models.get(name) ?? null
  }

  file(name: string, file: string): SpecFile | null {
    return this.#files.get(`${name}/${file}`) ?? null
  }
}

/** Logos, and what changes a notebook's page. */
function resourcesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((file) => {
      if (!/^logo-[\w.-]+$/.test(file) && file !== 'kernel.js' && file !== 'kernel.css') return false
      const facts = statSync(join(folder, file))
      return TYPES[extname(file)] !== undefined && facts.isFile() && facts.size <= FILE_BYTES_MAX
    })
  } catch {
    // Without a folder there are no logos.
    return []
  }
}
