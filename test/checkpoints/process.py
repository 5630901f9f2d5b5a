"""A program that plays one kernel: makes objects in its `__main__` and keeps them, or restores them and looks at them.

Started with "make" or "look", the name of an engine and two descriptors: requests come by the one as lines of JSON, and
for each an answer goes by the other. When it has made everything it ends itself without notice.
"""

import sys

sys.path.pop(0)  # Its own folder, whose modules are none of the user's.


def _play(scope):
    import ast
    import asyncio
    import contextvars
    import hashlib
    import inspect
    import json
    import linecache
    import os
    import signal
    import tempfile
    from pathlib import Path

    here = Path(__file__).resolve().parent
    sys.path += [str(here.parents[1] / "src" / "python")]
    import importlib.util

    spec = importlib.util.spec_from_file_location("checkpoint_engines", here / "engines.py")
    engines = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(engines)
    task, name = sys.argv[1:3]
    requests, answers = os.fdopen(int(sys.argv[3])), os.fdopen(int(sys.argv[4]), "w")
    engine = engines.engine(name)
    scope["equal"] = engines.load_helper(here / "comparison.py").equal
    own = {*scope, "FOLDER"}
    count = 0
    #: What was made stays alive: a process that is killed cleans up nothing either.
    graveyard = []
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    context = contextvars.copy_context()
    in_context = {"context": context} if sys.version_info >= (3, 11) else {}

    def run(text):
        """As a cell is run; false if its last expression is."""
        nonlocal count
        count += 1
        filename = f"/tmp/cell-{os.getpid()}-{count}.py"
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        tree = ast.parse(text)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

        async def cell():
            result = eval(compile(tree, filename, "exec", flags, dont_inherit=True), scope)
            if inspect.iscoroutine(result):
                await result
            if last is None:
                return True
            result = eval(compile(ast.Expression(last.value), filename, "eval", flags, dont_inherit=True), scope)
            return await result if inspect.iscoroutine(result) else result

        if "asyncio.run(" in text:
            code = compile(tree, filename, "exec", dont_inherit=True)
            return context.run(exec, code, scope) or True
        # As in a kernel, where a loop runs while a cell does.
        return loop.run_until_complete(context.run(loop.create_task, cell(), **in_context))

    def forget():
        graveyard.append({each: scope[each] for each in scope if each not in own})
        for each in [each for each in scope if each not in own]:
            del scope[each]

    def files(folder):
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def make(request):
        folder = Path(request["folder"])
        (folder / "files").mkdir(parents=True)
        (folder / "files" / "read.txt").write_text("one\ntwo\nthree\n")
        scope["FOLDER"] = tempfile.tempdir = str(folder / "files")
        run(request["imports"])
        run(request["make"])
        told = context.run(engine.save, scope, folder, own)
        notes = "; ".join(reason for verdict, reason in told.values() if verdict != "lost" and reason)
        return {"told": told.get("x", ("lost", "it was not looked at")), "notes": notes}

    def look(request):
        folder = Path(request["folder"])
        scope["FOLDER"] = tempfile.tempdir = str(folder / "files")
        before = files(folder / "files")
        if name != "savepoint":
            run(request["imports"])
        try:
            lost = context.run(engine.restore, scope, folder)
        except BaseException as error:
            return {"outcome": "raised", "why": f"{type(error).__name__}: {error}"[:300]}
        if files(folder / "files") != before:
            return {"outcome": "wrong", "why": "the restore has changed a file"}
        if "x" in lost:
            return {"outcome": "lost", "why": lost["x"]}
        try:
            right = run(request["check"])
        except BaseException as error:
            import traceback

            if type(error).__name__ == "LostVariableError" or (isinstance(error, NameError) and error.name in lost):
                return {"outcome": "lost", "why": str(error)[:300]}
            where = "".join(traceback.format_exception(error)[-2:])
            return {"outcome": "wrong", "why": f"{type(error).__name__}: {error}"[:300], "where": where[-600:]}
        return {"outcome": "equal"} if right is not False else {"outcome": "wrong", "why": "it does not work as before"}

    for line in requests:
        request = json.loads(line)
        forget()
        try:
            answer = (make if task == "make" else look)(request)
        except BaseException as error:
            import traceback

            answer = {"outcome": "broken", "why": f"{type(error).__name__}: {error}"[:300], "where": traceback.format_exc()[-800:]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os.kill(os.getpid(), signal.SIGKILL)


_play(globals())
