/** What `--help` prints. */

const PYTHON = `  --python P            the interpreter in which cells run; used as it is, nothing is written to it
                        (default: $SAVEPOINT_PYTHON, else a private environment that is made once)`

const GATEWAY = `  --url U               the gateway (default: the one that runs with the data folder)
  --token T             (default: $SAVEPOINT_TOKEN, else the one in the data folder)
  --data-dir D          (default: $SAVEPOINT_DATA_DIR, else $XDG_DATA_HOME/savepoint, else ~/.local/share/savepoint)`

const EXITS = `3 not found, or no gateway running, 4 not authorised,
5 deadline passed, 130 interrupted`

const PLACE = `  --user                for this user (default)
  --sys-prefix          into the environment of --python, of the active environment, or of python3
  --prefix DIR          into DIR/share/jupyter`

export const HELP = {
  savepoint: `savepoint: a Jupyter kernel for Python whose state can be rolled back, saved and restored

  savepoint kernel -f FILE      run a kernel for a connection file (Jupyter does this)
  savepoint serve               run the gateway for many kernels
  savepoint install             make the kernel known to Jupyter
  savepoint uninstall           undo that
  savepoint token               make, list and revoke tokens of the gateway
  savepoint status              whether a gateway runs, or kernels without one
  savepoint kernels             list, start, interrupt, restart and end kernels of the gateway
  savepoint snapshots           the moments that a kernel of the gateway can go back to
  savepoint checkpoints         what is saved: list, compare, check, export, import, restore
  savepoint exec                run code in a kernel of the gateway
  savepoint console             Jupyter's console on a kernel of the gateway
  savepoint doctor              check everything that a kernel needs, and run a cell
  savepoint --version

  savepoint COMMAND --help      the options of a command

Exit codes: 0 done, 1 failed, 2 wrong usage (nothing was done), ${EXITS}`,

  kernel: `savepoint kernel -f FILE [options] [ARGS ...]

Runs one kernel for one connection file, until it is told to shut down.

  -f FILE               the connection file; made, and removed at the end, if it does not exist
${PYTHON}
  --data-dir D          where history, checkpoints and the private Python are kept
                        (default: $SAVEPOINT_DATA_DIR, else $XDG_DATA_HOME/savepoint, else ~/.local/share/savepoint)
  --recover             a dead Python is replaced, and the kernel lives on
  --restore last        save the variables when the kernel ends, and restore them when it starts again
  --lazy-worker         Python is started with the first request that needs it, such as a cell
  --guard               freeze a copy after each cell: undo, and a crash costs one cell (implies --recover)
  --log-level L         debug, info, warn or error; the log goes to stderr
  ARGS                  go to IPython: --Class.trait=value, --profile-dir=P, ...

Exit codes: 0 after a shutdown request; when its Python dies: the exit code of that (1 if it was 0), or 128 + signal`,

  serve: `savepoint serve [options]

Runs the gateway, many kernels over HTTP and WebSocket, until a signal ends it. Prints its URL, and the line that starts
JupyterLab with it.

{settings}
  --config F          file with these and further settings, YAML (default: $SAVEPOINT_CONFIG)
  --json              the first line that is printed is one object: {"url", "token", "pid", "version"}
  --guard, --no-guard freeze a copy of a kernel after each cell, or not (default: --guard)
  --takeover          the gateway of this data folder that runs hands its kernels over to this one, and ends

Each of these is also a variable, as SAVEPOINT_SERVER_PORT for --port: docs/configuration.md

Kernels outlive a crash of the gateway: start it again, and they are there. SIGTERM ends them all, in order; SIGUSR2 leaves
them to the next gateway: docs/recovery.md`,

  install: `savepoint install [--user | --sys-prefix | --prefix DIR] [options]

Makes the kernel known to Jupyter, after preparing its Python.

${PLACE}
  --name N              name of the kernelspec (default: savepoint)
  --display-name D      what a launcher shows (default: Python 3 (Savepoint))
${PYTHON}
  --guard               start its kernels with --guard`,

  uninstall: `savepoint uninstall [--user | --sys-prefix | --prefix DIR] [--name N] [--python P]

Removes a kernelspec that "savepoint install" wrote; never another one. Saved data stays.

${PLACE}
  --name N              name of the kernelspec (default: savepoint)`,

  token: `savepoint token create [--subject S] [--scope S ...] [--expires DURATION]
savepoint token list
savepoint token revoke ID

Tokens for the gateway of this data folder. A gateway that runs knows them at once.

  --subject S           whose kernels it may use (default: local, as the gateway's own token)
  --scope S             kernels, sessions or kernelspecs with :read, :write, :execute or :*; or admin, for everything of
                        everybody (may be given several times; default: everything but admin)
  --expires DURATION    30m, 12h, 90d, 52w (default: it does not expire)
  --foreign             revoke an id that was not made here, of a token of another issuer
  --data-dir D          the gateway's data folder (default: $SAVEPOINT_DATA_DIR, else $XDG_DATA_HOME/savepoint, else
                        ~/.local/share/savepoint)
  --json                create: one object with the token; list: {"items": [...], "total_count": n}

Exit codes: 0 done, 1 failed, 2 wrong usage (nothing was done), 3 there is no such token`,

  status: `savepoint status [--json]

Says whether a gateway runs with the data folder (mode pool), kernels without one (single), or nothing (none).

  --json                {"mode", "url", "pid", "version", "started_at", "kernels", "single_pids", "notes", "findings"}
  --data-dir D          (default: $SAVEPOINT_DATA_DIR, else $XDG_DATA_HOME/savepoint, else ~/.local/share/savepoint)
  --token T             to count the kernels (default: $SAVEPOINT_TOKEN, else the one in the data folder)

Exit codes: 0 for pool and single, 3 for none`,

  kernels: `savepoint kernels list
savepoint kernels start [--name KERNELSPEC]
savepoint kernels show | interrupt | restart | shutdown | connect ID
savepoint kernels fork ID [--count N]

The kernels of a gateway. ID may be the beginning of an id. "connect" opens ZeroMQ channels, and says where the
connection file is.

${GATEWAY}
  --json                list: {"items": [...], "total_count": n}; else one object

Exit codes: 0 done, 1 failed, 2 wrong usage (nothing was done), ${EXITS}`,

  exec: `savepoint exec (-c CODE | FILE) [--kernel ID] [--policy P] [--timeout S]

Runs code in a kernel of the gateway: output as it comes, input() asked here, Ctrl-C interrupts. FILE may be - for stdin.

  --kernel ID           in this kernel, or the one whose id begins so (default: in a new one, which ends with the code)
  --name KERNELSPEC     of a new kernel
  --policy P            rollback_on_failure, dry_run, explicit, commit_always (default)
  --timeout S           interrupts the code after so many seconds
  --json                the execution as one object, once it has ended
${GATEWAY}

Exit codes: 0 the code succeeded, 1 it failed, 2 wrong usage (nothing was done), ${EXITS}`,

  snapshots: `savepoint snapshots list KERNEL [--json]

Lists the frozen copies of the kernel of that id, or whose id begins so: those after its last cells, and those of open
transactions, each with the memory that it alone holds.

${GATEWAY}

Exit codes: 0 done, 1 failed, 2 wrong usage (nothing was done), ${EXITS}`,

  checkpoints: `savepoint checkpoints list [--kernel ID] [--branch B] [--search TEXT] [--limit N]
savepoint checkpoints show | validate | delete CHECKPOINT
savepoint checkpoints create [NAME] [--kernel ID] [--note T] [--exclude PATTERN ...]
savepoint checkpoints restore CHECKPOINT [--kernel ID [--merge] [--only a,b]]
savepoint checkpoints diff CHECKPOINT [OTHER | --kernel ID]
savepoint checkpoints export CHECKPOINT [-o FILE]
savepoint checkpoints import FILE [--trust NAME]

CHECKPOINT is an id, or the newest of that name. Where no gateway runs, everything but create, restore and a comparison
with a kernel is done in the data folder itself.

  --kernel ID           the kernel of that id, or whose id begins so (create, diff: default the only one; restore: default
                        a new one, whose id is printed; list takes a whole id, also of a kernel that is gone)
  --search TEXT         only those with this text in their name or note
  --exclude PATTERN     variables that are not saved, such as 'tmp_*' (may be given several times)
  --merge               keep the variables that the checkpoint does not have (default: they are removed)
  --only a,b            restore these variables alone
  -o FILE               where to write it (default: NAME.savepoint; - is stdout)
  --trust NAME          the file may be signed with the key NAME of the data folder's keys/trusted
  --json                lists: {"items": [...], "total_count": n}; else one object
${GATEWAY}

Exit codes: 0 done, 1 failed, or validate found damage, 2 wrong usage (nothing was done), ${EXITS}`,

  console: `savepoint console [ID] [--name KERNELSPEC]

Runs "jupyter console" on a kernel of the gateway, which other clients may be using: the one of that id, or whose id
begins so; else a new one, which goes on after the console.

${GATEWAY}

Exit codes: those of jupyter console; 2 wrong usage (nothing was done), ${EXITS}`,

  doctor: `savepoint doctor [--json] [--python P]

Checks Node, native modules, Python, its packages, the kernelspec and sockets, runs one cell through a real
client; looks at the data folder, the machine, and what a killed gateway left. Says of each finding what it is, why it
matters, and what to do. Exit codes: 0 all well, or warnings alone; 1 something to do.

  --json                one object: {"ok": true, "checks": [{"name", "level", "ok", "detail", "why", "remedy"}]}
${PYTHON}`,
} as const
