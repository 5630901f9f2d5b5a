/** An execution as clients read it. */

import type { Execution } from './execution.js'
import { resultOf, textOf } from './outputs.js'

/** Without what may be long: for lists, and for the first look at one that goes on. */
export function summaryOf(execution: Execution, position: number): Record<string, unknown> {
  const { request, outputs, question, savepoint } = execution
  return {
    id: execution.id,
    kernel_id: execution.kernelId,
    created_at: execution.createdAt.toISOString(),
    status: execution.status,
    position,
    execution_count: execution.executionCount,
    error: execution.failure,
    input: question && { prompt: question.prompt, password: question.password },
    execution_time: typeof savepoint?.['execution_time'] === 'number' ? savepoint['execution_time'] : null,
    savepoint,
    warnings: [
      ...request.warnings,
      ...(outputs.bytesCut > 0
        ? [`${outputs.bytesCut} bytes of output were left out: an execution keeps no more than its limit.`]
        : []),
    ],
  }
}

/** `position`: how many executions of its kernel are before it. */
export function modelOf(execution: Execution, position: number): Record<string, unknown> {
  const { outputs } = execution
  return {
    ...summaryOf(execution, position),
    outputs: outputs.list,
    stdout: textOf(outputs, 'stdout'),
    stderr: textOf(outputs, 'stderr'),
    result: resultOf(outputs),
  }
}
