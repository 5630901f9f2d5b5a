"""What is hard to keep: 97 objects of one list, and the cases of the unit tests, which have some more."""

from __future__ import annotations

import re

from awkward import CASES, Awkward
from sample import Group, Sample

#: The list, by the names of the cases.
LIST = """
lambda; function with a global; recursive function; closure with a cell; class; instance in a cycle; bound method;
dataclass instance; Enum member; NamedTuple; namedtuple; TypedDict class; instance with slots; implementation of an ABC;
class with a metaclass; class with cached_property; lru_cache function; partial of a lambda;
generator that was not started; generator that was started; coroutine; event loop; Future; list iterator; enumerate; zip;
map of a lambda; count; dict_keys; islice; module; module made by hand; code object; frame; traceback;
exception with a traceback; Lock; RLock; Event; Condition; Thread; threading.local; Queue; ThreadPoolExecutor; ContextVar;
file open for update; BytesIO; TemporaryFile; sqlite connection in memory; socket; Popen; mmap; memoryview; array;
ctypes value; ctypes pointer; weakref; WeakValueDictionary; mappingproxy; SimpleNamespace; cell; Ellipsis; NotImplemented;
re.Pattern; re.Match; Logger; hash; random.Random; numpy Generator; memmap; ufunc; frompyfunc; view and base; DataFrame;
GroupBy; polars DataFrame; polars LazyFrame; polars LazyFrame with a function; polars expression; polars GroupBy;
arrow table; arrow reader; arrow buffer; arrow file; Figure; Axes; pyplot; LogisticRegression; RandomForest;
pipeline with a lambda; defaultdict of a lambda; ZoneInfo; List[int]; NewType; TypeVar; sys.stdout; list 5000 deep
"""


def _sample(case: Awkward) -> Sample:
    alias = bool(re.search(r"\bis _|_base\[|_b\[|_d\[", case.check))
    return Sample(case.name, case.make, case.check, alias=alias, package=case.needs or "")


_names = [name.strip() for name in LIST.replace("\n", " ").split(";")]
_cases = {case.name: case for case in CASES}
AWKWARD = Group("The list of 97 awkward objects", tuple(_sample(_cases[name]) for name in _names))
MORE = Group("More that is awkward", tuple(_sample(case) for case in CASES if case.name not in _names))
assert len(AWKWARD.samples) == 97

GROUPS = (AWKWARD, MORE)
