"""The discrete Fourier transform along one axis; a complex number is a pair on the last axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.fields import freeze_counts, freeze_flags, freeze_integers
from ops.operator import (
    Operator,
    ShapeError,
    Spec,
    expect_floating,
    expect_rank,
    known,
    normalize_axis,
    show,
)

__all__ = ["DFT"]


@dataclass(frozen=True)
class DFT(Operator):
    """Discrete Fourier transform ``y_k = sum_j exp(-2 pi i j k / n) x_j`` along an axis.

    The inverse is ``y_k = 1/n sum_j exp(2 pi i j k / n) x_j``.  An axis of another size than n
    is cut off or filled with zeros.  One side of a spectrum, ``k <= n / 2``, says all about a
    real signal: it is the result for one, and its inverse is real.

    Shapes:
        - x: ``(..., parts)`` with a real and an imaginary part, or with the real one alone
        - y: the shape of x, with n entries along the axis, of which one side are
          ``n // 2 + 1``, and 2 parts, or 1 of the inverse of one side

    Args:
        axis: the axis of the transform, any but the last; default -2.
        inverse: whether the inverse is computed; default False.
        onesided: whether the spectrum is one side of that of a real signal; default False.
        length: the number n; when None, as many as there are entries along the axis, or twice
            as many but 2 for the inverse of one side.

    Raises:
        TypeError, ValueError: a field is none of these.
        ShapeError: the input is not floating, has no such axis or no entry along it, another
            number of parts, or two for one side of the spectrum of a real signal.

    Source: Cooley, Tukey, "An Algorithm for the Machine Calculation of Complex Fourier Series",
    1965; ONNX ``DFT``.

    >>> import numpy as np
    >>> x = np.array([[1.0], [2.0], [0.0], [0.0]])
    >>> DFT(onesided=True).forward(x)[0].round(6).tolist()
    [[3.0, 0.0], [1.0, -2.0], [-1.0, 0.0]]
    """

    axis: int = -2
    inverse: bool = False
    onesided: bool = False
    length: int | None = None

    def __post_init__(self) -> None:
        freeze_integers(self, "axis")
        freeze_flags(self, "inverse", "onesided")
        if self.length is not None:
            freeze_counts(self, "length")

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        expect_rank("an input", x, least=2)
        axis = self._axis(x.rank)
        parts = (2,) if self.onesided and self.inverse else (1,) if self.onesided else (1, 2)
        if x.shape[-1] not in parts or x.shape[axis] == 0:
            raise ShapeError(
                f"expected entries along axis {axis} and {' or '.join(map(str, parts))} parts on "
                f"the last axis, received {show(x)}"
            )
        n = self._length(*known(x.shape[axis]))
        if n < 1:
            raise ShapeError(
                f"expected a length for one side of a spectrum of 1, received {show(x)}"
            )
        out = n // 2 + 1 if self.onesided and not self.inverse else n
        last = 1 if self.onesided and self.inverse else 2
        return x.with_shape((*x.shape[:axis], out, *x.shape[axis + 1 : -1], last))

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        xp = namespace(x)
        axis = self._axis(x.ndim)
        n = self._length(x.shape[axis])
        entries = x[..., 0] if x.shape[-1] == 1 else x[..., 0] + 1j * x[..., 1]
        if self.onesided and self.inverse:
            y = xp.fft.irfft(entries, n=n, axis=axis)[..., None]
        elif self.onesided:
            y = _parts(xp.fft.rfft(entries, n=n, axis=axis))
        else:
            y = _parts((xp.fft.ifft if self.inverse else xp.fft.fft)(entries, n=n, axis=axis))
        return y, (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        if not needs[0]:
            return (None,)
        (shape,) = saved
        xp = namespace(dy)
        axis = self._axis(len(shape))
        n = self._length(shape[axis])
        if self.onesided and self.inverse:
            # all but the first entry, and one at half of n, stand for two of the whole spectrum
            double = xp.full(n // 2 + 1, 2.0, dtype=dy.dtype)
            double[0] = 1.0
            if n % 2 == 0:
                double[-1] = 1.0
            half = xp.fft.rfft(dy[..., 0], n=n, axis=axis)
            dentries = half * (double / n).reshape((-1,) + (1,) * (len(shape) - 2 - axis))
        else:
            given = dy[..., 0] + 1j * dy[..., 1]
            if self.inverse:
                dentries = xp.fft.fft(given, axis=axis) / n
            else:
                # the entries of the other side are zeros
                dentries = xp.fft.ifft(given, n=n, axis=axis) * n
        dx = xp.zeros(shape, dtype=dy.dtype)
        kept = (*[slice(None)] * axis, slice(min(shape[axis], dentries.shape[axis])))
        dx[(*kept, ..., 0)] = dentries[kept].real
        if shape[-1] == 2:
            dx[(*kept, ..., 1)] = dentries[kept].imag
        return (dx,)

    def flops(self, x: Spec) -> int:
        axis = self._axis(x.rank)
        n = self._length(*known(x.shape[axis]))
        rows = x.elements // known(x.shape[axis])[0] // known(x.shape[-1])[0]
        return 5 * rows * n * n.bit_length()

    def _axis(self, rank: int) -> int:
        axis = normalize_axis(self.axis, rank)
        if axis == rank - 1:
            raise ShapeError(f"expected another axis than {axis}, the last, which holds the parts")
        return axis

    def _length(self, entries: int) -> int:
        if self.length is not None:
            return self.length
        return 2 * (entries - 1) if self.onesided and self.inverse else entries


def _parts(y: Array) -> Array:
    """Complex numbers as pairs on a last axis."""
    return namespace(y).stack((y.real, y.imag), axis=-1)
