/**
 * Every limit, deadline and default place, with its unit in its name, and how settings are found.
 *
 * A setting comes from a flag, else from the environment, else from the default here. Nothing else in the program
 * reads `process.env` for a setting.
 */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export const config = Object.freeze({
  /** Oldest Python in which a worker runs, and oldest Node. */
  pythonVersionMin: [3, 10] as readonly [number, number],
  nodeVersionMin: [20, 20] as readonly [number, number],
  /** What a user's own Python must have for its own IPython and ipykernel to be used. */
  ipythonVersionMin: [8, 24] as readonly [number, number],
  ipykernelVersionMin: [7, 0] as readonly [number, number],

  /** How long one interpreter may take to say what it is; a pyenv shim that hangs costs this once. */
  interpreterProbeMs: 20_000,
  /** Making an empty virtual environment, pip included. */
  environmentCreateMs: 120_000,
  /** Downloading and installing the locked list over a slow line. */
  packageInstallMs: 900_000,
  /** Waiting for another process that provisions the same environment. */
  provisionWaitMs: 1_200_000,
  /** How often the holder of a lock shows that it lives, and after what silence the lock counts as left behind. */
  lockBeatMs: 2_000,
  lockSilenceMaxMs: 30_000,
  lockPollMs: 200,
  /** Lines of a failed command's output that an error carries. */
  commandOutputLinesMax: 15,

  /** What one kernel may hold and how long it waits for its Python side. */
  kernel: Object.freeze({
    queueLengthMax: 10_000,
    subshellsMax: 32,
    transactionDepthMax: 32,
    snapshotsMax: 64,
    /** What snapshots alone hold; how much that is, is found out from time to time. */
    snapshotBytesMax: 4_294_967_296,
    guardMomentsMax: 10,
    guardSettleMs: 200,
    youngMs: 5_000,
    fallsMax: 3,
    interruptNoticeMs: 2_000,
    interruptGraceMs: 10_000,
    /** Requests whose headers are kept, for output that comes long after their cell. */
    parentsMax: 4_096,
    handOverMs: 2_000,
    wakeMs: 10_000,
    objectsMs: 600_000,
    /** Kernels that one call may make of a kernel. */
    forksMax: 100,
    /** For a hundred copies of a large process to be made, and to come up as kernels. */
    forkMs: 60_000,
    /** For putting back the files of a transaction. */
    undoMs: 60_000,
    stopMs: 1_000,
    /** For what clients had sent before a cell failed to be read from the sockets. */
    settleMs: 1_000,
    checkpointMs: 600_000,
    /** For loading a checkpoint, before the kernel goes back to what it was. */
    restoreMs: 600_000,
    /** Checkpoints of one kernel that wait to be written; one at a time is. */
    writersWaitingMax: 16,
    /** What of a checkpoint may be sent as a message; larger ones go over REST. */
    transferBytesMax: 8_388_608,
    /** For what a client asks of the variables; a repr of the user's may take its time. */
    namespaceMs: 30_000,
    /** For `--restore last`: saving at the end, which a client waits for before it uses force, and loading at a start. */
    saveLastMs: 3_500,
    /** For the automatic checkpoint of an end: a gateway gives a kernel 3 s to restart. */
    saveAtEndMs: 2_500,
    restoreLastMs: 60_000,
    /** For looking at what a worker uses. */
    usageMs: 5_000,
    /** After which a kernel_info on shell is answered while a cell runs. JupyterLab waits for 3 s. */
    infoPatienceMs: 2_000,
    /** What a cell of stream mode `buffered` may have printed before some of it is sent. */
    bufferedBytesMax: 16_777_216,
    /** A larger cell is not handed over before its turn: it would hold up what the running one waits for. */
    aheadBytesMax: 65_536,
    /** For the debugger's thread to come up in a worker that may be busy, and for the response to one request. */
    debuggerUpMs: 10_000,
    debugRequestMs: 600_000,
  }),
  workers: Object.freeze({
    /** From connecting to the link until the process has said who it is. */
    helloMs: 5_000,
    /** For the last words of a worker that died. */
    deathMs: 500,
    /** For a worker whose connection broke to be there again, and for what it had to say then. */
    redialMs: 2_000,
    /** How often a worker is rung that is waited for. */
    ringMs: 500,
    /** For a zygote to end all that it has started. */
    zygoteStopMs: 3_000,
    /** How often we look whether a zygote that was started along with us still lives. */
    earlyPollMs: 50,
    /** For a zygote that lingers to come after it was asked. */
    adoptMs: 2_000,
    /** From the command to write a checkpoint until its writer has said who it is. */
    writerDialMs: 15_000,
    /** After how long an interrupt that the worker has not noticed is repeated, and how often it is sent in all. */
    interruptRepeatMs: 250,
    interruptsMax: 8,
  }),
  /** Traces, where they are on. */
  tracing: Object.freeze({
    /** Spans that wait to be sent; more are dropped. */
    queueMax: 4_096,
    batchMax: 512,
    delayMs: 1_000,
    /** For one batch to be sent. */
    exportMs: 5_000,
  }),
  /** Kernels of a gateway. */
  kernels: Object.freeze({
    /** From the request for a kernel until it is ready. Clients wait for 42 s. */
    startMs: 40_000,
    /** For a kernel to end in order before force is used: at a restart, and at its end. */
    restartGraceMs: 3_000,
    endGraceMs: 5_000,
    /** A kernel whose Python side is lost is given another one, unless that happened so often within so long. */
    lossesMax: 5,
    lossesWithinMs: 60_000,
    /** How long a client that takes nothing may hold up the kernel. */
    holdMaxMs: 10_000,
    /** Messages that may wait while a kernel restarts. */
    waitingMax: 1_000,
    /** Of one owner. */
    sessionsMax: 10_000,
    /** Kernels that wait for a client who may have them again; the oldest goes first. */
    restingMax: 64,
    /** How often it is looked at what the frozen copies of all kernels hold. */
    snapshotsWeighedMs: 2_000,
    /** How old the memory in a kernel's model may be before it is measured again. */
    measuredMs: 10_000,
    /** Messages that ZeroMQ keeps for one client of a gateway's kernel that does not read. */
    queuedMessagesMax: 2_000,
    /** How long what is for clients by ZeroMQ of an earlier gateway waits for them to connect again. */
    clientsBackMs: 1_000,
  }),
  /** The longest deadline that a cell may have: a week. */
  cellTimeoutSMax: 604_800,
  /** The longest time that a transaction may be given: a week. */
  transactionTimeoutSMax: 604_800,
  /** How long a zygote waits for the next kernel process after a restart; it must be gone within five seconds. */
  zygoteLingerS: 3,
  journal: Object.freeze({
    /** A file of this size is followed by another one; the oldest go when there is too much. */
    segmentBytes: 8_388_608,
    /** So much, or so many events, after the last state that was written down, another one is. */
    replayBytes: 4_194_304,
    replaySteps: 2_000,
    /** Of a kernel whose journal ends with the process. */
    memoryBytesMax: 16_777_216,
  }),
  /** Chunks of one stream that follow each other within the interval become one message. */
  streams: Object.freeze({ intervalMs: 5, firstMs: 2, bytesMax: 262_144 }),
  /** How long busy and execute_input wait, to go out together with what follows. */
  holdMs: 2,
  /** Bytes that may wait for slow clients before the worker is held up, and how long the end waits for them. */
  outboxBytesMax: 67_108_864,
  flushMs: 1_000,
  /** For the launcher of a registration file to take note of what was bound. */
  registrationMs: 5_000,
  /** How often a kernel looks whether the process that started it still lives. */
  starterPollMs: 1_000,

  /** One cell through a real client: start of the kernel, and the cell itself. */
  trialStartS: 60,
  trialExecuteS: 30,
  /** On top of the two, for the client's own start and end. */
  trialMarginS: 30,
})

