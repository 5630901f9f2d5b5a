"""Frozen copies of the worker: taking one, what it may keep open, and waking it."""

from __future__ import annotations
