"""Average pooling by oneDNN, over windows or over all positions.

Source: oneDNN's developer guide, "Pooling".
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_int

from graphnet.kernels.onednn import library as dnn
from graphnet.kernels.onednn.library import Library, last_strides, sizes
from graphnet.kernels.placed import LAST, Call, Memory, PlacedKernel, Terms
from ops.operator import Spec, known
from ops.pooling import AvgPool, GlobalAvgPool

__all__ = ["AveragePool"]

_INCLUDE_PADDING, _EXCLUDE_PADDING = 0x2FF, 0x3FF


class AveragePool(PlacedKernel):
    """One average pool of known shape.

    Raises:
        OneDNNError: the library has no implementation.
    """

    def __init__(
        self, library: Library, operator: AvgPool | GlobalAvgPool, specs: tuple[Spec | None, ...]
    ) -> None:
        super().__init__(operator, specs)
        (x,) = specs
        assert x is not None, "infer saw to it"
        self._library = library
        shapes = known(*x.shape), known(*self.results[0].shape)
        self._x_md, self._y_md = (library.descriptor(s, last_strides(s)) for s in shapes)
        algorithm = _INCLUDE_PADDING
        geometry: tuple[Sequence[int], ...]
        if isinstance(operator, GlobalAvgPool):
            kernel = shapes[0][2:]
            none = [0] * len(kernel)
            geometry = ([1] * len(kernel), kernel, none, none, none)
        else:
            windows = operator.windows(x)
            begin, end = zip(*windows.padding, strict=True)
            spread = [d - 1 for d in windows.dilation]
            geometry = (windows.stride, windows.kernel, spread, begin, end)
            if not operator.count_include_pad:
                algorithm = _EXCLUDE_PADDING
        self._arguments = (self._x_md, self._y_md, *map(sizes, geometry))
        self._algorithm = c_int(algorithm)
        self._forward = library.plan(
            "pooling_forward", c_int(dnn.FORWARD_TRAINING), self._algorithm, *self._arguments, None
        )
        self.terms = Terms(inputs=(LAST,), outputs=(LAST,))

    def bind_forward(self, memory: Memory) -> Call:
        (x,), (y,) = memory.inputs, memory.outputs
        return self._library.bind(
            self._forward, {dnn.SRC: (self._x_md, x), dnn.DST: (self._y_md, y)}
        )

    def bind_backward(self, memory: Memory) -> Call:
        (dx,), (dy,) = memory.dinputs, memory.doutputs
        plan = self._library.plan(
            "pooling_backward", self._algorithm, *self._arguments, self._forward, None
        )
        return self._library.bind(
            plan, {dnn.DIFF_SRC: (self._x_md, dx), dnn.DIFF_DST: (self._y_md, dy)}
        )
