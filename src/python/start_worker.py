"""`python start_worker.py zygote ...`: how the gateway starts a zygote.

Not with `-m savepoint_worker`: that looks for the standard library in the current folder first, and a file `types.py`
of the user's there would be the end. Nothing may be imported here before the search path is in order.
"""

import sys

if __name__ == "__main__":
    if not getattr(sys.flags, "safe_path", False):
        # The folder of this file; ours is on the search path behind the user's.
        del sys.path[0]

    from savepoint_worker.__main__ import main

    sys.exit(main(sys.argv[1:]))
