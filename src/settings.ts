/**
 * What a user may set. One table holds it all: the configuration file, the environment, the flags of `serve`, its
 * `--help` and docs/configuration.md are read by it or made of it.
 *
 * The setting `a.b_c` is the variable `SAVEPOINT_A_B_C`, and `b_c` below `a` in the file. A flag counts before the
 * environment, that before the file, and that before what stands here. Values are read once, at the start, and frozen;
 * whoever needs one gets it from `main`. A kernel's start is short: nothing here needs a library.
 */

import { config, type Environment } from './config.js'
import { SavepointError } from './errors.js'
import { counts, integer, type Kind, list, oneOf, onOff, optional, text, words } from './settings/kinds.js'

export interface Setting<T> extends Kind<T> {
  /** What it sets, as the reference says it. */
  readonly about: string
  /** Flag of `serve`, and what stands for its value in the help; `flag` alone is a switch. */
  readonly flag?: string
  readonly placeholder?: string
  /** Never shown. */
  readonly secret?: boolean
}

const secondsMax = 31_536_000

export const SETTINGS = {
  python: {
    ...optional(text('', 'the path or name of a Python'), 'a private one'),
    flag: '--python',
    placeholder: 'P',
    about: 'the interpreter in which cells run; it is used as it is, and nothing is written to it',
  },
  data_dir: {
    ...optional(text('', 'a path'), '`$XDG_DATA_HOME/savepoint`, else `~/.local/share/savepoint`'),
    flag: '--data-dir',
    placeholder: 'D',
    about: 'where token, history, checkpoints and the private Python are kept',
  },
  token: {
    ...optional(text('', 'any text; empty: no token is needed, on loopback only'), 'that in the data folder'),
    flag: '--token',
    placeholder: 'T',
    secret: true,
    about: 'the token that clients must show',
  },
  log_level: {
    ...oneOf('warn', ['debug', 'info', 'warn', 'error']),
    flag: '--log-level',
    placeholder: 'L',
    about: 'what is logged, on stderr',
  },

  'server.ip': {
    ...text('127.0.0.1', 'an address of this machine'),
    flag: '--ip',
    placeholder: 'A',
    about: 'where the gateway listens',
  },
  'server.port': {
    ...integer(8890, 0, 65_535),
    flag: '--port',
    placeholder: 'N',
    about: 'its port; 0: one that is free',
  },
  'server.base_url': {
    ...text('/', 'a path'),
    flag: '--base-url',
    placeholder: 'P',
    about: 'what all its paths begin with, for a proxy in front',
  },
  'server.allow_origin': {
    ...list('origins such as https://lab.example, or *'),
    flag: '--allow-origin',
    placeholder: 'O',
    about: 'pages that may use the gateway besides its own',
  },
  'server.hosts': { ...list('names of hosts'), about: 'names by which it may be called besides localhost' },
  'server.trusted_proxies': { ...list('addresses or networks'), about: 'proxies whose X-Forwarded-For is believed' },
  'server.certfile': {
    ...optional(text('', 'a path'), 'no TLS'),
    flag: '--certfile',
    placeholder: 'F',
    about: 'certificate, PEM; read again on SIGHUP',
  },
  'server.keyfile': {
    ...optional(text('', 'a path'), 'no TLS'),
    flag: '--keyfile',
    placeholder: 'F',
    about: 'its key, PEM',
  },
  'server.client_ca': {
    ...optional(text('', 'a path'), 'none is asked for'),
    flag: '--client-ca',
    placeholder: 'F',
    about: 'clients must show a certificate that one of these signed',
  },
  'server.body_bytes_max': { ...integer(16_777_216, 1_024, 536_870_912), about: 'bytes of the body of a request' },
  'server.message_bytes_max': {
    ...integer(134_217_728, 65_536, 536_870_912),
    about: 'bytes of a message that a client sends over a WebSocket',
  },
  'server.headers_timeout_s': { ...integer(20, 1, 3_600), about: "how long a request's headers may take to come" },
  'server.request_timeout_s': { ...integer(120, 1, 86_400), about: 'how long all of a request may take to come' },
  'server.keep_alive_s': { ...integer(75, 1, 3_600), about: 'how long an idle connection is kept' },
  'server.connections_per_address_max': {
    ...integer(0, 0, 1_000_000),
    about: 'connections of one address at a time; 0: as many as come',
  },

  'websocket.ping_s': { ...integer(30, 0, 86_400), about: 'how often a client is pinged; 0: never' },
  'websocket.messages_per_s': {
    ...integer(0, 0, 1_000_000),
    about: 'messages of one client that are read a second, on an average over ten; 0: no bound',
  },
  'websocket.waiting_bytes_max': {
    ...integer(67_108_864, 1_048_576, 4_294_967_296),
    about: 'bytes that wait for a client that reads slowly; one that does not read is cut off',
  },
  'websocket.kept_s': {
    ...integer(3_600, 0, secondsMax),
    about: 'how long output is kept for a session whose connection has ended',
  },
  'websocket.kept_bytes_max': { ...integer(33_554_432, 0, 4_294_967_296), about: 'bytes of it for one session' },
  'websocket.kept_messages_max': { ...integer(50_000, 0, 10_000_000), about: 'messages of it for one session' },
  'websocket.kept_sessions_max': { ...integer(16, 0, 100_000), about: 'sessions of one kernel that are waited for' },
  'websocket.kept_total_bytes_max': {
    ...integer(268_435_456, 0, 68_719_476_736),
    about: 'bytes of it for all sessions',
  },
  'websocket.journal_bytes_max': {
    ...integer(8_388_608, 0, 4_294_967_296),
    about: 'bytes of the newest output of a kernel, for sessions that come while a cell runs',
  },
  'websocket.journal_messages_max': { ...integer(10_000, 0, 10_000_000), about: 'messages of it' },
  'websocket.journal_total_bytes_max': {
    ...integer(134_217_728, 0, 68_719_476_736),
    about: 'bytes of it for all kernels',
  },

  'auth.jwks': { ...optional(text('', 'a path'), 'none'), about: 'file of keys (JWKS) whose tokens are let in' },
  'auth.issuer': { ...optional(text('', 'any text'), 'none'), about: '`iss` that these tokens must have' },
  'auth.audience': { ...optional(text('', 'any text'), 'none'), about: '`aud` that these tokens must have' },
  'auth.requests_per_minute': {
    ...optional(integer(0, 1, 10_000_000), 'any number'),
    about: 'requests of one user a minute',
  },

  'kernels.max': {
    ...optional(integer(0, 1, 1_000_000), 'any number'),
    flag: '--max-kernels',
    placeholder: 'N',
    about: 'kernels at a time, those included that are still starting',
  },
  'kernels.max_per_user': {
    ...optional(integer(0, 1, 1_000_000), 'any number'),
    about: 'kernels of one user at a time, those included that are still starting',
  },
  'kernels.root': {
    ...optional(text('', 'a path'), 'where `serve` was started'),
    about: 'folder in which kernels work; paths of requests are below it',
  },
  'kernels.environment': {
    ...list('names, or beginnings such as APP_*'),
    about: 'variables that clients may set besides KERNEL_*',
  },
  'kernels.cull_idle_timeout_s': {
    ...integer(0, 0, secondsMax),
    about: 'seconds after which a kernel that does nothing is ended; 0: never',
  },
  'kernels.cull_interval_s': { ...integer(300, 1, secondsMax), about: 'how often that is looked at' },
  'kernels.cull_connected': { ...onOff(false), about: 'whether kernels are ended that clients are connected to' },
  'kernels.cull_busy': { ...onOff(false), about: 'whether kernels are ended that are at work' },

  'pool.size': {
    ...integer(2, 0, 1_000),
    flag: '--pool-size',
    placeholder: 'N',
    about: 'workers that wait ready for the next kernels',
  },
  'pool.preload': {
    ...list('names of modules'),
    flag: '--preload',
    placeholder: 'A,B',
    about: 'modules that are imported before workers are forked',
  },
  'pool.affinity_s': {
    ...integer(300, 0, secondsMax),
    about: 'how long a kernel that was started with `savepoint.lease.client`, and shut down, waits for the same client',
  },

  'executions.kept_max': {
    ...integer(100, 1, 100_000),
    about: 'executions of one kernel that have ended and can still be read',
  },
  'executions.kept_bytes_max': {
    ...integer(268_435_456, 1_048_576, 1_099_511_627_776),
    about: 'bytes that the ended executions of all kernels hold; the oldest go',
  },
  'executions.output_bytes_max': {
    ...integer(16_777_216, 1_024, 1_073_741_824),
    about: 'bytes of output that one execution keeps; what was cut is said in its warnings',
  },
  'execute.timeout_s': {
    ...integer(300, 1, config.cellTimeoutSMax),
    about: 'seconds after which code of `POST /api/execute` is interrupted that names no deadline',
  },
  'execute.idle_s': {
    ...integer(600, 1, secondsMax),
    about: 'how long the kernel of a session of `POST /api/execute` waits for its next run',
  },
  'execute.sessions_max': {
    ...integer(100, 1, 100_000),
    about: 'sessions of `POST /api/execute` at a time; the one that was not used for the longest time goes',
  },

  'checkpoint.import_bytes_max': {
    ...integer(68_719_476_736, 1_024, 999_999_999_999_999),
    about: 'bytes of a file of a checkpoint that the gateway takes in',
  },

  'guard.enabled': {
    ...onOff(true),
    about: "whether a gateway's kernels freeze a copy after each cell: undo, and a crash costs one cell",
  },
  'guard.bytes_max': {
    ...integer(config.kernel.snapshotBytesMax, 0, 1_099_511_627_776),
    about: 'bytes that the snapshots of one kernel may hold alone; the oldest of the guard go, then begins are refused',
  },
  'guard.total_bytes_max': {
    ...integer(0, 0, 1_099_511_627_776),
    about:
      "bytes that the snapshots of all of a gateway's kernels may hold alone; 0: a quarter of the machine's memory",
  },
  'guard.interrupt_grace_s': {
    ...integer(config.kernel.interruptGraceMs / 1_000, 1, secondsMax),
    about:
      'how long code that no interrupt reaches may go on before its process is ended, where its state can come back',
  },
  'guard.moments_max': {
    ...integer(config.kernel.guardMomentsMax, 1, 60),
    about: 'copies that one kernel keeps: one more than cells that can be undone',
  },

  'checkpoint.auto': {
    ...words('', ['cell', 'interval', 'idle', 'shutdown']),
    about: 'when checkpoints are made without being asked for; none unless something has run since the last one',
  },
  'checkpoint.interval_s': { ...integer(300, 1, secondsMax), about: 'for `interval`: how long after something ran' },
  'checkpoint.idle_s': { ...integer(60, 1, secondsMax), about: 'for `idle`: how long the kernel is at rest before' },
  'checkpoint.keep': {
    ...counts(['last', 'hourly', 'daily', 'weekly', 'monthly'], 100_000),
    about:
      'which automatic checkpoints of a kernel are kept: the latest, and the last of so many hours, days, weeks, months; unless set: all',
  },
  'checkpoint.max_bytes': {
    ...integer(0, 0, 1_099_511_627_776),
    about: 'bytes that the checkpoints of one user may have; 0: as many as come',
  },
  'checkpoint.exclude': { ...list('patterns of names'), about: 'variables that no checkpoint holds' },
  'checkpoint.restore_s': {
    ...integer(config.kernel.restoreMs / 1_000, 1, secondsMax),
    about: 'how long a restore may take before the kernel goes back to what it was',
  },

  'kernel.subshells': {
    ...onOff(false),
    about: 'whether kernels offer subshells to clients; they serve them in any case',
  },
  'transactions.effects': {
    ...onOff(true),
    about: 'whether transactions note what is done outside of the process, and a rollback puts files back',
  },
  'transactions.file_bytes_max': {
    ...integer(104_857_600, 0, 1_099_511_627_776),
    about: 'bytes of the largest file that is copied before it is changed; a larger one is not put back',
  },
  'transactions.copied_bytes_max': {
    ...integer(1_073_741_824, 0, 1_099_511_627_776),
    about: 'bytes that the copies of one transaction may have',
  },
  'transactions.end_processes': {
    ...onOff(false),
    about: 'whether a rollback ends the processes that were started in the transaction',
  },
  'output.merge_ms': {
    ...integer(config.streams.intervalMs, 0, 1_000),
    about: 'chunks of one stream within it become one message',
  },
  'output.merge_bytes_max': {
    ...integer(config.streams.bytesMax, 1_024, 16_777_216),
    about: 'a merged stream message of this size goes out at once',
  },
  'output.buffered_bytes_max': {
    ...integer(config.kernel.bufferedBytesMax, 0, 536_870_912),
    about: 'bytes that a cell of stream mode `buffered` gathers before some are sent',
  },
  'output.waiting_bytes_max': {
    ...integer(config.outboxBytesMax, 65_536, 4_294_967_296),
    about: 'bytes that wait for slow clients before the worker is held up; nothing is dropped',
  },
} as const satisfies Readonly<Record<string, Setting<unknown>>>

