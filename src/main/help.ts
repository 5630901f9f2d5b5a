/** What `--help` prints. */

const PYTHON = `  --python P            the interpreter in which cells run; used as it is, nothing is written to it
                        (default: $SAVEPOINT_PYTHON, else a private environment that is made once)`

const PLACE = `  --user                for this user (default)
  --sys-prefix          into the environment of --python, of the active environment, or of python3
  --prefix DIR          into DIR/share/jupyter`

export const HELP = {
  savepoint: `savepoint: a Jupyter kernel for Python whose state can be rolled back, saved and restored

  savepoint kernel -f FILE      run a kernel for a connection file (Jupyter does this)
  savepoint install             make the kernel known to Jupyter
  savepoint uninstall           undo that
  savepoint token               make, list and revoke tokens of the gateway
  savepoint doctor              check everything that a kernel needs, and run a cell
  savepoint --version

  savepoint COMMAND --help      the options of a command

Exit codes: 0 done, 1 failed, 2 wrong usage (nothing was done)`,

  kernel: `savepoint kernel -f FILE [options] [ARGS ...]

Runs one kernel for one connection file, until it is told to shut down.

  -f FILE               the connection file; made, and removed at the end, if it does not exist
${PYTHON}
  --data-dir D          where history, checkpoints and the private Python are kept
                        (default: $SAVEPOINT_DATA_DIR, else $XDG_DATA_HOME/savepoint, else ~/.local/share/savepoint)
  --recover             a dead Python is replaced, and the kernel lives on
  --restore last        save the variables when the kernel ends, and restore them when it starts again
  --lazy-worker         Python is started with the first request that needs it, such as a cell
  --guard               accepted, and implies --recover
  --log-level L         debug, info, warn or error; the log goes to stderr
  ARGS                  go to IPython: --Class.trait=value, --profile-dir=P, ...

Exit codes: 0 after a shutdown request; when its Python dies: the exit code of that (1 if it was 0), or 128 + signal`,

  serve: `savepoint serve [options]

Runs the gateway: many kernels over HTTP and WebSocket.`,

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

  doctor: `savepoint doctor [--json] [--python P]

Checks Node, native modules, Python, its packages, the kernelspec and sockets, runs one cell through a real
client, and says what to do about what is missing. Exit codes: 0 all well, 1 something to do.

  --json                one object: {"ok": true, "checks": [{"name", "ok", "detail", "remedy"}]}
${PYTHON}`,
} as const
