"""Slices picked by integer indices: embeddings, and gathering along an axis.

The way back is a sort of the indices by their values and one sum for each entry of the input, in
the order of the indices.  For n indices there are about ``(log2(n) - 8)^2 / 2`` launches, one up
to 512, and each entry reads its own run alone; nothing is added atomically.
"""

from __future__ import annotations

import math
from typing import Any

from graphnet.kernels.cuda.device import LINE, Device
from graphnet.kernels.cuda.kernel import DTYPES, INTEGERS, UNITS, CudaKernel
from graphnet.kernels.placed import ROWS, Call, Memory, Terms, in_turn
from ops.embedding import Embedding
from ops.indexing import Gather
from ops.operator import Operator, Spec, known, normalize_axis

__all__ = ["CudaGather", "is_gathered"]


def is_gathered(operator: Operator, specs: tuple[Spec | None, ...]) -> bool:
    """Whether slices of a dtype are picked here: any but float64."""
    source = specs[1 if isinstance(operator, Embedding) else 0]
    return source is not None and source.dtype != "float64"


class CudaGather(CudaKernel):
    """One embedding, or picking along one axis, of known shape."""

    file = "gather.cu"

    def __init__(self, device: Device, operator: Operator, specs: tuple[Spec | None, ...]) -> None:
        assert isinstance(operator, Embedding | Gather), "nothing else gets here"
        #: The positions of what is picked from, and of the indices.
        self._source, self._indices = (1, 0) if isinstance(operator, Embedding) else (0, 1)
        x, indices = specs[self._source], specs[self._indices]
        assert x is not None and indices is not None, "infer saw to it"
        super().__init__(device, operator, specs)
        shape, axis = known(*x.shape), 0
        self._none = -1
        if isinstance(operator, Gather):
            axis = normalize_axis(operator.axis, x.rank)
        elif operator.padding_index is not None:
            self._none = operator.padding_index
        self._outer, self._size = math.prod(shape[:axis]), shape[axis]
        self._inner = math.prod(shape[axis + 1 :])
        (self._count,) = known(indices.size)
        #: Keys to be sorted: a power of two.
        self._whole = 1 << (self._count - 1).bit_length()
        unit = known(x.nbytes)[0] // x.elements
        self._options = (
            *DTYPES.get(x.dtype, ()), INTEGERS[indices.dtype], f"-DUNIT={UNITS[unit]}"
        )  # fmt: skip
        self.terms = Terms(
            inputs=(ROWS, ROWS),
            outputs=(ROWS,),
            reads=(self._indices,),
            backward_space=8 * (self._whole + self._size + 1),
            differentiable=x.dtype in DTYPES,
        )

    def bind_forward(self, memory: Memory) -> Call:
        x, indices = memory.inputs[self._source], memory.inputs[self._indices]
        return self.walked(
            "gather", self._outer * self._count * self._inner, x, indices, memory.outputs[0],
            self._outer, self._size, self._inner, self._count,
        )  # fmt: skip

    def bind_backward(self, memory: Memory) -> Call:
        numbers = memory.space.view("int64")
        keys, starts = numbers[: self._whole], numbers[self._whole :]
        dy, dx, whole = memory.doutputs[0], memory.dinputs[self._source], self._whole
        return in_turn(
            self.walked(
                "index_keys", whole, memory.inputs[self._indices], keys, self._size, self._count,
                whole,
            ),
            *self._sorted(keys),
            self.walked("run_starts", self._size + 1, keys, starts, self._size, whole),
            self.walked(
                "gather_backward", self._outer * self._size * self._inner, dy, keys, starts, dx,
                self._outer, self._size, self._inner, self._count, whole, self._none,
            ),
        )  # fmt: skip

    def _sorted(self, keys: Any) -> list[Call]:
        """A bitonic sort; what lies within 2 * LINE keys is one launch."""
        whole, near = self._whole, 2 * LINE
        blocks = (-(-whole // near),)

        def within(first: int, last: int) -> Call:
            return self.bound("sort_near", blocks, (LINE,), keys, whole, first, last)

        calls = [within(2, min(near, whole))]
        run = 2 * near
        while run <= whole:
            apart = run // 2
            while apart > LINE:
                calls.append(self.walked("sort_far", whole // 2, keys, whole // 2, run, apart))
                apart //= 2
            calls.append(within(run, run))
            run *= 2
        return calls
