"""Kernels on arrays that end where memory ends: a process that reads beyond one of them dies.

Each array ends at the end of a page, and the page behind it may not be read.
"""

from __future__ import annotations

import ctypes
import mmap

import numpy as np

from graphnet.kernels.compiled.few_channels import FewChannelsConv, has_few_channels
from graphnet.kernels.compiled.few_rows import FewRowsLinear
from graphnet.kernels.compiled.narrow import NarrowConv
from graphnet.kernels.compiled.scattered import ScatteredConv
from graphnet.kernels.onednn.library import find_library
from graphnet.kernels.placed import LAST, Memory, first
from ops.operator import known
from tests.test_cpu_few import linear_case
from tests.test_cpu_kernels import PLACED, expect_close, narrow_case

#: Layers of few channels: batch, height, width, channels, kernel, stride, padding, filters, bias,
#: seed; vectors of filters are not full, and rows of the output are shorter than one.
CONVOLUTIONS = [
    (2, 4, 1, 1, (1, 1), 1, 0, 1, True, 0),
    (3, 7, 2, 3, (3, 2), 1, (1, 0), 5, False, 1),
    (1, 1, 1, 4, (1, 1), 1, 0, 3, True, 2),
    (2, 5, 6, 2, (2, 3), 3, 2, 17, True, 3),
    (2, 5, 4, 3, (3, 3), (1, 2), (4, 1), 16, True, 4),
]
LINEAR = [((1, 1), 1, 1, True, 0), ((4, 37), 1, 5, False, 1), ((3, 3, 2, 2), 1, 6, True, 2)]


def guarded(spec, layout):
    """As ``allocate``, at the end of a page."""
    shape = known(*spec.shape)
    if layout == LAST and len(shape) > 2:
        return first(_behind_nothing((shape[0], *shape[2:], shape[1])))
    return _behind_nothing(shape)


def _behind_nothing(shape):
    count = int(np.prod(shape))
    pages = -(-4 * count // mmap.PAGESIZE)
    numbers = np.frombuffer(mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE), "float32")
    end = ctypes.c_void_p(numbers.ctypes.data + pages * mmap.PAGESIZE)
    library = ctypes.CDLL(None, use_errno=True)
    assert not library.mprotect(end, ctypes.c_size_t(mmap.PAGESIZE), 0), "pages are protected"
    after = pages * mmap.PAGESIZE // 4
    return numbers[after - count : after].reshape(shape)


def check(kernel, case):
    """Outputs and gradients, on such arrays, are those of the operator."""
    terms = kernel.terms.settled(LAST)

    def placed():
        pairs = zip(kernel.specs, terms.inputs, strict=False)
        return [None if spec is None else guarded(spec, layout) for spec, layout in pairs]

    (result,), (layout,) = kernel.results, terms.outputs
    memory = Memory(
        placed(),
        [guarded(result, layout)],
        packed=np.empty(terms.packed, "uint8"),
        space=np.empty(max(terms.forward_space, terms.backward_space), "uint8"),
    )
    for array, given in zip(memory.inputs, case.inputs, strict=True):
        if array is not None:
            array[...] = given
    if terms.packed:
        kernel.bind_packed(memory)()
    kernel.bind_forward(memory)()
    wide = case.cast("float64")
    (wanted,), saved = wide.forward()
    expect_close(memory.outputs[0], wanted.astype("float32"), PLACED)
    if terms.differentiable:
        memory.doutputs, memory.dinputs = [guarded(result, layout)], placed()
        memory.doutputs[0][...] = dy = np.ones(result.shape, "float32")
        kernel.bind_backward(memory)()
        gradients = wide.operator.backward(saved, dy.astype("float64"), (True,) * 3)
        for found, right in zip(memory.dinputs, gradients, strict=True):
            if found is not None:
                expect_close(found, right.astype("float32"), PLACED)


def main():
    """All kernels of few channels and rows."""
    library = find_library()
    for numbers in CONVOLUTIONS:
        case = narrow_case(*numbers)
        for kind in (NarrowConv, ScatteredConv, FewChannelsConv):
            if kind is not FewChannelsConv or has_few_channels(case.operator, case.specs):
                check(kind(library, case.operator, case.specs), case)
    for numbers in LINEAR:
        case = linear_case(*numbers)
        check(FewRowsLinear(case.operator, case.specs, 2), case)
    print("no kernel read beyond its arrays")


if __name__ == "__main__":
    main()
