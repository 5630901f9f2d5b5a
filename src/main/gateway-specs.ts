/** The kernelspecs of a gateway: the built-in one under its three names. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { places } from '../config.js'
import type { OfferedSpec } from '../gateway/kernelspecs.js'

/** One kernelspec; clients may ask for it by any of these names. */
export const BUILT_IN_NAMES: readonly string[] = ['python3', 'python', 'savepoint']

export function builtInSpecs(): OfferedSpec[] {
  const template = JSON.parse(readFileSync(join(places.kernelspec, 'kernel.json'), 'utf8')) as OfferedSpec['spec']
  // Clients want one; nobody runs it.
  const spec = { ...template, argv: ['savepoint', 'kernel', '-f', '{connection_file}'] }
  return BUILT_IN_NAMES.map((name) => ({ name, spec, folder: places.kernelspec }))
}