/** What the command line gave; a flag that was not given is absent. */
export interface SettingFlags {
  readonly python?: string
  readonly dataDir?: string
}

export interface Settings {
  /** The interpreter that the user asked for, as given; null: the provisioned one. */
  readonly python: string | null
  /** Absolute. Holds history, checkpoints, keys and the private Python. */
  readonly dataDir: string
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Flag before environment before default. An empty variable counts as not set. */
export function resolveSettings(flags: SettingFlags, env: Environment = process.env): Settings {
  return {
    python: flags.python ?? (env['SAVEPOINT_PYTHON'] || null),
    dataDir: resolve(flags.dataDir || env['SAVEPOINT_DATA_DIR'] || join(userDataRoot(env), 'savepoint')),
  }
}

/** `$XDG_DATA_HOME`, which must be absolute to count (XDG base directory specification), else `~/.local/share`. */
export function userDataRoot(env: Environment): string {
  const given = env['XDG_DATA_HOME']
  return given?.startsWith('/') ? given : join(env['HOME'] || homedir(), '.local', 'share')
}

/** Where Jupyter keeps the connection files of running kernels. */
export function jupyterRuntimeDir(env: Environment): string {
  return env['JUPYTER_RUNTIME_DIR'] || join(env['JUPYTER_DATA_DIR'] || join(userDataRoot(env), 'jupyter'), 'runtime')
}

/**
 * The folder that holds package.json: the compiled files lie in `dist/` or, for the tests, in `build/src/`, while the
 * Python half, the kernelspec and the lists of packages stay where they are in the source tree.
 */
export const packageRoot = findPackageRoot(dirname(fileURLToPath(import.meta.url)))

export const places = Object.freeze({
  /** Holds the packages `savepoint` and `savepoint_worker`. */
  python: join(packageRoot, 'src', 'python'),
  /** Starts a zygote. */
  starter: join(packageRoot, 'src', 'python', 'start_worker.py'),
  requirementsLock: join(packageRoot, 'src', 'python', 'requirements.lock'),
  kernelspec: join(packageRoot, 'kernelspec'),
  /** What a kernelspec's argv names. */
  program: join(packageRoot, 'dist', 'main.js'),
  /** Starts Python and Node side by side; what a kernelspec's argv begins with. */
  launcher: join(packageRoot, 'src', 'main', 'start-kernel.sh'),
  trialClient: join(packageRoot, 'src', 'main', 'trial.py'),
  manifest: join(packageRoot, 'package.json'),
})

function findPackageRoot(start: string): string {
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder
    if (folder === dirname(folder)) throw new Error(`No package.json above ${start}; the installation is incomplete.`)
  }
}
