#!/usr/bin/env node
/**
 * The command line. A kernel's start is measured in milliseconds, so `kernel` goes its way before anything else is
 * imported.
 */
const [command, ...args] = process.argv.slice(2)

async function run(): Promise<number> {
  if (command === 'kernel' && !args.includes('--help')) {
    const { runKernel } = await import('./main/kernel.js')
    return await runKernel(args)
  }
  const { runCommandLine } = await import('./main/commands.js')
  return await runCommandLine(command, args)
}

try {
  process.exitCode = await run()
} catch (error) {
  const { reportFailure } = await import('./main/report.js')
  process.exitCode = reportFailure(error)
}
