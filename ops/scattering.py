"""Entries written by integer indices: over what is there, or combined with it.

Indices are those of :mod:`ops.indexing`.  Where several meet in one entry, sums and products
take all of them and an extreme one of them; what a GPU adds in no fixed order may differ in
the last digits from run to run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.fields import expect_choice, freeze_flags, freeze_integers
from ops.indexing import AlongAxis, expect_elements, expect_places, places_domain
from ops.operator import (
    Interval,
    ShapeError,
    Spec,
    expect_numeric,
    expect_spec,
    known,
    normalize_axis,
    show,
)
from ops.scatter import places_along, places_of
from ops.shape import Rearrangement

__all__ = ["ScatterElements", "ScatterND", "TensorScatter"]

_REDUCTIONS = ("none", "add", "mul", "max", "min")


@dataclass(frozen=True)
class ScatterElements(AlongAxis):
    """The input with one entry per index written over, or combined with an update.

    ``y = x``, then ``y[i, indices[i, j, k], k] = updates[i, j, k]``, or ``+=``, ``*=`` and so on,
    for three axes and ``axis=1``.

    Shapes:
        - x: any of one or more axes
        - indices: as many axes, of an integer dtype and any size along ``axis``, elsewhere no
          larger than x; each in ``-n <= i < n`` for n entries of x along the axis
        - updates: the shape of the indices, of the dtype of x
        - y: the shape of x

    Args:
        axis: the axis along which to write, counted from the end if negative; default 0.
        reduction: ``"none"`` writes over, where no two indices may meet in one entry: which of
            them stays is left open, and each gets the gradient.  ``"add"`` and ``"mul"`` take
            all that meet, ``"max"`` and ``"min"`` one, whose gradient goes to x in a tie with
            it, and else to the first in raster order.  Default ``"none"``.

    Raises:
        TypeError, ValueError: the axis is no integer, or the reduction unknown.
        ShapeError: there is no such axis or no entry along it, the indices or updates do not
            fit the input, or truth values are to be combined.

    Source: ONNX ``ScatterElements``; PyTorch's ``scatter`` and ``scatter_reduce``, which know no
    index below 0.

    >>> import numpy as np
    >>> y, _ = ScatterElements(reduction="add").forward(
    ...     np.zeros(3), np.array([2, 0, 2]), np.array([1.0, 2.0, 3.0])
    ... )
    >>> y
    array([2., 0., 4.])
    """

    reduction: str = "none"

    def __post_init__(self) -> None:
        freeze_integers(self, "axis")
        expect_choice(self, "reduction", _REDUCTIONS)

    def infer(self, x: Spec, indices: Spec, updates: Spec) -> Spec:
        _expect_combined(x, self.reduction)
        expect_elements(indices, x, normalize_axis(self.axis, x.rank))
        expect_spec("updates", updates, indices.shape, x.dtype)
        return x

    def flops(self, *specs: Spec) -> int:
        return specs[2].elements if self.reduction != "none" else 0

    def forward(self, x: Array, indices: Array, updates: Array) -> tuple[Array, tuple[Any, ...]]:
        places = places_along(indices, x.shape, normalize_axis(self.axis, x.ndim))
        return _written(x, places, updates, self.reduction)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        dx, dupdates = _handed_back(saved, dy, self.reduction, (needs[0], needs[2]))
        return dx, None, dupdates


@dataclass(frozen=True)
class ScatterND(Rearrangement):
    """The input with slices written over, or combined with updates, at places given by indices.

    ``y = x``, then ``y[*indices[i, :], ...] = updates[i, ...]``, or ``+=``, ``*=`` and so on.

    Shapes:
        - x: ``(*sizes, *rest)``
        - indices: ``(*places, k)``, of an integer dtype, one index for each of the k sizes, in
          ``-n <= i < n``
        - updates: ``(*places, *rest)``, of the dtype of x
        - y: the shape of x

    Args:
        reduction: as in :class:`ops.ScatterElements`; default ``"none"``.

    Raises:
        ValueError: the reduction is unknown.
        ShapeError: x has fewer axes than there are indices, the indices are no integers, the
            updates do not fit, or truth values are to be combined.

    Source: ONNX ``ScatterND``; TensorFlow's ``tensor_scatter_nd_update``.

    >>> import numpy as np
    >>> ScatterND().forward(np.zeros((2, 2)), np.array([[1]]), np.array([[5.0, 6.0]]))[0].tolist()
    [[0.0, 0.0], [5.0, 6.0]]
    """

    reduction: str = "none"

    def __post_init__(self) -> None:
        expect_choice(self, "reduction", _REDUCTIONS)

    def infer(self, x: Spec, indices: Spec, updates: Spec) -> Spec:
        _expect_combined(x, self.reduction)
        count = expect_places(indices, x)
        expect_spec("updates", updates, (*indices.shape[:-1], *x.shape[count:]), x.dtype)
        return x

    def domains(self, x: Spec, indices: Spec, updates: Spec) -> dict[str, Interval]:
        return places_domain(x, indices)

    def flops(self, *specs: Spec) -> int:
        return specs[2].elements if self.reduction != "none" else 0

    def forward(self, x: Array, indices: Array, updates: Array) -> tuple[Array, tuple[Any, ...]]:
        rows, (_, length) = places_of(indices, x.shape)
        places = rows[..., None] * length + namespace(x).arange(length)
        return _written(x, places, updates, self.reduction)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        dx, dupdates = _handed_back(saved, dy, self.reduction, (needs[0], needs[2]))
        return dx, None, dupdates


@dataclass(frozen=True)
class TensorScatter(Rearrangement):
    """A cache with a run of entries written over, at a place of each example's own.

    ``y = x``, then ``y[b, ..., start_b + t, ...] = update[b, ..., t, ...]`` for each step t.

    Shapes:
        - x: ``(N, ..., n, ...)``, of any dtype
        - update: the same but for the axis, along which it has no more entries
        - start: ``(N,)``, of an integer dtype, each in ``0 <= i <= n - t`` for t entries of the
          update, or in ``0 <= i < n`` if circular; zeros if left out
        - y: the shape of x

    Args:
        axis: the axis of the run, any but the first; default -2.
        circular: whether a run that reaches the end goes on at the beginning; default False.

    Raises:
        TypeError: a field is no integer, or not True or False.
        ShapeError: there is no such axis, or the update or the start does not fit the cache.

    Source: ONNX ``TensorScatter``.

    >>> import numpy as np
    >>> x, update = np.zeros((1, 3, 1)), np.ones((1, 2, 1))
    >>> TensorScatter(circular=True).forward(x, update, np.array([2]))[0][0, :, 0]
    array([1., 0., 1.])
    """

    axis: int = -2
    circular: bool = False

    def __post_init__(self) -> None:
        freeze_integers(self, "axis")
        freeze_flags(self, "circular")

    def infer(self, x: Spec, update: Spec, start: Spec | None = None) -> Spec:
        axis = self._axis(x.rank)
        entries, run = known(x.shape[axis], *update.shape[axis : axis + 1] or (0,))
        expect_spec("an update", update, (*x.shape[:axis], run, *x.shape[axis + 1 :]), x.dtype)
        if run > entries:
            raise ShapeError(
                f"expected an update of at most {entries} entries along axis {axis}, "
                f"received {show(update)}"
            )
        if start is not None and (
            start.shape != x.shape[:1] or start.dtype not in ("int64", "int32")
        ):
            raise ShapeError(
                f"expected one start for each example of {show(x)}, int32 or int64, "
                f"received {show(start)}"
            )
        return x

    def domains(self, x: Spec, update: Spec, start: Spec | None = None) -> dict[str, Interval]:
        axis = self._axis(x.rank)
        entries, run = known(x.shape[axis], update.shape[axis])
        return {"start": Interval(0, entries if self.circular else entries - run + 1)}

    def forward(
        self, x: Array, update: Array, start: Array | None = None
    ) -> tuple[Array, tuple[Any, ...]]:
        xp = namespace(x)
        axis = self._axis(x.ndim)
        entries, run = x.shape[axis], update.shape[axis]
        steps = xp.arange(run).reshape((run,) + (1,) * (x.ndim - 1 - axis))
        if start is not None:
            steps = steps + start.astype("int64").reshape((len(x),) + (1,) * (x.ndim - 1))
        if self.circular:
            steps = steps % max(entries, 1)
        indices = xp.broadcast_to(steps, update.shape)
        return _written(x, places_along(indices, x.shape, axis), update, "none")

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        dx, dupdate = _handed_back(saved, dy, "none", needs)
        return dx, dupdate, None

    def _axis(self, rank: int) -> int:
        axis = normalize_axis(self.axis, rank)
        if axis == 0:
            raise ShapeError("expected another axis than the first, which is the batch")
        return axis


def _expect_combined(x: Spec, reduction: str) -> None:
    if reduction != "none":
        expect_numeric("an input to combine updates with", x)


def _written(
    x: Array, places: Array, updates: Array, reduction: str
) -> tuple[Array, tuple[Any, ...]]:
    """The input with updates at these places in raster order, and what is saved of it."""
    xp = namespace(x)
    shape, flat, places = updates.shape, updates.reshape(-1), places.reshape(-1)
    y = x.copy().reshape(-1)
    if reduction == "none":
        y[places] = flat
        return y.reshape(x.shape), (places, shape)
    if reduction == "add":
        xp.add.at(y, places, flat)
        return y.reshape(x.shape), (places, shape)
    if reduction == "mul":
        order, sorted_places = _sorted(places)
        y *= _factors(sorted_places, flat[order], y.size)
        return y.reshape(x.shape), (places, shape, x, updates)
    (xp.maximum if reduction == "max" else xp.minimum).at(y, places, flat)
    y = y.reshape(x.shape)
    return y, (places, shape, x, updates, y)


def _handed_back(
    saved: tuple[Any, ...], dy: Array, reduction: str, needs: tuple[bool, ...]
) -> tuple[Array | None, Array | None]:
    """The gradients of the input and of the updates."""
    places, shape, *given = saved
    xp = namespace(dy)
    flat = dy.reshape(-1)
    if reduction in ("none", "add"):
        dx = dy.copy().reshape(-1) if needs[0] else None
        if dx is not None:
            if reduction == "none":
                dx[places] = 0  # what was written over has no say
            dx = dx.reshape(dy.shape)
        return dx, flat[places].reshape(shape) if needs[1] else None
    x, updates = given[0].reshape(-1), given[1].reshape(-1)
    dx = dupdates = None
    if reduction == "mul":
        order, sorted_places = _sorted(places)
        values = updates[order]
        if needs[0]:
            dx = flat * _factors(sorted_places, values, x.size)
        if needs[1]:
            others = _products_ahead(sorted_places, values)
            others *= _products_ahead(sorted_places[::-1], values[::-1])[::-1]
            dupdates = xp.empty_like(values)
            dupdates[order] = (flat * x)[sorted_places] * others
    else:
        y = given[2].reshape(-1)
        stays = x == y
        if needs[0]:
            dx = xp.where(stays, flat, 0)
        if needs[1]:
            numbers = xp.arange(places.size)
            wins = (updates == y[places]) & ~stays[places]
            first = xp.full(x.shape, places.size, dtype="int64")
            xp.minimum.at(first, places, xp.where(wins, numbers, places.size))
            dupdates = xp.where(first[places] == numbers, flat[places], 0)
    return (
        None if dx is None else dx.reshape(dy.shape),
        None if dupdates is None else dupdates.reshape(shape),
    )


def _sorted(places: Array) -> tuple[Array, Array]:
    """An order in which equal places lie side by side, and the places in it."""
    order = places.argsort(kind="stable")
    return order, places[order]


def _factors(places: Array, values: Array, size: int) -> Array:
    """The product of all values of each of ``size`` places, 1 where there is none."""
    xp = namespace(values)
    last = xp.ones(places.shape, dtype="bool")
    last[:-1] = places[1:] != places[:-1]
    products = _products_ahead(places, values) * values
    # those of all but the last of a place meet in an entry of their own
    factors = xp.ones(size + 1, dtype=values.dtype)
    factors[xp.where(last, places, size)] = products
    return factors[:-1]


def _products_ahead(places: Array, values: Array) -> Array:
    """The product of all values of the same place ahead of each, for places side by side.

    Runs of 1, 2, 4, ... values are joined, so that nothing has to be counted on the host.
    """
    xp = namespace(values)
    products = xp.ones_like(values)
    products[1:] = xp.where(places[1:] == places[:-1], values[:-1], 1)
    step = 1
    while step < values.size:
        products[step:] *= xp.where(places[step:] == places[:-step], products[:-step], 1)
        step *= 2
    return products
