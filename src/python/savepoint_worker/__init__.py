"""The Python side of a Savepoint kernel: the zygote, the workers forked from it, and what runs in them."""

from __future__ import annotations
