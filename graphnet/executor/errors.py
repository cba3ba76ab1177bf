"""The error of the executor's own."""

from __future__ import annotations

__all__ = ["ExecutorError"]


class ExecutorError(RuntimeError):
    """A call that makes no sense now, such as backward before forward."""
