"""The batch dimension of a shape before its size is known: ``N``, ``2*N``, ``N+1``.

A shape is a tuple of integers and at most one symbol.  The symbol takes part in the few
sums and products that shape arithmetic needs (joining along the batch, folding time into
it), and a plan replaces it by a number.

>>> n = Dim()
>>> n, n * 64, n + n, (n * 64) // 16
(N, 64*N, 2*N, 4*N)
>>> n == "N", (n * 64).bind(10), (n * 64) % 16
(True, 640, 0)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Dim", "Size", "SymbolError", "bind", "is_symbolic"]


class SymbolError(ValueError):
    """Arithmetic whose result is not known before the batch is."""


@dataclass(frozen=True, eq=False, repr=False)
class Dim:
    """The size ``scale * N + offset``, where ``N`` is the number of examples in a batch."""

    scale: int = 1
    offset: int = 0

    @classmethod
    def parse(cls, text: str) -> Dim:
        """Read a symbol as a user writes it.  ``"N"`` is the only one there is.

        Raises:
            ValueError: the text names another symbol.
        """
        if text != "N":
            raise ValueError(f'the one symbolic dimension is "N", received {text!r}')
        return cls()

    def bind(self, batch: int) -> int:
        """The size for a batch of ``batch`` examples."""
        return self.scale * batch + self.offset

    def __add__(self, other: Size) -> Size:
        if isinstance(other, Dim):
            return _simplest(self.scale + other.scale, self.offset + other.offset)
        return Dim(self.scale, self.offset + other) if _whole(other) else NotImplemented

    def __mul__(self, other: Size) -> Size:
        if isinstance(other, Dim):
            raise SymbolError(f"the product of {self} and {other} is no size: one axis may be N")
        if not _whole(other):
            return NotImplemented
        return _simplest(self.scale * other, self.offset * other)

    def __floordiv__(self, other: Size) -> Size:
        if isinstance(other, Dim):
            ratio = self.scale // other.scale
            if other * ratio == self:
                return ratio
        elif _whole(other) and other and not (self.scale % other or self.offset % other):
            return Dim(self.scale // other, self.offset // other)
        raise SymbolError(f"{self} is not known to be a multiple of {other}")

    def __mod__(self, other: Size) -> Size:
        if not isinstance(other, Dim) and _whole(other) and other and not self.scale % other:
            return self.offset % other
        raise SymbolError(f"the remainder of {self} by {other} is not known")

    def __lt__(self, other: Size) -> bool:
        raise SymbolError(f"whether {self} is more or less than {other} is not known")

    __le__ = __gt__ = __ge__ = __lt__
    __radd__ = __add__
    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Dim):
            return (self.scale, self.offset) == (other.scale, other.offset)
        return str(self) == other

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        text = "N" if self.scale == 1 else f"{self.scale}*N"
        return f"{text}{self.offset:+d}" if self.offset else text


Size = int | Dim


def bind(size: Size, batch: int) -> int:
    """The number a size stands for once the batch has ``batch`` examples."""
    return size.bind(batch) if isinstance(size, Dim) else size


def is_symbolic(shape: tuple[Size, ...]) -> bool:
    """Whether any size of the shape still waits for the batch."""
    return any(isinstance(size, Dim) for size in shape)


def _simplest(scale: int, offset: int) -> Size:
    return Dim(scale, offset) if scale else offset


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
