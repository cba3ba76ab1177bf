"""Sliding windows: output sizes, padding, window views and their scatter-back.

Convolution and pooling share this one description of which input position each output
position sees.  An axis of size ``n`` with padding ``(begin, end)``, kernel ``k``, stride
``s`` and dilation ``d`` has

    out = floor((n + begin + end - (d * (k - 1) + 1)) / s) + 1

positions, and position ``o`` sees the padded entries ``o * s + i * d`` for ``i < k``.

Source: Dumoulin, Visin, "A guide to convolution arithmetic for deep learning", 2016.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from ops.arrays import Array, namespace
from ops.fields import freeze_sizes, is_integer
from ops.operator import Operator, ShapeError, Spec, known, show

__all__ = ["Padding", "PerAxis", "Windows", "freeze_windows", "pad_spatial", "per_axis"]

#: One integer for all spatial axes, or one for each.
PerAxis = int | tuple[int, ...]

#: One integer, one per axis, one (begin, end) pair per axis, or a rule.
Padding = int | tuple[int, ...] | tuple[tuple[int, int], ...] | Literal["same", "valid"]

_T = TypeVar("_T")

_SPATIAL = {1: "(N, C, L)", 2: "(N, C, H, W)", 3: "(N, C, D, H, W)"}


@dataclass(frozen=True)
class Windows:
    """The windows over the spatial axes of one input, all rules resolved.

    Every field has one entry per spatial axis.
    """

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    out: tuple[int, ...]

    @classmethod
    @functools.lru_cache(maxsize=1024)
    def over(
        cls,
        x: Spec,
        kernel_size: PerAxis,
        stride: PerAxis,
        padding: Padding,
        dilation: PerAxis = 1,
    ) -> Windows:
        """Resolve configuration against an input ``(N, C, *spatial)``.

        Raises:
            ShapeError: the rank does not fit, or a kernel is larger than the padded input.

        >>> Windows.over(Spec(("N", 3, 32, 32)), 3, 2, "same").out
        (16, 16)
        """
        size = _spatial(x)
        kernel, steps, spread = _resolve(len(size), kernel_size, stride, dilation)
        pairs = _pairs(padding, size, kernel, steps, spread)
        out = []
        for n, k, s, d, (begin, end) in zip(size, kernel, steps, spread, pairs, strict=True):
            extent = d * (k - 1) + 1
            padded = n + begin + end
            if extent > padded:
                dilated = f" (dilation {d} spreads it to {extent})" if d > 1 else ""
                raise ShapeError(
                    f"expected a kernel no larger than the padded input, received kernel size "
                    f"{k}{dilated} for size {n} padded to {padded} in {show(x)}"
                )
            out.append((padded - extent) // s + 1)
        return cls(size, kernel, steps, spread, pairs, tuple(out))

    @classmethod
    @functools.lru_cache(maxsize=1024)
    def transposed(
        cls,
        x: Spec,
        kernel_size: PerAxis,
        stride: PerAxis,
        padding: Padding,
        dilation: PerAxis = 1,
        output_padding: PerAxis = 0,
    ) -> Windows:
        """The windows that ``x``, ``(N, C, *out)``, is scattered through by a transposed operator.

        Each position of ``x`` is one window over a result of size

            (out - 1) * stride - begin - end + dilation * (kernel_size - 1) + 1 + output_padding

        With ``"same"`` padding the result has the size ``out * stride``.

        Raises:
            ShapeError: the rank does not fit, an axis is empty, the padding leaves nothing, or
                an output padding reaches the stride and the dilation.

        >>> Windows.transposed(Spec(("N", 3, 16, 16)), 3, 2, "same").size
        (32, 32)
        """
        out = _spatial(x)
        if 0 in out:
            raise ShapeError(f"expected spatial sizes of at least 1, received {show(x)}")
        kernel, steps, spread = _resolve(len(out), kernel_size, stride, dilation)
        extra = per_axis("output_padding", output_padding, len(out))
        multiple = tuple(n * s for n, s in zip(out, steps, strict=True))
        pairs = _pairs(padding, multiple, kernel, steps, spread)
        if padding == "same":
            return cls(multiple, kernel, steps, spread, pairs, out)
        size = []
        for n, k, s, d, pair, more in zip(out, kernel, steps, spread, pairs, extra, strict=True):
            if more >= max(s, d):
                raise ShapeError(
                    f"expected output_padding below the stride or the dilation, "
                    f"received {more} for stride {s} and dilation {d}"
                )
            whole = (n - 1) * s + d * (k - 1) + 1 + more
            if sum(pair) >= whole:
                raise ShapeError(
                    f"expected padding that leaves an output, received {pair} "
                    f"of {whole} positions for {show(x)}"
                )
            size.append(whole - sum(pair))
        return cls(tuple(size), kernel, steps, spread, pairs, out)

    @property
    def padded(self) -> tuple[int, ...]:
        """The spatial sizes with their padding."""
        return tuple(n + b + e for n, (b, e) in zip(self.size, self.padding, strict=True))

    @property
    def interior(self) -> tuple[slice, ...]:
        """The slices of the padded axes that hold the input itself."""
        return tuple(slice(b, b + n) for n, (b, _) in zip(self.size, self.padding, strict=True))

    @functools.cached_property
    def positions(self) -> tuple[tuple[slice, ...], ...]:
        """For each kernel position, in raster order, the padded entries that it meets.

        Slicing the padded spatial axes gives, for every output position, the one entry of
        its window under this kernel position.
        """
        return tuple(
            tuple(
                slice(i * d, i * d + (o - 1) * s + 1, s)
                for i, d, s, o in zip(position, self.dilation, self.stride, self.out, strict=True)
            )
            for position in itertools.product(*map(range, self.kernel))
        )

    def view(self, padded: Array) -> Array:
        """All windows of ``(N, C, *padded)`` as a view ``(N, C, *out, *kernel)``; no copy."""
        strides = padded.strides[2:]
        moved = tuple(s * step for s, step in zip(strides, self.stride, strict=True))
        inside = tuple(s * step for s, step in zip(strides, self.dilation, strict=True))
        return namespace(padded).lib.stride_tricks.as_strided(
            padded,
            shape=padded.shape[:2] + self.out + self.kernel,
            strides=padded.strides[:2] + moved + inside,
        )

    def scatter(self, like: Array, leading: tuple[int, int], part: Callable[[int], Array]) -> Array:
        """The transpose of :meth:`view`: give each window's entries back to the input.

        Args:
            like: an array of the library and dtype that are wanted.
            leading: examples and channels.
            part: from the number of a kernel position to what flows back there,
                ``(N, C, *out)``.

        Returns:
            The sums ``(N, C, *size)``, in channels-last memory; what falls on padding is lost.
        """
        examples, channels = leading
        padded = namespace(like).zeros((examples, *self.padded, channels), dtype=like.dtype)
        # (N, *padded, C) -> (N, C, *padded)
        padded = padded.transpose(0, padded.ndim - 1, *range(1, padded.ndim - 1))
        for number, here in enumerate(self.positions):
            padded[(slice(None), slice(None), *here)] += part(number)
        return padded[(slice(None), slice(None), *self.interior)]

    def first_inside(self, like: Array, dtype: str) -> Array:
        """The number of the first kernel position, in raster order, that meets the input itself.

        Args:
            like: an array of the library that is wanted.
            dtype: of the numbers.

        Returns:
            Numbers ``(*out,)``; they mean nothing for a window that meets padding alone.
        """
        xp = namespace(like)
        first = xp.zeros(self.out, dtype=dtype)
        for axis, (begin, _) in enumerate(self.padding):
            starts = xp.arange(self.out[axis]) * self.stride[axis] - begin
            entry = xp.maximum(-(starts // self.dilation[axis]), 0)  # of the window, on this axis
            later = math.prod(self.kernel[axis + 1 :])  # kernel positions for each such entry
            number = (entry * later).astype(dtype)
            first += number.reshape(-1, *[1] * (len(self.out) - 1 - axis))
        return first

    def only_padding(self) -> bool:
        """Whether some window sees no input entry at all."""
        axes = zip(
            self.size, self.padding, self.kernel, self.stride, self.dilation, self.out, strict=True
        )
        return any(_misses(n, begin, k, s, d, out) for n, (begin, _), k, s, d, out in axes)


def pad_spatial(x: Array, padding: tuple[tuple[int, int], ...], value: float = 0.0) -> Array:
    """Pad the spatial axes of ``(N, C, *spatial)`` with a constant.

    The memory of the result is channels-last: neighbouring channels lie next to each other,
    which makes the rows of a window's matrix long and contiguous.  An input that needs no
    padding and lies so already is returned as it is.
    """
    xp = namespace(x)
    last = x.transpose(0, *range(2, x.ndim), 1)  # (N, C, *spatial) -> (N, *spatial, C)
    if any(begin or end for begin, end in padding):
        size = tuple(n + b + e for n, (b, e) in zip(x.shape[2:], padding, strict=True))
        padded = xp.full((x.shape[0], *size, x.shape[1]), value, dtype=x.dtype)
        inside = tuple(slice(b, b + n) for n, (b, _) in zip(x.shape[2:], padding, strict=True))
        padded[(slice(None), *inside)] = last
    else:
        padded = xp.ascontiguousarray(last)
    return padded.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))  # -> (N, C, *spatial)


def per_axis(name: str, value: _T | tuple[_T, ...], rank: int) -> tuple[_T, ...]:
    """One value for each spatial axis.

    Raises:
        ShapeError: there are values for another number of axes.
    """
    if not isinstance(value, tuple):
        return (value,) * rank
    if len(value) != rank:
        raise ShapeError(f"expected {name} for {rank} spatial axes, received {value}")
    return value


def freeze_windows(operator: Operator, *names: str) -> None:
    """Check and normalise the window fields of an operator while it is constructed.

    Lists become tuples; every entry of ``names`` must be a positive integer or several.

    Raises:
        TypeError: a size is no integer.
        ValueError: a size is below 1, or the padding negative or unknown.
    """
    freeze_sizes(operator, *names)
    padding = _tuples(operator.padding)  # type: ignore[attr-defined]
    _check_padding(type(operator).__name__, padding)
    object.__setattr__(operator, "padding", padding)


def _check_padding(owner: str, padding: Any) -> None:
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(
                f'{owner}: expected "same", "valid" or sizes, received padding {padding!r}'
            )
        return
    entries = padding if isinstance(padding, tuple) else (padding,)
    for entry in entries:
        pair = entry if isinstance(entry, tuple) else (entry,)
        if isinstance(entry, tuple) and len(entry) != 2:
            raise ValueError(f"{owner}: expected (begin, end) pairs, received padding {padding!r}")
        for value in pair:
            if not is_integer(value):
                raise TypeError(f"{owner}: expected integers for padding, received {padding!r}")
            if value < 0:
                raise ValueError(f"{owner}: expected padding of at least 0, received {padding!r}")


def _misses(size: int, begin: int, kernel: int, stride: int, dilation: int, out: int) -> bool:
    """Whether some window over one axis, with ``begin`` zeros ahead of it, meets no entry."""
    if (out - 1) * stride >= begin + size:  # the last window starts behind the input
        return True
    if -(-begin // dilation) >= kernel:  # the first one ends ahead of it
        return True
    if dilation <= size:
        return False
    # a window that starts ahead of the input may step over it; where it lands repeats
    early = min(-(-begin // stride), out, dilation // math.gcd(dilation, stride))
    return any((o * stride - begin) % dilation >= size for o in range(early))


def _spatial(x: Spec) -> tuple[int, ...]:
    """The spatial sizes of ``(N, C, *spatial)``."""
    if x.rank - 2 not in _SPATIAL:
        wanted = ", ".join(_SPATIAL.values())
        raise ShapeError(f"expected an input {wanted}, received {show(x)}")
    return known(*x.shape[2:])


def _resolve(
    rank: int, kernel_size: PerAxis, stride: PerAxis, dilation: PerAxis
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    return (
        per_axis("kernel_size", kernel_size, rank),
        per_axis("stride", stride, rank),
        per_axis("dilation", dilation, rank),
    )


def _pairs(
    padding: Padding,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[tuple[int, int], ...]:
    rank = len(size)
    if padding == "valid":
        return ((0, 0),) * rank
    if padding == "same":
        # out = ceil(n / s); an odd surplus goes to the end
        totals = [
            max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
        ]
        return tuple((total // 2, total - total // 2) for total in totals)
    if isinstance(padding, int):
        return ((padding, padding),) * rank
    if len(padding) != rank:
        raise ShapeError(f"expected padding for {rank} spatial axes, received {padding}")
    return tuple(p if isinstance(p, tuple) else (p, p) for p in padding)


def _tuples(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_tuples(entry) for entry in value)
    return int(value) if is_integer(value) else value
