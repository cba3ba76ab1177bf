"""Kernels on arrays that end where memory ends: a process that reads beyond one of them dies.

Each array ends at the end of a page, and the page behind it may not be read.  So do packed weights,
temporary memory, and what a kernel allocates for itself when it is bound.
"""

from __future__ import annotations

import ctypes
import mmap
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np

from graphnet.kernels.compiled.convolution import WinogradConv
from graphnet.kernels.compiled.few_channels import FewChannelsConv, has_few_channels
from graphnet.kernels.compiled.few_positions import FewPositionsConv, has_few_positions
from graphnet.kernels.compiled.few_rows import FewRowsLinear
from graphnet.kernels.compiled.narrow import NarrowConv
from graphnet.kernels.compiled.scattered import ScatteredConv
from graphnet.kernels.compiled.winograd_deep import DeepWinogradConv
from graphnet.kernels.onednn.library import find_library
from graphnet.kernels.placed import LAST, Memory, first
from ops.operator import known
from tests.test_cpu_few import linear_case
from tests.test_cpu_kernels import PLACED, WINOGRAD, expect_close, narrow_case, winograd_case

#: Layers of few channels: batch, height, width, channels, kernel, stride, padding, filters, bias,
#: seed; vectors of filters are not full, and rows of the output are shorter than one.
CONVOLUTIONS = [
    (2, 4, 1, 1, (1, 1), 1, 0, 1, True, 0),
    (3, 7, 2, 3, (3, 2), 1, (1, 0), 5, False, 1),
    (1, 1, 1, 4, (1, 1), 1, 0, 3, True, 2),
    (2, 5, 6, 2, (2, 3), 3, 2, 17, True, 3),
    (2, 5, 4, 3, (3, 3), (1, 2), (4, 1), 16, True, 4),
]
#: Layers to few positions, likewise: a single one, nine of one image, twelve of two; some of the
#: windows see more of the padding than of the image.
POSITIONS = [
    (1, 1, 1, 1, (1, 1), 1, 0, 16, True, 0),
    (1, 3, 5, 7, (3, 3), (1, 2), 1, 48, False, 1),
    (2, 2, 2, 5, (3, 2), 1, 1, 32, True, 2),
]
#: Batch, height, width, channels, filters, bias, seed: few tiles shared by filters and by tiles,
#: one vector of filters to a block and two.
WINOGRAD_CASES = [
    (1, 1, 1, 16, 16, True, 0),
    (1, 7, 9, 16, 64, True, 1),
    (3, 5, 4, 32, 48, False, 2),
]
LINEAR = [((1, 1), 1, 1, True, 0), ((4, 37), 1, 5, False, 1), ((3, 3, 2, 2), 1, 6, True, 2)]


def guarded(spec, layout):
    """As ``allocate``, at the end of a page."""
    shape = known(*spec.shape)
    if layout == LAST and len(shape) > 2:
        return first(_behind_nothing((shape[0], *shape[2:], shape[1])))
    return _behind_nothing(shape)


def _behind_nothing(shape, dtype="float32"):
    """NaN everywhere, so that what is read before it was written shows."""
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    after = -(-nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    numbers = np.frombuffer(mmap.mmap(-1, after + mmap.PAGESIZE), "uint8")
    end = ctypes.c_void_p(numbers.ctypes.data + after)
    library = ctypes.CDLL(None, use_errno=True)
    assert not library.mprotect(end, ctypes.c_size_t(mmap.PAGESIZE), 0), "pages are protected"
    numbers[:after] = 0xFF
    return numbers[after - nbytes : after].view(dtype).reshape(shape)


def _zeros_behind_nothing(shape, dtype):
    array = _behind_nothing(shape, dtype)
    array[...] = 0
    return array


@contextmanager
def own_arrays_guarded():
    """What is allocated meanwhile ends where memory ends, too."""
    zeros = patch.object(np, "zeros", _zeros_behind_nothing)
    with patch.object(np, "empty", _behind_nothing), zeros:
        yield


def check(kernel, case, tolerance=PLACED):
    """Outputs and gradients, on such arrays, are those of the operator."""
    terms = kernel.terms.settled(LAST)

    def placed():
        pairs = zip(kernel.specs, terms.inputs, strict=False)
        return [None if spec is None else guarded(spec, layout) for spec, layout in pairs]

    (result,), (layout,) = kernel.results, terms.outputs
    memory = Memory(
        placed(),
        [guarded(result, layout)],
        packed=_behind_nothing(terms.packed, "uint8"),
        space=_behind_nothing(terms.forward_space, "uint8"),
    )
    for array, given in zip(memory.inputs, case.inputs, strict=True):
        if array is not None:
            array[...] = given
    if terms.packed:
        run(kernel.bind_packed, memory)
    run(kernel.bind_forward, memory)
    wide = case.cast("float64")
    (wanted,), saved = wide.forward()
    expect_close(memory.outputs[0], wanted.astype("float32"), tolerance)
    if terms.differentiable:
        memory.doutputs, memory.dinputs = [guarded(result, layout)], placed()
        memory.space = _behind_nothing(terms.backward_space, "uint8")
        memory.doutputs[0][...] = dy = np.ones(result.shape, "float32")
        run(kernel.bind_backward, memory)
        gradients = wide.operator.backward(saved, dy.astype("float64"), (True,) * 3)
        for found, right in zip(memory.dinputs, gradients, strict=True):
            if found is not None:
                expect_close(found, right.astype("float32"), tolerance)


def run(bind, memory):
    """Bind with guarded arrays, and call what comes back."""
    with own_arrays_guarded():
        call = bind(memory)
    assert not call()


def main():
    """All kernels of few channels, positions, rows and tiles, and those of deep layers."""
    library = find_library()
    for numbers in CONVOLUTIONS:
        case = narrow_case(*numbers)
        for kind in (NarrowConv, ScatteredConv, FewChannelsConv):
            if kind is not FewChannelsConv or has_few_channels(case.operator, case.specs):
                check(kind(library, case.operator, case.specs), case)
    for numbers in POSITIONS:
        case = narrow_case(*numbers)
        assert has_few_positions(case.operator, case.specs)
        check(FewPositionsConv(library, case.operator, case.specs), case)
    for numbers in WINOGRAD_CASES:
        case = winograd_case(*numbers)
        for kind in (WinogradConv, DeepWinogradConv):
            kernel = kind(library, case.operator, case.specs)
            assert all(kernel._winograd._few.values())
            check(kernel, case, WINOGRAD)
    for numbers in LINEAR:
        case = linear_case(*numbers)
        check(FewRowsLinear(case.operator, case.specs, 2), case)
    print("no kernel read beyond its arrays")


if __name__ == "__main__":
    main()
