"""Says on its last line of output, as JSON, what the interpreter that runs it is and has.

Written so that every Python since 2.7 can run it: an old one must be able to say that it is old.
"""
import json
import os
import sys

OLDEST = (3, 10)
MODULES = {"ipykernel": "ipykernel.ipkernel", "ipython": "IPython", "cloudpickle": "cloudpickle"}


def has(module):
    import importlib.util

    return importlib.util.find_spec(module) is not None


def version_of(module):
    """The version of a package that can really be imported, else None: an installed one may be broken."""
    import importlib

    try:
        importlib.import_module(module)
        return str(sys.modules[module.partition(".")[0]].__version__)
    except Exception:
        return None


def main():
    # The folder of this file takes no part: a worker does not have it either.
    del sys.path[0]
    answer = {"version": list(sys.version_info[:3]), "implementation": "unknown", "prefix": sys.prefix}
    answer.update(search_path=[], venv=False, pip=False, packages=dict.fromkeys(MODULES))
    if sys.version_info >= OLDEST:
        # What an imported package prints must not get between us and the one line that counts.
        answer_to = os.dup(1)
        os.dup2(2, 1)
        answer["implementation"] = sys.implementation.name
        answer["search_path"] = [os.path.abspath(entry) for entry in sys.path if entry]
        answer["venv"] = has("venv") and has("ensurepip")
        answer["pip"] = has("pip")
        answer["packages"] = {name: version_of(module) for name, module in MODULES.items()}
        sys.stdout.flush()
        os.dup2(answer_to, 1)
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()


main()
