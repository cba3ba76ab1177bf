"""Checking what is fed, before any arithmetic: names, shapes, dtypes, the batch, the values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphnet.backends import Backend
from graphnet.graph import Graph
from graphnet.plan import Plan, bind_spec
from ops.dimension import Dim, bind
from ops.operator import Spec, show

__all__ = ["FeedError", "check_domains", "check_feeds"]


class FeedError(ValueError):
    """An array that was fed does not fit the input it was fed to."""


def check_feeds(graph: Graph, feeds: Mapping[str, Any], dtype: str | None, backend: Backend) -> int:
    """Check names, types, dtypes and shapes, and return the number of examples.

    Raises:
        FeedError: see the message; it says what was expected and received.
    """
    for name in graph.inputs:
        if name not in feeds:
            raise FeedError(
                f"input {name!r} is missing; expected {list(graph.inputs)}, received {list(feeds)}"
            )
    for name in feeds:
        if name not in graph.inputs:
            raise FeedError(f"no input is called {name!r}; expected {list(graph.inputs)}")
    batch, source = 1, ""
    for name, value in graph.inputs.items():
        array = feeds[name]
        wanted = bind_spec(value.spec, 1, dtype).dtype
        if not (isinstance(array, np.ndarray) or backend.owns(array)):
            raise FeedError(
                f"input {name!r}: expected a NumPy or {backend.name} array of "
                f"{show(Spec(value.shape, wanted))}, received {_type_name(array)}"
            )
        if backend.owns(array) and (place := backend.misplaced(array)):
            raise FeedError(f"input {name!r}: the array {place}")
        if isinstance(array, np.ndarray) and type(array) not in (np.ndarray, np.memmap):
            raise FeedError(
                f"input {name!r}: expected a plain array, received {type(array).__name__}, whose "
                f"arithmetic is its own; convert it with np.asarray or .filled"
            )
        if array.dtype != np.dtype(wanted):
            raise FeedError(
                f"input {name!r}: expected {wanted}, received {array.dtype}; "
                f"convert it with .astype({wanted!r})"
            )
        if array.ndim != len(value.shape):
            one = (
                "; one example needs a batch axis, array[None]"
                if (array.ndim == len(value.shape) - 1)
                else ""
            )
            raise FeedError(_misshapen(name, value.spec, array.shape) + one)
        for size, received in zip(value.shape, array.shape, strict=True):
            if isinstance(size, Dim) and not source:
                batch, source = received, name
            if bind(size, batch) != received:
                known = f" with N = {batch} as in {source!r}" if isinstance(size, Dim) else ""
                raise FeedError(_misshapen(name, value.spec, array.shape) + known)
    return batch


def _type_name(array: Any) -> str:
    """What was fed, with its library, and the way over from CuPy."""
    kind = type(array)
    library = kind.__module__.partition(".")[0]
    name = kind.__name__ if library == "builtins" else f"{library}.{kind.__name__}"
    return f"{name}; bring it over with array.get()" if name == "cupy.ndarray" else name


def _misshapen(name: str, spec: Spec, shape: tuple[int, ...]) -> str:
    received = Spec(shape, spec.dtype)
    return f"input {name!r}: expected {show(spec)}, received {show(received)}"


def check_domains(plan: Plan, feeds: Mapping[str, Any]) -> None:
    """Check the values of host arrays that are fed as labels or indices.

    Arrays that already live on a device are not read back for this; an operator answers a
    label out of range with NaN.

    Raises:
        FeedError: a value is out of range, infinite or NaN.
    """
    for name, (interval, reader) in plan.domains.items():
        array = feeds[name]
        if not isinstance(array, np.ndarray) or not array.size:
            continue
        low, high = array.min(), array.max()
        if low >= interval.low and high < interval.high and np.isfinite(low):
            continue
        wrong = ~((array >= interval.low) & (array < interval.high) & np.isfinite(array))
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise FeedError(
            f"input {name!r}: {reader} expects values {_range(interval.low, interval.high)}, "
            f"received {array[where]} at index {where[0] if len(where) == 1 else where}"
        )


def _range(low: float, high: float) -> str:
    if np.isinf(low) and np.isinf(high):
        return "that are finite"
    return f"in {low:g} <= v < {high:g}"
