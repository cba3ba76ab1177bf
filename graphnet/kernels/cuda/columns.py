"""What a bias needs of a card: sums over rows of channels, and additions to them."""

from __future__ import annotations

from functools import partial
from typing import Any

from graphnet.kernels.cuda.device import Device, source, walked
from graphnet.kernels.cuda.kernel import DTYPES, Tiles
from graphnet.kernels.placed import Call, in_turn
from ops.operator import Spec

__all__ = ["Columns"]


class Columns:
    """Rows of channels, ``(rows, C)``, in contiguous memory.

    Args:
        device: that holds them.
        x: an array ``(N, C, *spatial)``, channels-last in memory.

    Attributes:
        nbytes: of the temporary memory that sums take.
    """

    def __init__(self, device: Device, x: Spec) -> None:
        self._device = device
        self._options = DTYPES[x.dtype]
        self._tiles = Tiles(device, x)
        self.nbytes = 8 * self._tiles.count * self._tiles.channels

    def summed(self, x: Any, sums: Any, space: Any) -> Call:
        """``sums[c] = sum of x[:, c]``, ended in double; to be called."""
        tiles = self._tiles
        parts = space[: self.nbytes].view("float64")
        channels = tiles.channels
        launch = self._device.function(source("columns.cu"), "column_sums", self._options)
        return in_turn(
            partial(launch, tiles.grid, tiles.block, (x, parts, *tiles.sizes)),
            self._walked("column_totals", channels, parts, sums, tiles.count, channels),
        )

    def shifted(self, y: Any, bias: Any) -> Call:
        """``y[:, c] += bias[c]``, to be called."""
        size = self._tiles.rows * self._tiles.channels
        return self._walked("add_to_rows", size, y, bias, size, self._tiles.channels)

    def _walked(self, name: str, size: int, *arguments: Any) -> Call:
        return walked(self._device, source("columns.cu"), name, self._options, size, *arguments)
