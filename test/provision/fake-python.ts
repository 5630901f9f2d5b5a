/** Programs that behave like a Python as far as provisioning looks, in a folder of their own. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Interpreter } from '../../src/provision/interpreter.js'

export interface Workbench {
  readonly folder: string
  /** Writes an executable shell script and returns its path. */
  script(path: string, body: string): string
  remove(): void
}

export function workbench(): Workbench {
  const folder = mkdtempSync(join(tmpdir(), 'savepoint-provision-'))
  return {
    folder,
    script(path, body) {
      const full = join(folder, path)
      mkdirSync(dirname(full), { recursive: true })
      writeFileSync(full, `#!/bin/sh\n${body}\n`)
      chmodSync(full, 0o755)
      return full
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** A script that answers the probe. */
export function answering(version: readonly number[], changes: Record<string, unknown> = {}): string {
  const answer = {
    version,
    implementation: 'cpython',
    prefix: '/',
    search_path: [],
    venv: true,
    pip: true,
    packages: {},
  }
  return `echo '${JSON.stringify({ ...answer, ...changes })}'`
}

/**
 * A script that makes "environments", each with a copy of itself, and "installs" as the file `mood` beside the log says:
 * absent for success, else the text is the complaint. Every call is a line of the log.
 */
export function pretending(log: string): string {
  return `
echo "$*" >> '${log}'
while [ "$1" = -I ]; do shift; done
case "$1 $2" in
  '-m venv') mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  '-m pip') if [ -e '${log}.mood' ]; then cat '${log}.mood'; exit 1; fi
    target=; for word; do [ "$last" = --target ] && target=$word; last=$word; done
    [ -z "$target" ] || mkdir -p "$target" ;;
esac`
}

export function interpreterAt(path: string, changes: Partial<Interpreter> = {}): Interpreter {
  return {
    path,
    version: [3, 11, 7],
    implementation: 'cpython',
    prefix: '/',
    searchPath: [],
    hasVenv: true,
    hasPip: true,
    packages: { ipykernel: null, ipython: null, cloudpickle: null },
    ...changes,
  }
}
