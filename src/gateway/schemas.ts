/**
 * Shapes of what comes in and goes out over HTTP: requests are validated by them, and the API's description is made of
 * them.
 *
 * Unknown keys pass; whoever names them does so in the route.
 */

import Type from 'typebox'

export const text = Type.String()
const maybeText = Type.Union([Type.String(), Type.Null()])

export const errorSchema = Type.Object(
  {
    code: Type.String({ description: 'Stable; for programs to branch on' }),
    message: Type.String({ description: 'What happened and what to do' }),
    reason: Type.String({ description: 'The phrase of the status' }),
    details: Type.Record(Type.String(), Type.Unknown()),
  },
  { title: 'Error' },
)

export const kernelIdParams = Type.Object({ id: Type.String({ description: 'Id of the kernel' }) })
export const sessionIdParams = Type.Object({ id: Type.String({ description: 'Id of the session' }) })
export const specNameParams = Type.Object({ name: Type.String({ description: 'Name of the kernelspec' }) })

export const kernelModelSchema = Type.Object(
  {
    id: Type.String(),
    name: Type.String({ description: 'Name of the kernelspec, as it was asked for' }),
    last_activity: Type.String({ description: 'ISO 8601, UTC, with fraction and Z' }),
    execution_state: Type.String({ enum: ['starting', 'idle', 'busy', 'restarting', 'dead'] }),
    connections: Type.Integer({ description: 'Clients that are connected' }),
    reason: Type.Optional(Type.String({ description: 'Why it is dead' })),
    savepoint: Type.Record(Type.String(), Type.Unknown(), { description: 'Phase, worker, transactions and more' }),
  },
  { title: 'Kernel' },
)

export const startedKernelSchema = Type.Object(
  {
    ...kernelModelSchema.properties,
    warnings: Type.Optional(Type.Array(Type.String(), { description: 'What was ignored of the request, if anything' })),
  },
  { title: 'Kernel' },
)

export const startKernelSchema = Type.Object({
  name: Type.Optional(Type.Union([text, Type.Null()], { description: 'Kernelspec; the default one if there is none' })),
  env: Type.Optional(
    Type.Record(text, text, { description: 'KERNEL_* and what the setting kernels.environment allows' }),
  ),
  path: Type.Optional(Type.Union([text, Type.Null()], { description: 'A file or folder that says where to work' })),
  kernel_id: Type.Optional(Type.Union([text, Type.Null()], { description: 'The id to give it' })),
  savepoint: Type.Optional(
    Type.Object({
      checkpoint: Type.Optional(
        Type.Union([text, Type.Null()], { description: 'Id or name of the checkpoint that it begins with' }),
      ),
      lease: Type.Optional(
        Type.Object({
          client: Type.String({
            minLength: 1,
            maxLength: 200,
            description: 'Changes nothing yet: a worker ends with its kernel',
          }),
        }),
      ),
    }),
  ),
})

export const sessionKernelSchema = Type.Object({ id: Type.Optional(maybeText), name: Type.Optional(maybeText) })
const notebookSchema = Type.Object({ path: Type.Optional(text), name: Type.Optional(text) })

export const sessionRequestSchema = Type.Object({
  path: Type.Optional(text),
  name: Type.Optional(maybeText),
  type: Type.Optional(text),
  kernel: Type.Optional(Type.Union([sessionKernelSchema, Type.Null()])),
  notebook: Type.Optional(notebookSchema),
})

export const sessionModelSchema = Type.Object(
  {
    id: Type.String(),
    path: Type.String(),
    name: Type.String(),
    type: Type.String(),
    kernel: kernelModelSchema,
    notebook: Type.Optional(notebookSchema),
  },
  { title: 'Session' },
)

export const kernelSpecSchema = Type.Object(
  {
    name: Type.String(),
    spec: Type.Object({
      argv: Type.Array(Type.String()),
      display_name: Type.String(),
      language: Type.String(),
      interrupt_mode: Type.Optional(Type.String()),
      env: Type.Optional(Type.Record(text, text)),
      metadata: Type.Optional(Type.Record(text, Type.Unknown())),
    }),
    resources: Type.Record(text, text, { description: 'Where its logos are' }),
  },
  { title: 'KernelSpec' },
)

export const kernelSpecsSchema = Type.Object({
  default: Type.String(),
  kernelspecs: Type.Record(Type.String(), kernelSpecSchema),
})

export const connectionSchema = Type.Object(
  {
    connection_file: Type.String({ description: 'Path on the gateway, mode 0600' }),
    connection_info: Type.Record(Type.String(), Type.Unknown(), { description: 'What is in the file' }),
  },
  { title: 'Connection' },
)
