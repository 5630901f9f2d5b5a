/** `savepoint doctor`: looks at everything that a kernel needs, and says what to do about what is missing. */
import { parseFlags } from './flags.js'
import { allChecks } from './checks.js'
import { showFinding, type Finding } from './health/finding.js'
import { EXIT } from './report.js'
import { readSettings } from '../settings.js'
import { readSettingsFile } from '../settings/file.js'

const FLAGS = { '--json': 'switch', '--python': 'value', '--data-dir': 'value' } as const

export async function runDoctor(args: readonly string[]): Promise<number> {
  const { given } = parseFlags(args, FLAGS)
  const flags = {
    ...(given['--python'] === undefined ? {} : { python: given['--python'] }),
    ...(given['--data-dir'] === undefined ? {} : { dataDir: given['--data-dir'] }),
  }
  const file = process.env['SAVEPOINT_CONFIG']
  const { values } = readSettings(process.env, {}, file ? readSettingsFile(file) : null)
  const checks: (Finding & { readonly ok: boolean })[] = []
  for await (const found of allChecks(flags, values['kernels.max'])) {
    const check = { ...found, ok: found.level !== 'problem' }
    checks.push(check)
    if (!given['--json']) process.stdout.write(showFinding(check))
  }
  const ok = checks.every((check) => check.ok)
  if (given['--json']) process.stdout.write(`${JSON.stringify({ ok, checks })}\n`)
  else process.stdout.write(`${verdictOn(checks)}\n`)
  return ok ? EXIT.done : EXIT.failed
}

function verdictOn(checks: readonly Finding[]): string {
  if (checks.some(({ level }) => level === 'problem')) return 'Something is to be done; see above.'
  return checks.some(({ level }) => level === 'warning') ? 'All works; see the warnings above.' : 'All well.'
}
