"""What a test backend writes down in place of computing it, as a CUDA graph does.

While a :class:`Recording` is open, work that a device would enqueue joins it and is done when it
is replayed, as often as one likes.  What CUDA refuses while a stream is captured is refused.

>>> done = []
>>> with record() as recording:
...     enqueue(lambda: done.append(1))
>>> done
[]
>>> recording.replay(), recording.replay(), done
(None, None, [1, 1])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphnet.backends.base import CaptureError

__all__ = ["Recording", "call", "enqueue", "record", "recording", "refuse", "refuse_result"]

#: What CuPy hands to cuBLAS.
_PRODUCTS = frozenset(
    ("matmul", "dot", "vdot", "inner", "outer", "tensordot", "einsum", "linalg", "kron")
)

#: What writes to memory that is there, and gives nothing back.
_WRITES = frozenset(("copyto", "ndarray.fill"))

#: What may give another view of an array, or an answer that is known on the host.
_VIEWS = frozenset(
    ("asarray", "broadcast_to", "expand_dims", "may_share_memory", "moveaxis", "ravel", "reshape",
     "squeeze", "swapaxes", "transpose", "view")
)  # fmt: skip


class Recording:
    """Work in the order in which it was enqueued.

    Attributes:
        stream: the number of the stream that is captured.
    """

    stream = 7

    def __init__(self) -> None:
        self._calls: list[Callable[[], object]] = []

    def add(self, call: Callable[[], object]) -> None:
        """Note a call."""
        self._calls.append(call)

    def replay(self) -> None:
        """Make all calls, in order."""
        for call in self._calls:
            call()


#: The one that is open, if any; it comes last.
_OPEN: list[Recording] = []


@contextmanager
def record() -> Iterator[Recording]:
    """Open a recording.

    Raises:
        CaptureError: one is open already.
    """
    refuse("another capture")
    _OPEN.append(Recording())
    try:
        yield _OPEN[-1]
    finally:
        _OPEN.pop()


def recording() -> Recording | None:
    """The recording that is open, None if there is none."""
    return _OPEN[-1] if _OPEN else None


def enqueue(call: Callable[[], object]) -> None:
    """Make a call, now or when the recording that is open is replayed."""
    if _OPEN:
        _OPEN[-1].add(call)
    else:
        call()


def refuse(what: str) -> None:
    """Refuse something while a recording is open.

    Raises:
        CaptureError: one is.
    """
    if _OPEN:
        raise CaptureError(f"{what} while a step is captured")


def refuse_result(path: str) -> None:
    """Refuse what makes a new array while a recording is open.

    Args:
        path: the dotted name of what does.

    Raises:
        CaptureError: one is.
    """
    if _OPEN and _method(path).partition(".")[0] in _PRODUCTS:
        raise CaptureError(f"{path} goes through CuPy's cuBLAS, which refuses to be captured")
    refuse(f"{path} gets memory of CuPy's pool")


def call(
    path: str, function: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]
) -> Any:
    """What a function of NumPy gives; while a recording is open, a view, or ``out``.

    Args:
        path: its dotted name in CuPy.
        function: itself.
        given: its arguments.
        named: those by keyword.

    Raises:
        CaptureError: a recording is open, and it makes an array or does what no stream can.
    """
    if not _OPEN:
        return function(*given, **named)
    if _method(path).partition(".")[0] in _PRODUCTS:
        refuse_result(path)
    out = named.get("out")
    if path in _WRITES or (isinstance(function, np.ufunc) and out is not None):
        enqueue(lambda: function(*given, **named))
        return out
    if _method(path) not in _VIEWS:
        refuse_result(path)
    result = function(*given, **named)
    if isinstance(result, np.ndarray) and result.size:
        owners = (*given, getattr(function, "__self__", None))
        arrays = [owner for owner in owners if isinstance(owner, np.ndarray)]
        if not any(np.may_share_memory(result, array) for array in arrays):
            refuse_result(path)
    return result


def _method(path: str) -> str:
    return path.removeprefix("ndarray.")
