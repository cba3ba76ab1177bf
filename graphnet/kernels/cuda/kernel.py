"""What the kernels of this package share: a source, and calls bound to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from graphnet.kernels.cuda.device import LINE, WARP, Device, source, walked
from graphnet.kernels.placed import ROWS, Call, PlacedKernel, is_arranged
from ops.operator import Operator, Spec, known

__all__ = ["ACROSS", "DOWN", "DTYPES", "INTEGERS", "UNITS", "CudaKernel", "Rows", "Tiles"]

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
#: Types for what is moved and not computed with, by its bytes.
UNITS = {1: "UInt8", 2: "UInt16", 4: "UInt32", 8: "Word"}
#: What the compiler is told of the dtype of labels and indices; the bits of uint64 are read as
#: those of int64.
INTEGERS = {
    "int8": "-DINTEGER=Int8", "int16": "-DINTEGER=Int16", "int32": "-DINTEGER=Int32",
    "int64": "-DINTEGER=Int", "uint8": "-DINTEGER=UInt8", "uint16": "-DINTEGER=UInt16",
    "uint32": "-DINTEGER=UInt32", "uint64": "-DINTEGER=Int",
}  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """The entries of an array along one axis: ``(outer, size, inner)`` in its memory.

    Attributes:
        count: how many rows there are.
        size: the entries of each.
        inner: how far apart they lie.
    """

    count: int
    size: int
    inner: int

    @classmethod
    def along(cls, x: Any, axis: int) -> Rows:
        """The rows of an array in rows or channels last."""
        order = list(range(x.ndim))
        if not is_arranged(x, ROWS):
            order.append(order.pop(1))
        behind = order[order.index(axis) + 1 :]
        inner = math.prod(x.shape[a] for a in behind)
        return cls(math.prod(x.shape) // x.shape[axis], x.shape[axis], inner)

    @property
    def lanes(self) -> int:
        """How many threads walk over a row: a warp where each has an entry beside the next."""
        return WARP if self.inner == 1 and self.size >= WARP else 1


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
        self._options = DTYPES.get(x.dtype, ())

    def bound(
        self, name: str, grid: tuple[int, ...], block: tuple[int, ...], *arguments: Any
    ) -> Call:
        """A kernel bound to its arguments."""
        return self._launched(name, self._options, grid, block, arguments)

    def lined(self, name: str, rows: Rows, *arguments: Any) -> Call:
        """A kernel bound to its arguments, of which a warp or a thread walks over each row."""
        options = (*self._options, f"-DLANES={rows.lanes}")
        grid = (-(-rows.count * rows.lanes // LINE),)
        return self._launched(name, options, grid, (LINE,), arguments)

    def walked(self, name: str, size: int, *arguments: Any) -> Call:
        """A kernel bound to its arguments, whose line of threads walks over ``size`` entries."""
        return walked(self.device, source(self.file), name, self._options, size, *arguments)

    def _launched(
        self,
        name: str,
        options: tuple[str, ...],
        grid: tuple[int, ...],
        block: tuple[int, ...],
        arguments: tuple[Any, ...],
    ) -> Call:
        launch = self.device.function(source(self.file), name, options)
        return partial(launch, grid, block, arguments)


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
