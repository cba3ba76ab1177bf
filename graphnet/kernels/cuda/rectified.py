"""ReLU on arrays in place, for kernels that have one behind them."""

from __future__ import annotations

import math
from typing import Any

from graphnet.kernels.cuda.device import Device, walked
from graphnet.kernels.cuda.elementwise import written
from graphnet.kernels.cuda.formulas import FORMULAS, Formula
from graphnet.kernels.cuda.kernel import DTYPES
from graphnet.kernels.placed import Call
from ops.operator import Spec, known
from ops.rectifier import ReLU

__all__ = ["Rectifier"]


class Rectifier:
    """``max(x, 0)`` and its way back, on arrays that lie alike; NaN stays.

    Args:
        device: that holds them.
        x: their shape and dtype.
    """

    def __init__(self, device: Device, x: Spec) -> None:
        self._device = device
        self._options = DTYPES[x.dtype]
        self._size = math.prod(known(*x.shape))
        formula = FORMULAS[ReLU]
        assert isinstance(formula, Formula), "it has no fields"
        self._text = written((formula,))

    def forward(self, x: Any, y: Any) -> Call:
        """``y = max(x, 0)``, where y may be x; to be called."""
        return self._bound("forward", x, y)

    def backward(self, y: Any, dy: Any, dx: Any) -> Call:
        """``dx = dy where y > 0, else 0``, to be called."""
        return self._bound("backward", y, dy, dx)

    def _bound(self, name: str, *arrays: Any) -> Call:
        size = self._size
        return walked(self._device, self._text, name, self._options, size, *arrays, size)
