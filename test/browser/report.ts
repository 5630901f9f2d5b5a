/** Checks one after another, each told in a line; the last line counts them. */

export class Report {
  private passed = 0
  private failed = 0
  private readonly seconds: { name: string; seconds: number }[] = []

  /** Runs a check; one that throws has failed, and the next ones run all the same. */
  async check(name: string, run: () => Promise<void>): Promise<boolean> {
    const begun = performance.now()
    try {
      await run()
      this.passed += 1
      process.stdout.write(`ok    ${name}\n`)
      return true
    } catch (error) {
      this.failed += 1
      process.stdout.write(`FAIL  ${name}\n${indent(error instanceof Error ? error.message : String(error))}\n`)
      return false
    } finally {
      this.seconds.push({ name, seconds: (performance.now() - begun) / 1000 })
    }
  }

  /** Prints the slowest and `N passed, N failed`. Returns the exit code. */
  sumUp(): number {
    const slowest = this.seconds.toSorted((a, b) => b.seconds - a.seconds).slice(0, 5)
    process.stdout.write(
      `slowest: ${slowest.map(({ name, seconds }) => `${name} ${seconds.toFixed(1)} s`).join(', ')}\n`,
    )
    process.stdout.write(`${this.passed} passed, ${this.failed} failed\n`)
    return this.failed > 0 || this.passed === 0 ? 1 : 0
  }
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message)
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '      ')
}
