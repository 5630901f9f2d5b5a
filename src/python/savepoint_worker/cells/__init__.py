"""Running one cell: code to outcome, and what is noted about it."""

from __future__ import annotations
