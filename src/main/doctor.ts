/** `savepoint doctor`: looks at everything that a kernel needs, and says what to do about what is missing. */
import { parseFlags } from './flags.js'
import type { Check } from './checks.js'
import { allChecks } from './checks.js'
import { EXIT } from './report.js'

const FLAGS = { '--json': 'switch', '--python': 'value', '--data-dir': 'value' } as const

export async function runDoctor(args: readonly string[]): Promise<number> {
  const { given } = parseFlags(args, FLAGS)
  const flags = {
    ...(given['--python'] === undefined ? {} : { python: given['--python'] }),
    ...(given['--data-dir'] === undefined ? {} : { dataDir: given['--data-dir'] }),
  }
  const checks: Check[] = []
  for await (const check of allChecks(flags)) {
    checks.push(check)
    if (!given['--json']) process.stdout.write(showCheck(check))
  }
  const ok = checks.every((check) => check.ok)
  if (given['--json']) process.stdout.write(`${JSON.stringify({ ok, checks })}\n`)
  else process.stdout.write(ok ? 'All well.\n' : 'Something is to be done; see above.\n')
  return ok ? EXIT.done : EXIT.failed
}

/** One line, and the remedy below it when there is something to do. */
export function showCheck({ name, ok, detail, remedy }: Check): string {
  const line = `${ok ? 'ok  ' : 'FAIL'}  ${name}: ${detail}\n`
  return remedy === null ? line : `${line}      ${remedy.replaceAll('\n', '\n      ')}\n`
}
