"""What is known while a model is read: arrays, and integers that are linear in the batch.

``Shape`` of an input ``(N, 3, 32, 32)`` gives ``[N, 3, 32, 32]``.  Such an array is
``array + slope * N``; moving its entries about, sums and exact quotients keep it so, and that is
all that shape arithmetic needs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphnet.onnx.errors import OnnxError
from ops.comparison import Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual
from ops.dimension import Dim, Size, SymbolError
from ops.elementwise import Add, Divide, Multiply, Subtract, Where
from ops.operator import Operator, ShapeError, Spec, expect_outputs, show
from ops.shape import Flatten, Rearrangement, Reshape, Squeeze, Transpose, Unsqueeze

__all__ = [
    "AFFORDABLE",
    "FILLED",
    "Known",
    "Leaf",
    "expect_affordable",
    "fold",
    "from_sizes",
    "is_computed",
    "shared",
    "to_sizes",
]

#: How many bytes a folded array may have, unless it is made of larger ones.
AFFORDABLE = 64 * 2**20

#: The same for one entry over and over, which takes no memory as long as it is only looked at.
FILLED = 2**30

#: What only gives the entries of a parameter another order or shape: the result is a parameter too.
_BIJECTIVE = (Flatten, Reshape, Squeeze, Transpose, Unsqueeze)


@dataclass(frozen=True)
class Leaf:
    """The initializer an array comes from: it becomes a parameter of the graph."""

    name: str
    trainable: bool
    alone: bool
    """Whether one node reads it, and no other."""
    decay: bool | None = None
    """Whether weight decay applies; None where the file does not say."""


@dataclass(frozen=True, eq=False)
class Known:
    """An array that is known at import: ``array``, or ``array + slope * N``."""

    array: np.ndarray
    slope: np.ndarray | None = None
    leaf: Leaf | None = None
    name: str | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the array."""
        return self.array.shape

    @property
    def dtype(self) -> str:
        """The name of the dtype, which may be one that NumPy itself lacks, such as bfloat16."""
        return self.array.dtype.name


def is_computed(dtype: np.dtype[Any]) -> bool:
    """Whether operators compute in it: not text, and no dtype that NumPy itself lacks."""
    return dtype.isbuiltin == 1 and dtype.kind in "biuf"


def from_sizes(sizes: tuple[Size, ...], dtype: str = "int64") -> Known:
    """Sizes as an array.

    >>> from_sizes((Dim(), 3)).slope.tolist()
    [1, 0]
    """
    offsets = [size.offset if isinstance(size, Dim) else size for size in sizes]
    slopes = [size.scale if isinstance(size, Dim) else 0 for size in sizes]
    array = np.array(offsets, dtype=dtype)
    return Known(array, np.array(slopes, dtype=dtype) if any(slopes) else None)


def to_sizes(known: Known) -> tuple[Size, ...]:
    """The entries of an array of integers as sizes, whatever its shape."""
    offsets = [int(entry) for entry in known.array.reshape(-1)]
    if known.slope is None:
        return tuple(offsets)
    slopes = (int(entry) for entry in known.slope.reshape(-1))
    pairs = zip(slopes, offsets, strict=True)
    return tuple(Dim(slope, offset) if slope else offset for slope, offset in pairs)


def fold(operator: Operator, inputs: tuple[Known | None, ...]) -> tuple[Known, ...]:
    """What an operator gives for known inputs, computed by its own ``forward``.

    Raises:
        OnnxError: the result depends on the batch, or is far larger than what it is made of.
        ShapeError: the inputs do not fit.
    """
    given = [known for known in inputs if known is not None]
    if any(known.slope is not None for known in given):
        return _fold_linear(operator, given)
    arrays = tuple(None if known is None else known.array for known in inputs)
    results = tuple(map(Known, compute(operator, arrays)))
    alone = len(given) == 1 and given[0].leaf is not None and given[0].leaf.alone
    if alone and isinstance(operator, _BIJECTIVE):
        return tuple(replace(result, leaf=given[0].leaf) for result in results)
    return results