export type SettingName = keyof typeof SETTINGS

export type SettingValues = { readonly [N in SettingName]: (typeof SETTINGS)[N]['initial'] }

/** A kernelspec of the configuration file. */
export interface ConfiguredSpec {
  readonly python: string | null
  readonly display_name: string | null
  readonly env: Readonly<Record<string, string>>
  readonly preload: readonly string[]
}

/** What one kernel may hold, and how long it waits. */
export function kernelLimitsOf(values: SettingValues) {
  return {
    ...config.kernel,
    bufferedBytesMax: values['output.buffered_bytes_max'],
    guardMomentsMax: values['guard.moments_max'],
    snapshotBytesMax: values['guard.bytes_max'],
    interruptGraceMs: values['guard.interrupt_grace_s'] * 1_000,
    restoreMs: values['checkpoint.restore_s'] * 1_000,
  }
}

/** Which checkpoints a kernel makes without being asked for, and what none of them holds. */
export function checkpointPolicyOf(values: SettingValues) {
  const auto = values['checkpoint.auto']
  return {
    cell: auto.includes('cell'),
    intervalMs: auto.includes('interval') ? values['checkpoint.interval_s'] * 1_000 : null,
    idleMs: auto.includes('idle') ? values['checkpoint.idle_s'] * 1_000 : null,
    shutdown: auto.includes('shutdown'),
    exclude: values['checkpoint.exclude'],
  }
}

