"""What was measured on a machine, kept in a file for the next process.

The files lie in the folder that the environment variable ``GRAPHNET_CACHE`` names, or else in the
user's folder for caches.  They can be deleted at any time.
"""

from __future__ import annotations

import json
import os
import threading
import warnings
from pathlib import Path
from typing import Any

from graphnet.weights import write_whole

__all__ = ["VARIABLE", "Kept"]

#: The variable that names the folder.
VARIABLE = "GRAPHNET_CACHE"


class Kept:
    """A file of JSON with values by key, read once in a process.

    Args:
        name: of the file.
        what: it holds, for the warning where it cannot be written.
    """

    def __init__(self, name: str, what: str) -> None:
        self._name, self._what = name, what
        self._values: dict[str, Any] | None = None
        self._warned = False
        # networks in several threads may read and write at once
        self._lock = threading.RLock()

    def read(self) -> dict[str, Any]:
        """All that is known; nothing where there is no such file or it holds something else."""
        with self._lock:
            if self._values is None:
                try:
                    found = json.loads(self.path.read_text(encoding="utf-8"))
                except (OSError, ValueError, RuntimeError):
                    found = {}
                self._values = found if isinstance(found, dict) else {}
            return self._values

    def write(self, key: str, value: Any) -> None:
        """Keep a value; a warning, once, where the file cannot be written."""
        with self._lock:
            self.read()[key] = value
            try:
                path = self.path
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, json.dumps(self.read(), indent=1).encode())
            except (OSError, RuntimeError) as error:
                self._warn(str(error))

    def forget(self) -> None:
        """Read the file anew when it is next asked for."""
        self._values = None
        self._warned = False

    @property
    def path(self) -> Path:
        """Where the file lies."""
        folder = os.environ.get(VARIABLE)
        if folder:
            return Path(folder) / self._name
        base = os.environ.get("XDG_CACHE_HOME")
        return (Path(base) if base else Path.home() / ".cache") / "graphnet" / self._name

    def _warn(self, problem: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{self._what} is measured anew in every process, as it cannot be kept "
                f"({problem}); {VARIABLE} names a folder",
                RuntimeWarning,
                stacklevel=5,
            )
