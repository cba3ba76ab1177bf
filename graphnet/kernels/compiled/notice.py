"""Says what is being compiled while a kernel is, which takes seconds, once.

What lies compiled on disk says nothing, and neither does anything where errors go to no terminal.
"""

from __future__ import annotations

import functools
from typing import Any

from numba.core.event import Listener, register
from rich.console import Console
from rich.status import Status

__all__ = ["CompileNotice", "watch"]


class CompileNotice(Listener):  # type: ignore[misc]
    """A line on a terminal for as long as kernels of this package are compiled."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._depth = 0

    def on_start(self, event: Any) -> None:
        """A function is compiled from now on, perhaps on the way to another."""
        function = event.data["dispatcher"].py_func
        ours = function.__module__.startswith("graphnet.")
        self._depth += bool(ours or self._depth)
        if not ours:
            return
        module = function.__module__.rpartition(".")[2]
        text = f"compiling {module}.{function.__name__.strip('_')}, kept for the next time"
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def on_end(self, event: Any) -> None:
        """It is done."""
        if self._depth:
            self._depth -= 1
            if not self._depth and self._status is not None:
                self._status.stop()
                self._status = None


@functools.cache
def watch() -> None:
    """Show what is compiled from now on, if there is a terminal to show it on."""
    console = Console(stderr=True)
    if console.is_terminal:
        register("numba:compile", CompileNotice(console))