/** What a configuration file says, checked. */
export interface FileSettings {
  readonly path: string
  readonly values: ReadonlyMap<string, unknown>
  readonly kernelspecs: Readonly<Record<string, ConfiguredSpec>>
}

/** What the command line gave. */
export type FlagValues = Readonly<Partial<Record<SettingName, string | readonly string[]>>>

export interface ReadSettings {
  readonly values: SettingValues
  /** Variables that look like settings and are none. */
  readonly unknown: readonly string[]
  readonly kernelspecs: Readonly<Record<string, ConfiguredSpec>>
}

/** Variables of ours that are no settings: where the file is, and what is between us and what we start. */
const OTHER_VARIABLES: readonly string[] = ['SAVEPOINT_CONFIG', 'SAVEPOINT_ZYGOTE']

/**
 * All settings, and the names of variables that look like settings and are none. An empty variable counts as not set.
 * Throws USAGE for a value that is not allowed.
 */
export function readSettings(
  env: Environment = process.env,
  flags: FlagValues = {},
  file: FileSettings | null = null,
): ReadSettings {
  const entries = Object.entries<Setting<unknown>>(SETTINGS)
  const values = Object.fromEntries(
    entries.map(([name, setting]) => [name, valueOf(name as SettingName, setting, env, flags, file)]),
  ) as SettingValues
  const known = new Set([...OTHER_VARIABLES, ...Object.keys(SETTINGS).map(variableOf)])
  const unknown = Object.keys(env).filter((name) => name.startsWith('SAVEPOINT_') && !known.has(name))
  return { values: Object.freeze(values), unknown: unknown.toSorted(), kernelspecs: file?.kernelspecs ?? {} }
}

/** `output.merge_ms` is `SAVEPOINT_OUTPUT_MERGE_MS`. */
export function variableOf(name: string): string {
  return `SAVEPOINT_${name.replaceAll('.', '_').toUpperCase()}`
}

function valueOf(
  name: SettingName,
  setting: Setting<unknown>,
  env: Environment,
  flags: FlagValues,
  file: FileSettings | null,
): unknown {
  const flag = flags[name]
  if (flag !== undefined) return parsed(setting, setting.flag ?? name, typeof flag === 'string' ? flag : flag.join(','))
  const variable = env[variableOf(name)]
  if (variable) return parsed(setting, variableOf(name), variable)
  return file?.values.has(name) ? file.values.get(name) : setting.initial
}

function parsed(setting: Setting<unknown>, where: string, value: string): unknown {
  const found = setting.parse(value)
  if (found === null) throw wrongValue(where, value, setting)
  return found
}

/** `where`: a flag, a variable, or a place in a file. */
export function wrongValue(where: string, value: unknown, { allowed, secret }: Setting<unknown>): SavepointError {
  const shown = secret ? 'not allowed' : (JSON.stringify(value) ?? 'nothing')
  return new SavepointError('USAGE', `${where} is ${shown}; it must be ${allowed}.`)
}