def compute(operator: Operator, arrays: tuple[np.ndarray | None, ...]) -> tuple[np.ndarray, ...]:
    """The outputs of an operator; narrow floats are computed in float32 and rounded to them."""
    narrow = {a.dtype for a in arrays if a is not None and not is_computed(a.dtype)}
    if narrow:
        wide = tuple(
            a if a is None or is_computed(a.dtype) else a.astype("float32") for a in arrays
        )
        (dtype, *_) = narrow
        found = compute(operator, wide)
        return tuple(y.astype(dtype) if y.dtype == np.float32 else y for y in found)
    refusal = None
    specs = [None if a is None else Spec(a.shape, a.dtype.name) for a in arrays]
    try:
        outputs = expect_outputs(operator.infer(*specs))
    except ShapeError as error:
        # operators refuse what has no gradient; here none is asked for
        if all(spec is None or spec.is_floating for spec in specs):
            raise
        refusal = error
    else:
        expect_affordable(outputs, arrays)
    try:
        with np.errstate(all="ignore"):
            result, _ = operator.forward(*arrays)
    except (ValueError, TypeError, IndexError) as error:
        raise ShapeError(str(refusal or error)) from error
    results = result if isinstance(result, tuple) else (result,)
    if refusal is None:
        pairs = zip(results, outputs, strict=True)
        return tuple(np.asarray(y).astype(spec.dtype, copy=False) for y, spec in pairs)
    kept = next(a for a in arrays if a is not None).dtype
    return tuple(
        np.asarray(y) if np.asarray(y).dtype == bool else np.asarray(y).astype(kept)
        for y in results
    )


def shared(item: Any) -> Any:
    """An item that more than one node may read, whatever the graph around them says."""
    if not isinstance(item, Known) or item.leaf is None:
        return item
    return replace(item, leaf=replace(item.leaf, alone=False))


def expect_affordable(
    outputs: tuple[Spec, ...],
    inputs: tuple[np.ndarray | None, ...] = (),
    limit: int = AFFORDABLE,
) -> None:
    """Refuse a result that is far larger than what it is made of.

    Raises:
        OnnxError: it is.
    """
    read = sum(array.nbytes for array in inputs if array is not None)
    for spec in outputs:
        if np.dtype(spec.dtype).itemsize * spec.elements > max(limit, 8 * read):
            raise OnnxError(
                f"expected constants of at most {limit >> 20} MiB, received {show(spec)}"
            )


def _fold_linear(operator: Operator, given: list[Known]) -> tuple[Known, ...]:
    """``fold`` for arrays that are linear in the batch."""
    arrays = tuple(known.array for known in given)
    slopes = tuple(
        np.zeros_like(known.array) if known.slope is None else known.slope for known in given
    )
    if isinstance(operator, Rearrangement | Add | Subtract):
        if type(operator).__name__ in ("Gather", "GatherElements"):
            slopes = (slopes[0], arrays[1])
        pairs = zip(compute(operator, arrays), compute(operator, slopes), strict=True)
        return tuple(_simplest(array, slope) for array, slope in pairs)
    if isinstance(operator, Multiply) and not (slopes[0].any() and slopes[1].any()):
        (a, b), (slope_a, slope_b) = arrays, slopes
        return (_simplest(a * b, slope_a * b + slope_b * a),)
    if isinstance(operator, Divide) and not slopes[1].any():
        return (_quotient(arrays[0], slopes[0], arrays[1]),)
    if isinstance(operator, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual):
        return (Known(_compare(operator, arrays, slopes)),)
    if isinstance(operator, Where) and not slopes[0].any():
        chosen = (compute(operator, (arrays[0], *each[1:]))[0] for each in (arrays, slopes))
        return (_simplest(*chosen),)
    raise OnnxError(
        f"the result of {type(operator).__name__} is not known before the batch is: "
        f"bind it with shapes={{input: sizes}}"
    )


def _simplest(array: np.ndarray, slope: np.ndarray) -> Known:
    return Known(array, slope if slope.any() else None)


def _quotient(array: np.ndarray, slope: np.ndarray, divisor: np.ndarray) -> Known:
    if array.dtype.kind == "f":
        return _simplest(array / divisor, slope / divisor)
    if not divisor.all() or (array % divisor).any() or (slope % divisor).any():
        raise OnnxError("a quotient of the batch is not known to be whole: bind it with shapes=")
    return _simplest(array // divisor, slope // divisor)


def _compare(operator: Operator, arrays: Any, slopes: Any) -> np.ndarray:
    """A comparison that comes out alike for every batch of at least one example."""
    found = []
    difference, slope = arrays[0] - arrays[1], slopes[0] - slopes[1]
    # the comparison may change where the difference crosses 0, or is it: try all sides
    for batch in (1, 2, *_crossings(difference, slope), 2**31):
        found.append(
            compute(operator, (arrays[0] + slopes[0] * batch, arrays[1] + slopes[1] * batch))
        )
    first = found[0][0]
    if any((first != other[0]).any() for other in found):
        raise SymbolError("a comparison that decides a shape depends on the batch")
    return first


def _crossings(difference: np.ndarray, slope: np.ndarray) -> list[int]:
    """Batches about which ``difference + slope * N`` is 0."""
    places = []
    for d, s in zip(difference.reshape(-1), slope.reshape(-1), strict=True):
        if s:
            near = int(-d // s)
            places += [n for n in (near - 1, near, near + 1) if n >= 1]
    return places
