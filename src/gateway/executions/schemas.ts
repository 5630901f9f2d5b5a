/** Shapes of requests and answers about running code: they check what comes, and make the reference. */

import Type from 'typebox'

const orNull = (type: string) => Type.Unsafe<unknown>({ type: [type, 'null'] })
const NAMED = Type.Object({
  name: Type.Optional(Type.Union([Type.String(), Type.Null()])),
})

const runFields = {
  code: Type.String({ description: 'What is to be run' }),
  idempotency_key: Type.Optional(
    Type.String({ minLength: 1, maxLength: 200, description: 'Asked again with the same key, the code is run once' }),
  ),
  timeout_s: Type.Optional(
    Type.Number({ exclusiveMinimum: 0, description: 'After so many seconds it is interrupted' }),
  ),
  transaction: Type.Optional(
    Type.Union([Type.String(), Type.Object({ policy: Type.Optional(Type.String()) })], {
      description: 'A policy, or an object with `policy`, `name` and `engine`',
    }),
  ),
  checkpoint: Type.Optional(
    Type.Union([Type.String(), NAMED], { description: 'A checkpoint to be made once it has succeeded: its name' }),
  ),
  stream_mode: Type.Optional(Type.String({ description: '`realtime` or `buffered`' })),
  store_history: Type.Optional(Type.Boolean({ default: true })),
  allow_stdin: Type.Optional(
    Type.Boolean({ description: 'Whether `input()` may ask; answers go to the route `input`' }),
  ),
}

export const runBody = Type.Object(runFields)

export const executeBody = Type.Object({
  ...runFields,
  kernel_name: Type.Optional(Type.String({ description: 'Name of a kernelspec' })),
  session: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'Who names the same one again finds the variables of the last time, unless too long ago',
    }),
  ),
})

export const inputBody = Type.Object({ value: Type.String() })

export const waitQuery = Type.Object({
  // Values of a query are text.
  wait_s: Type.Optional(Type.String({ description: 'How many seconds the answer waits for the end' })),
})

const kernelId = Type.String({ description: 'Id of the kernel' })
export const kernelParams = Type.Object({ id: kernelId })
export const executionParams = Type.Object({ id: kernelId, eid: Type.String({ description: 'Id of the execution' }) })

const summaryFields = {
  id: Type.String(),
  kernel_id: Type.String(),
  created_at: Type.String({ format: 'date-time' }),
  status: Type.Enum(['queued', 'running', 'ok', 'error', 'aborted', 'cancelled']),
  position: Type.Integer({ description: 'How many executions of this kernel are before it' }),
  execution_count: orNull('integer'),
  error: Type.Unsafe<unknown>({
    type: ['object', 'null'],
    properties: {
      ename: { type: 'string' },
      evalue: { type: 'string' },
      traceback: { type: 'array', items: { type: 'string' } },
    },
  }),
  input: Type.Unsafe<unknown>({
    type: ['object', 'null'],
    description: 'The question that waits for an answer',
    properties: { prompt: { type: 'string' }, password: { type: 'boolean' } },
  }),
  execution_time: Type.Unsafe<unknown>({ type: ['number', 'null'], description: 'Seconds' }),
  savepoint: Type.Unsafe<unknown>({
    type: ['object', 'null'],
    additionalProperties: true,
    description: 'What the reply of a cell tells beyond the Jupyter protocol',
  }),
  warnings: Type.Array(Type.String()),
}

export const outputList = Type.Array(Type.Unknown(), { description: 'As in a notebook (nbformat 4)' })

export const executionModel = Type.Object({
  ...summaryFields,
  outputs: outputList,
  stdout: Type.String(),
  stderr: Type.String(),
  result: Type.Unsafe<unknown>({
    type: ['object', 'null'],
    additionalProperties: true,
    description: 'The value of the last expression, by MIME type',
  }),
})

export const executionList = Type.Object({
  items: Type.Array(Type.Object(summaryFields)),
  total_count: Type.Integer(),
})
