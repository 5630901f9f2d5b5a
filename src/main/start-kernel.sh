#!/bin/sh
# Starts a kernel: its Python at once, in the background, and Node in this very process, so that neither waits for the
# other to load. They find each other by the id of this process, which stays that of Node.
#
# Whatever is missing or wrong here is left to Node: it starts a Python of its own when this one does not come.
#
# Usage: start-kernel.sh PYTHON STACK NODE PROGRAM ARGUMENT...      STACK: the folder for --stack, or - for none
python=$1 stack=$2
shift 2
packages=${2%/dist/main.js}/src/python
root=${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}/savepoint-$(id -u)

# After a restart a warm Python may be waiting for the successor of its kernel, which has the same connection file.
# Only Node can tell whether it is the right one.
lingering=no
lazy=no
previous=
for argument in "$@"; do
  if [ "$previous" = -f ]; then
    for socket in "$root/r-${argument##*/}-"*; do
      if [ -S "$socket" ]; then lingering=yes; fi
    done
  fi
  if [ "$argument" = --lazy-worker ]; then lazy=yes; fi
  previous=$argument
done

if [ $lingering = no ] && [ $lazy = no ] && [ -x "$python" ] && read -r token 2>/dev/null </proc/sys/kernel/random/uuid; then
  PYTHONPATH=$packages${PYTHONPATH:+:$PYTHONPATH} \
    MPLBACKEND=${MPLBACKEND-module://matplotlib_inline.backend_inline} \
    "$python" "$packages/start_worker.py" zygote --link "$root/k$$/link" --token "$token" --stack "$stack" --settings-follow \
    >/dev/null </dev/null &
  SAVEPOINT_ZYGOTE="$! $token $stack $python"
  export SAVEPOINT_ZYGOTE
fi
exec "$@"
