"""Hypothesis strategies for shapes and data.

Hypothesis draws what should shrink: shapes, attributes and one seed.  The entries come from
the seed and are spaced apart, so that no two tie and none is 0: kinks are kept away by
construction, not by throwing cases out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ops.windows import Padding

__all__ = [
    "away_from_zero",
    "one_or_each",
    "random_array",
    "seeds",
    "shapes",
    "spaced_array",
    "window_inputs",
]

seeds = st.integers(0, 2**32 - 1)


def shapes(
    min_rank: int = 1, max_rank: int = 4, min_size: int = 1, max_size: int = 4
) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes with ranks and sizes in the given ranges."""
    return st.lists(st.integers(min_size, max_size), min_size=min_rank, max_size=max_rank).map(
        tuple
    )


def spaced_array(
    shape: tuple[int, ...], seed: int, low: float = -2.0, high: float = 2.0, at: float = 0.5
) -> Any:
    """Entries spread evenly over ``low..high`` in random order: no ties, and none at 0.

    Each has a cell of its own and lies at the fraction ``at`` of it: arrays with different
    fractions do not tie with each other either.

    >>> sorted(spaced_array((4,), seed=0).tolist())
    [-1.5, -0.5, 0.5, 1.5]
    """
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape, dtype=np.int64))
    count = size + size % 2  # an odd number of cells would have 0 in the middle of one
    entries = low + (rng.permutation(count)[:size] + at) * ((high - low) / max(count, 1))
    return entries.reshape(shape)


def away_from_zero(shape: tuple[int, ...], seed: int) -> Any:
    """Spaced entries, none within 0.5 of 0, where a length or a reciprocal bends sharply."""
    x = spaced_array(shape, seed)
    return x + np.copysign(0.5, x)


def random_array(shape: tuple[int, ...], seed: int) -> Any:
    """Independent normal entries."""
    return np.random.default_rng(seed).normal(size=shape)


@st.composite
def window_inputs(
    draw: Callable[..., Any],
    *,
    max_rank: int = 3,
    max_kernel: int = 3,
    max_out: int = 3,
    pad_below_kernel: bool = False,
) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Window fields and the spatial sizes derived from them, so that every draw fits.

    Args:
        draw: Hypothesis's own.
        max_rank: the most spatial axes.
        max_kernel: the largest kernel size.
        max_out: the largest output size.
        pad_below_kernel: keep padding within half the kernel, so that no window meets padding
            alone.
    """
    rank = draw(st.integers(1, max_rank))
    max_kernel, max_out = (max_kernel, max_out) if rank < 3 else (2, 2)

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    kernel, stride, dilation = each(1, max_kernel), each(1, 3), each(1, 2)
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    form = draw(st.sampled_from(["valid", "same", "int", "axes", "pairs"]))
    padding: Padding
    if form in ("valid", "same"):
        padding = form
        begin_end = [(0, 0)] * rank
    else:
        limits = [k // 2 if pad_below_kernel else 2 for k in kernel]
        if form == "int":
            value = draw(st.integers(0, min(limits)))
            padding, begin_end = value, [(value, value)] * rank
        elif form == "axes":
            symmetric = tuple(draw(st.integers(0, limit)) for limit in limits)
            padding, begin_end = symmetric, [(p, p) for p in symmetric]
        else:
            begin_end = [(draw(st.integers(0, n)), draw(st.integers(0, n))) for n in limits]
            padding = tuple(begin_end)
    if form == "same":
        size = each(1, 5)
    else:
        # out - 1 strides and one extent, with what floor leaves over, less the padding
        size = tuple(
            max((out - 1) * s + e + draw(st.integers(0, s - 1)) - b - t, 1)
            for out, s, e, (b, t) in zip(each(1, max_out), stride, extent, begin_end, strict=True)
        )
    fields = {
        "kernel_size": one_or_each(draw, kernel),
        "stride": one_or_each(draw, stride),
        "padding": padding,
        "dilation": one_or_each(draw, dilation),
    }
    return fields, size


def one_or_each(draw: Callable[..., Any], values: tuple[int, ...]) -> int | tuple[int, ...]:
    """The short form of equal sizes, now and then."""
    return values[0] if len(set(values)) == 1 and draw(st.booleans()) else values
