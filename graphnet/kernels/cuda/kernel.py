"""What the kernels of this package share: a source, and calls bound to it."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar

from graphnet.kernels.cuda.device import LINE, Device, grid_of, source
from graphnet.kernels.placed import Call, PlacedKernel
from ops.operator import Operator, Spec, known

__all__ = ["ACROSS", "DOWN", "DTYPES", "CudaKernel", "Tiles"]

#: The sides of a block that is a tile of rows and channels; as in ``common.cuh``.
ACROSS, DOWN = 32, 8
#: Tiles for each processor of the card.
TILES = 8
#: What the compiler is told of the dtype of the arrays.
DTYPES: dict[str, tuple[str, ...]] = {
    "float32": (),
    "float16": ("-DHALF",),
    "bfloat16": ("-DBFLOAT16",),
}


class CudaKernel(PlacedKernel):
    """One operator by kernels of one source.

    Args:
        device: that they are compiled for.
        operator: what is computed.
        specs: of the inputs.

    Attributes:
        file: the source.
    """

    file: ClassVar[str]

    def __init__(self, device: Device, operator: Operator, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(operator, specs)
        x = specs[0]
        assert x is not None, "no operator here works without its first input"
        self.device, self.xp = device, device.xp
        self._options = DTYPES[x.dtype]

    def bound(
        self, name: str, grid: tuple[int, ...], block: tuple[int, ...], *arguments: Any
    ) -> Call:
        """A kernel bound to its arguments."""
        launch = self.device.function(source(self.file), name, self._options)
        return partial(launch, grid, block, arguments)

    def walked(self, name: str, size: int, *arguments: Any) -> Call:
        """A kernel bound to its arguments, whose line of threads walks over ``size`` entries."""
        return self.bound(name, grid_of(self.device, size), (LINE,), *arguments)


class Tiles:
    """How rows of channels, ``(rows, C)``, are cut into tiles.

    Attributes:
        stretch: how many rows a block has.
        count: how many stretches there are.
        grid: the blocks: tiles of channels, and stretches.
    """

    block = (ACROSS, DOWN)

    def __init__(self, device: Device, x: Spec) -> None:
        shape = known(*x.shape)
        self.channels = shape[1]
        self.rows = math.prod(shape) // self.channels
        across = -(-self.channels // ACROSS)
        wanted = max(1, TILES * device.processors // across)
        self.stretch = max(DOWN, -(-self.rows // wanted))
        self.count = -(-self.rows // self.stretch)
        self.grid = (across, self.count)
        self.finish = (across,)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The rows, channels and rows of a stretch, as kernels take them."""
        return self.rows, self.channels, self.stretch

    @property
    def nbytes(self) -> int:
        """Bytes of two sums in double for each stretch and channel."""
        return 2 * 8 * self.count * self.channels

    def sums(self, space: Any) -> tuple[Any, Any]:
        """The two arrays of sums, in temporary memory."""
        both = space[: self.nbytes].view("float64")
        half = self.count * self.channels
        return both[:half], both[half:]
