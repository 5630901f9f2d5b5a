/**
 * The kernelspecs of a gateway: the built-in one under its three names, those of the configuration file, and those on
 * Jupyter's path that run this program. A found one never replaces a built-in name, nor one of the file.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { places, userDataRoot, type Environment } from '../config.js'
import type { OfferedSpec } from '../gateway/kernelspecs.js'
import type { SpecFacts } from '../host/kernels/kernels.js'
import type { PoolSpec } from '../pool/options.js'
import type { WorkerPython } from '../provision/known.js'
import type { ConfiguredSpec } from '../settings.js'
import type { ResourceLimits, SpecLimits } from '../settings/limits.js'
import type { Confine } from './confined-kernels.js'
import { inheritedEnvironment } from './inherited-environment.js'
import { readTemplate } from './kernelspec.js'
import { zygoteEnvironment } from './zygote-environment.js'

export interface GatewaySpec {
  readonly offered: OfferedSpec
  readonly facts: SpecFacts
  readonly pool: PoolSpec
  readonly limits: ResourceLimits
}

/** In the order in which clients list them; the first is the default. */
export type GatewaySpecs = ReadonlyMap<string, GatewaySpec>

export const BUILT_IN_NAMES: readonly string[] = ['python3', 'python', 'savepoint']

export interface SpecSources {
  /** Python of the built-in one, and of all that name no other. */
  readonly python: WorkerPython
  readonly preload: readonly string[]
  readonly configured: Readonly<Record<string, ConfiguredSpec & { readonly worker: WorkerPython }>>
  readonly env: Environment
  /** The limits of a kernelspec that has some of its own. */
  readonly limits: (own?: SpecLimits) => ResourceLimits
  readonly confine: Confine
  /** Variables of ours that kernels get; empty: all but secrets. */
  readonly inherited: readonly string[]
}

export function gatewaySpecs(sources: SpecSources): GatewaySpecs {
  const { python, preload, configured, limits, confine } = sources
  const env = inheritedEnvironment(sources.env, sources.inherited)
  const specs = new Map<string, GatewaySpec>()
  const [first = ''] = BUILT_IN_NAMES
  for (const name of BUILT_IN_NAMES) {
    specs.set(
      name,
      specOf(
        name,
        first,
        {},
        { ...python, preload, environment: {}, ...sandboxed(confine(python)) },
        places.kernelspec,
        env,
        limits(),
      ),
    )
  }
  for (const [name, spec] of Object.entries(configured)) {
    const kernel = {
      display_name: spec.display_name ?? name,
      ...(Object.keys(spec.env).length > 0 ? { env: spec.env } : {}),
    }
    const pool = {
      ...spec.worker,
      preload: spec.preload,
      environment: spec.env,
      ...sandboxed(confine(spec.worker, spec.sandbox)),
    }
    specs.set(name, specOf(name, name, kernel, pool, places.kernelspec, env, limits(spec.limits)))
  }
  for (const found of installedSpecs(sources.env)) {
    const { name, kernel, folder } = found
    if (specs.has(name)) continue
    const worker = found.worker ?? python
    const pool = { ...worker, preload, environment: kernel.env ?? {}, ...sandboxed(confine(worker)) }
    specs.set(name, specOf(name, name, kernel, pool, folder, env, limits()))
  }
  return specs
}

function specOf(
  name: string,
  canonical: string,
  kernel: Partial<InstalledKernel>,
  pool: PoolSpec,
  folder: string,
  env: Environment,
  limits: ResourceLimits,
): GatewaySpec {
  const { cull_idle_timeout: culled } = kernel.metadata ?? {}
  return {
    // Clients want an argv; nobody runs it.
    offered: {
      name,
      folder,
      isAlias: name !== canonical,
      spec: {
        ...readTemplate(),
        language: 'python',
        ...kernel,
        argv: ['savepoint', 'kernel', '-f', '{connection_file}'],
      },
    },
    facts: {
      name: canonical,
      cullIdleTimeoutS: typeof culled === 'number' ? culled : null,
      limits: { cellS: limits.cellS },
    },
    limits,
    pool: { ...pool, environment: { ...zygoteEnvironment(env), ...pool.environment } },
  }
}

function sandboxed(sandbox: ReturnType<Confine>): Pick<PoolSpec, 'sandbox'> {
  return sandbox === undefined ? {} : { sandbox }
}

interface InstalledKernel {
  readonly argv: readonly string[]
  readonly display_name: string
  readonly env?: Readonly<Record<string, string>>
  readonly metadata?: Readonly<Record<string, unknown>>
}

interface InstalledSpec {
  readonly name: string
  readonly folder: string
  readonly kernel: InstalledKernel
  /** null: it runs in the default Python. */
  readonly worker: WorkerPython | null
}

/** Those on Jupyter's path whose `argv` runs this program; of one name the first. */
export function installedSpecs(env: Environment): InstalledSpec[] {
  return jupyterPath(env).flatMap((folder) => {
    const kernels = join(folder, 'kernels')
    return namesIn(kernels).flatMap((name) => installedSpec(join(kernels, name)) ?? [])
  })
}

/** Data folders in the order in which Jupyter looks, as far as they do not depend on Jupyter's own Python. */
function jupyterPath(env: Environment): string[] {
  const user = env['JUPYTER_DATA_DIR'] || join(userDataRoot(env), 'jupyter')
  const active = env['VIRTUAL_ENV'] || env['CONDA_PREFIX']
  return [
    ...(env['JUPYTER_PATH'] ?? '').split(':').filter((folder) => folder !== ''),
    user,
    ...(active ? [join(active, 'share', 'jupyter')] : []),
    '/usr/local/share/jupyter',
    '/usr/share/jupyter',
  ]
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /^[\w.-]+$/.test(name))
  } catch {
    return []
  }
}

function installedSpec(folder: string): InstalledSpec | null {
  try {
    const kernel = JSON.parse(readFileSync(join(folder, 'kernel.json'), 'utf8')) as InstalledKernel
    if (!Array.isArray(kernel.argv) || !kernel.argv.includes(places.program)) return null
    return { name: basename(folder).toLowerCase(), folder, kernel, worker: workerOf(kernel.argv) }
  } catch {
    return null
  }
}

/** What `savepoint install` found out about its Python stands in front of the program. */
function workerOf(argv: readonly string[]): WorkerPython | null {
  const at = argv.indexOf(places.launcher)
  const [python, stack] = at < 0 ? [] : argv.slice(at + 1, at + 3)
  return python === undefined || stack === undefined ? null : { python, stack: stack === '-' ? null : stack }
}
