"""Processes beside the worker: the user's, kept honest, and ours, kept out of the way and not left behind."""

from __future__ import annotations
