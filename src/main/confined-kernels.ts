/** Which kernels of a gateway run in a sandbox, and what follows from that. */

import { resolve } from 'node:path'
import { jupyterRuntimeDir } from '../config.js'
import type { PoolSpec } from '../pool/options.js'
import type { ConfiguredSpec, SettingValues } from '../settings.js'
import { SavepointError } from '../errors.js'
import { runtimeRoot } from '../worker/runtime-dir.js'
import { deskIn } from './desk.js'
import { findBwrap, rootOfUser, sandboxArguments, type SandboxRules } from './sandbox.js'

/** How a zygote of that Python is started; undefined: in no sandbox. */
export type Confine = (
  python: Pick<PoolSpec, 'python' | 'stack'>,
  own?: boolean | null,
) => Exclude<PoolSpec['sandbox'], undefined> | undefined

/** Where kernels of that user work. */
export function rootOf(values: SettingValues, tenant: string): string {
  return rootOfUser(resolve(values['kernels.root'] ?? '.'), tenant)
}

/** Throws USAGE if some kernels are to run in a sandbox, and it cannot be had, or would keep nothing apart. */
export function confinement(
  values: SettingValues,
  kernelspecs: Readonly<Record<string, ConfiguredSpec>>,
  dataDir: string,
): Confine {
  const isWanted = values['sandbox.enabled'] || Object.values(kernelspecs).some(({ sandbox }) => sandbox === true)
  if (!isWanted) return () => undefined
  const root = resolve(values['kernels.root'] ?? '.')
  if (root === '/') {
    throw new SavepointError('USAGE', 'Kernels in a sandbox need a working folder of their own: set kernels.root.')
  }
  const rules: SandboxRules = {
    bwrap: findBwrap(),
    network: values['sandbox.network'],
    readable: values['sandbox.readable'].map((path) => resolve(path)),
    writable: values['sandbox.writable'].map((path) => resolve(path)),
    rootOf: (tenant) => rootOf(values, tenant),
    deskOf: (tenant) => deskIn(dataDir, tenant),
    hidden: [dataDir, runtimeRoot(), jupyterRuntimeDir(process.env)],
  }
  return (python, own) =>
    (own ?? values['sandbox.enabled']) ? (tenant, folder) => sandboxArguments(rules, python, tenant, folder) : undefined
}
