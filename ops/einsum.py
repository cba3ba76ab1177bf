"""Sums of products in index notation: ``ij,jk->ik`` is the matrix product.

An equation names each axis of each operand by a letter.  Equal letters are one index, and an
index that the output does not name is summed over.  Once the ranks are known, letters stand in for
the ellipsis, axes of size 1 that repeat along it are dropped, and a letter that an operand
has twice becomes one axis along its diagonal: what remains is a plain sum of products.  The
gradient of an operand is such a sum again, of ``dy`` and the other operands, with the letters
of the operand as its output.
"""

from __future__ import annotations

import math
import string
from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.broadcasting import broadcast_shapes
from ops.dimension import Size
from ops.operator import Operator, ShapeError, Spec, expect_floating, known, show_shape

__all__ = ["Einsum"]

_LETTERS = string.ascii_letters

#: Stands in an operand's letters for an axis of size 1 that repeats along the ellipsis.
_REPEATED = "."


@dataclass(frozen=True)
class Einsum(Operator):
    """Sum of products by index notation: ``y_out = sum over the other indices of prod_k x_k``.

    ``"ij,jk->ik"`` is the matrix product, ``"bi,bi->b"`` the inner products of rows,
    ``"ii->i"`` the diagonal, ``"i,j->ij"`` the outer product.

    Shapes:
        - xs: one for each operand of the equation, with one axis for each of its letters, all
          of one floating dtype.  Axes of one letter have one size.  The axes under an
          ellipsis, aligned at their last, broadcast.
        - y: the axes that the output names

    Args:
        equation: the letters ``a-z`` and ``A-Z`` of the axes of each operand, the operands
            separated by commas, then ``->`` and the letters of the output.  An operand may
            have a letter more than once; the output may not.  Without ``->`` the output is
            the ellipsis, if there is one, and the letters that occur once, sorted, capitals
            first; the field is kept with this output written out.  ``...`` stands for any
            number of axes; where the output leaves it out, they are summed over, as in
            PyTorch (NumPy refuses).

    Raises:
        TypeError, ValueError: the equation is no text, or does not read as one.
        ShapeError: the number of operands, their ranks, sizes or dtypes do not fit.

    Source: Einstein, "Die Grundlage der allgemeinen Relativitätstheorie", 1916; ONNX
    ``Einsum``.

    >>> import numpy as np
    >>> Einsum("bij,bjk->bik").forward(np.ones((2, 3, 4)), np.ones((2, 4, 5)))[0].shape
    (2, 3, 5)
    >>> Einsum("ij, jk")
    Einsum(equation='ij,jk->ik')
    """

    equation: str

    def __post_init__(self) -> None:
        if not isinstance(self.equation, str):
            raise TypeError(f"Einsum: expected an equation as text, received {self.equation!r}")
        object.__setattr__(self, "equation", _explicit(self.equation))

    def infer(self, *xs: Spec) -> Spec:
        _, output, sizes = self._resolve(tuple(x.shape for x in xs))
        for x in xs:
            expect_floating("an operand", x)
            if x.dtype != xs[0].dtype:
                raise ShapeError(
                    f"expected operands of one dtype, received {xs[0].dtype} and {x.dtype}"
                )
        return xs[0].with_shape(tuple(sizes[letter] for letter in output))

    def forward(self, *xs: Array) -> tuple[Array, tuple[Any, ...]]:
        shapes = tuple(x.shape for x in xs)
        axes, output, _ = self._resolve(shapes)
        operands = [_by_letter(x, letters) for x, letters in zip(xs, axes, strict=True)]
        y = _sum_of_products(operands, output)
        # the gradient of a single operand does not depend on it
        return y, (shapes, *(xs if len(xs) > 1 else ()))

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        shapes, *xs = saved
        axes, output, sizes = self._resolve(shapes)
        operands = [_by_letter(x, letters) for x, letters in zip(xs, axes, strict=False)]

        def gradient(number: int) -> Array:
            factors = [(dy, output), *operands[:number], *operands[number + 1 :]]
            own, shape = axes[number], shapes[number]
            distinct = _distinct(own)
            met = set().union(*(letters for _, letters in factors))
            reached = "".join(letter for letter in distinct if letter in met)
            dx = _sum_of_products(factors, reached)
            if reached == own:
                return dx if len(factors) > 1 else dx.copy()
            # summed letters that nobody else has get one gradient all along; what lies off a
            # diagonal gets none
            whole = namespace(dy).zeros(shape, dtype=dy.dtype)
            view, _ = _by_letter(whole, own)
            view[...] = dx.reshape(
                tuple(sizes[letter] if letter in met else 1 for letter in distinct)
            )
            return whole

        return tuple(gradient(k) if need else None for k, need in enumerate(needs))

    def flops(self, *xs: Spec) -> int:
        _, output, sizes = self._resolve(tuple(x.shape for x in xs))
        additions = any(letter not in output for letter in sizes)
        return (len(xs) - 1 + additions) * math.prod(known(*sizes.values()))

    def _resolve(
        self, shapes: tuple[tuple[Size, ...], ...]
    ) -> tuple[list[str], str, dict[str, Size]]:
        """The letters of each operand's axes, those of the output, and the size of each."""
        left, output = self.equation.split("->")
        terms = left.split(",")
        if len(terms) != len(shapes):
            raise ShapeError(
                f"expected {len(terms)} operands for {self.equation!r}, received {len(shapes)}"
            )
        hidden = [
            _under_ellipsis(number, term, shape)
            for number, (term, shape) in enumerate(zip(terms, shapes, strict=True))
        ]
        try:
            wide = broadcast_shapes(*hidden)
        except ShapeError as error:
            raise ShapeError(f"under the ellipsis: {error}") from None
        free = [letter for letter in _LETTERS if letter not in self.equation]
        if len(wide) > len(free):
            raise ShapeError(
                f"expected at most {len(free)} axes under the ellipsis, received {len(wide)}"
            )
        joined = "".join(free[: len(wide)])
        sizes: dict[str, Size] = dict(zip(joined, wide, strict=False))
        origin: dict[str, int] = {}
        axes = []
        for number, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
            skipped = len(wide) - len(hidden[number])
            aligned = zip(joined[skipped:], wide[skipped:], hidden[number], strict=True)
            letters = term.replace(
                "...", "".join(_REPEATED if n != most else letter for letter, most, n in aligned)
            )
            for letter, n in zip(letters, shape, strict=True):
                if letter != _REPEATED and sizes.setdefault(letter, n) != n:
                    raise ShapeError(
                        f"expected size {sizes[letter]} for {letter!r} as in operand "
                        f"{origin[letter]}, received {n} in operand {number}"
                    )
                origin.setdefault(letter, number)
            axes.append(letters)
        return axes, output.replace("...", joined), sizes


