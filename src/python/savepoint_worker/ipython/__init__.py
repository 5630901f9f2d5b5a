"""IPython and ipykernel: their classes with another transport, and what users meet of them.

What those import and a kernel does not need is deferred here, before any module of this package can ask for it.
"""

from __future__ import annotations

from . import lazy

# Of the package that ipykernel builds on, a kernel needs the session and little else.
lazy.defer("jupyter_client", {"write_connection_file": "jupyter_client.connect"})
# Of this one, what reads a date that a machine has written.
lazy.defer("dateutil.parser", {"isoparse": "dateutil.parser.isoparser"})
