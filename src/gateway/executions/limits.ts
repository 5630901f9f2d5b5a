/** What running code by REST may hold, and how long it waits. Those that are settings have the setting's name beside them. */

export const executionLimits = Object.freeze({
  /** `executions.kept_max`: executions of one kernel that have ended and can still be read. */
  keptMax: 100,
  /** `executions.kept_bytes_max`: what all that have ended hold, of all kernels. */
  keptBytesMax: 268_435_456,
  /** `executions.output_bytes_max`: outputs of one execution. */
  outputBytesMax: 16_777_216,
  /** Executions of one kernel that have not ended. */
  waitingMax: 1_000,
  /** How often executions of kernels that are gone are forgotten. */
  sweepMs: 60_000,
  /** What is kept of one execution's events for a client that comes back. */
  feedBytesMax: 1_048_576,
  /** How long an answer waits for the end of an execution when the request does not say, and at most. */
  waitS: 30,
  waitSMax: 86_400,
  /** An event stream says so often that it is alive; a client that does not read so many bytes of it is cut off. */
  heartbeatMs: 15_000,
  unreadBytesMax: 8_388_608,
  /** `execute.timeout_s`: of a cell by `POST /api/execute` that names no deadline. */
  executeTimeoutS: 300,
  /** How long after a cell's deadline it is waited for: an interrupt may be ignored. */
  executeGraceMs: 15_000,
  /** `execute.idle_s`, `execute.sessions_max`: kernels that are kept for those who name a session. */
  sessionIdleS: 600,
  sessionsMax: 100,
  /** Keys for asking twice whose kernels are gone again. */
  answersKeptMax: 1_000,
})
export type ExecutionLimits = { readonly [K in keyof typeof executionLimits]: number }