def _explicit(equation: str) -> str:
    """The equation without blanks and with its output.

    Raises:
        ValueError: it does not read as an equation.
    """
    left, arrow, output = "".join(equation.split()).partition("->")
    terms = left.split(",")
    for term in (*terms, output):
        if not all(character in _LETTERS for character in term.replace("...", "", 1)):
            raise ValueError(
                f"Einsum: expected the letters a-z and A-Z and at most one ellipsis for each "
                f"operand and the output, received {term!r} in {equation!r}"
            )
    named = "".join(terms)
    if not arrow:
        once = sorted(letter for letter in _LETTERS if named.count(letter) == 1)
        output = ("..." if "..." in named else "") + "".join(once)
    for letter in output.replace("...", ""):
        if letter not in named or output.count(letter) > 1:
            raise ValueError(
                f"Einsum: expected an output of letters of the operands, each at most once, "
                f"received {letter!r} in {equation!r}"
            )
    if "..." in output and "..." not in named:
        raise ValueError(
            f"Einsum: expected an ellipsis in an operand as there is one in the output, "
            f"received {equation!r}"
        )
    return f"{left}->{output}"


def _under_ellipsis(number: int, term: str, shape: tuple[Size, ...]) -> tuple[Size, ...]:
    """The sizes of the axes for which an operand's ellipsis stands.

    Raises:
        ShapeError: the rank does not fit the operand's letters.
    """
    before, ellipsis, after = term.partition("...")
    named = len(before) + len(after)
    if len(shape) < named or (len(shape) > named and not ellipsis):
        raise ShapeError(
            f"expected {named}{' or more' if ellipsis else ''} axes for operand {number}, "
            f"{term!r}, received {show_shape(shape)}"
        )
    return shape[len(before) : len(shape) - len(after)]


def _by_letter(x: Array, letters: str) -> tuple[Array, str]:
    """``x`` with one axis for each different letter of its axes, and these; a view."""
    distinct = _distinct(letters)
    if distinct == letters:
        return x, letters
    # a step along a diagonal is one along each of its axes
    steps = dict.fromkeys(distinct, 0)
    sizes = dict(zip(letters, x.shape, strict=True))
    for letter, stride in zip(letters, x.strides, strict=True):
        if letter != _REPEATED:
            steps[letter] += stride
    view = namespace(x).lib.stride_tricks.as_strided(
        x, shape=tuple(sizes[letter] for letter in distinct), strides=tuple(steps.values())
    )
    return view, distinct


def _distinct(letters: str) -> str:
    """Each letter once, in order of appearance, without those of repeated axes."""
    return "".join(dict.fromkeys(letters.replace(_REPEATED, "")))


def _sum_of_products(operands: list[tuple[Array, str]], output: str) -> Array:
    """The plain case: no letter twice in an operand, and all sizes of a letter equal."""
    equation = f"{','.join(letters for _, letters in operands)}->{output}"
    arrays = [array for array, _ in operands]
    xp = namespace(arrays[0])
    # in pairs, each by a matrix product where it is one; of no axis NumPy makes a scalar
    return xp.asarray(xp.einsum(equation, *arrays, optimize=True))
