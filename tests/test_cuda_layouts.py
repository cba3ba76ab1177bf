"""Kernels of the card in the memory that a plan may give them.

Arrays channels last, results in place of inputs, gradients added to what is there, temporary
memory full of NaN, and narrow entries: each beside the operator in float64.
"""

from __future__ import annotations

import numpy as np
import pytest

from graphnet.backends.bfloat16 import register_bfloat16
from graphnet.kernels import cuda
from graphnet.kernels.placed import LAST, ROWS, Memory, allocate, arranged
from graphnet.kernels.wide import Wide
from graphnet.passes.narrow import WHOLE, WIDE
from graphnet.testing import Case, prove
from graphnet.testing.records import RECORDS
from ops import (
    Add,
    BinaryCrossEntropy,
    Concat,
    Divide,
    Embedding,
    Expand,
    Flatten,
    GroupNorm,
    InstanceNorm,
    L2Penalty,
    LayerNorm,
    LogSoftmax,
    Mean,
    MeanSquaredError,
    Pad,
    PReLU,
    Reshape,
    Resize,
    RMSNorm,
    ScaledDotProductAttention,
    Slice,
    Softmax,
    SoftmaxCrossEntropy,
    Spec,
    Split,
    Squeeze,
    Stack,
    Sum,
    Tile,
    Transpose,
    Unsqueeze,
    Where,
)
from tests.emulator.on_numpy import as_served, few

pytestmark = pytest.mark.usefixtures("on_numpy")

register_bfloat16()

#: Units in the last place of each, for numbers around 1.
UNITS = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


class Placed:
    """A kernel bound to memory in one layout, wherever its terms allow it.

    Args:
        kernel: that is bound.
        layout: of arrays that may have any, or the same as others.
    """

    def __init__(self, kernel, layout):
        self.kernel, self.terms = kernel, kernel.terms.settled(layout, [layout] * 9)

    def forward(self, *inputs):
        """The outputs; some lie in place of inputs that nobody reads any more."""
        terms, kernel = self.terms, self.kernel
        self.inputs = self._lying(inputs, terms.inputs)
        self.outputs = [self._spoiled(*each) for each in zip(kernel.results, terms.outputs)]  # noqa: B905
        given = [None if x is None else x.copy(order="K") for x in self.inputs]
        taken = set()
        for output, source in terms.over:
            same = inputs[source].shape == self.outputs[output].shape
            if same and source not in terms.reads and not taken:
                self.outputs[output] = given[source]
                taken.add(source)
        self.extras = [self._spoiled(spec, ROWS) for spec in terms.extras]
        space = np.full(terms.forward_space, 255, "uint8")
        kernel.bind_forward(Memory(given, self.outputs, self.extras, None, space))()
        for i, x in enumerate(given):
            if x is not None and i not in taken:
                np.testing.assert_array_equal(x, self.inputs[i])
        return self.outputs

    def backward(self, dy, needs, before=None):
        """The gradients, added to arrays that are there or in place of a gradient if possible."""
        terms = self.terms
        inputs = [x if i in terms.reads else None for i, x in enumerate(self.inputs)]
        outputs = [y if i in terms.keeps else None for i, y in enumerate(self.outputs)]
        arriving = self._lying([None if d is None else d.copy() for d in dy], terms.outputs)
        found, adds = [], set()
        for i, (x, need) in enumerate(zip(self.inputs, needs, strict=True)):
            spec = None if x is None else Spec(x.shape, x.dtype.name)
            found.append(self._spoiled(spec, terms.inputs[i]) if need else None)
            if need and before is not None and i in terms.adds:
                found[i][...] = before[i]
                adds.add(i)
        for source, output in terms.over_gradient:
            if before is None and needs[source] and found[source].shape == dy[output].shape:
                found[source] = arriving[output]
                break
        space = np.full(terms.backward_space, 255, "uint8")
        memory = Memory(inputs, outputs, self.extras, None, space, arriving, found, frozenset(adds))
        self.kernel.bind_backward(memory)()
        return found, adds

    def _lying(self, arrays, layouts):
        pairs = zip(arrays, layouts, strict=True)
        return [None if x is None else arranged(np.asarray(x), layout) for x, layout in pairs]

    def _spoiled(self, spec, layout):
        array = allocate(spec, layout)
        array[...] = np.nan if spec.is_floating else 99
        return array


def served(case, dtype):
    """An operator for narrow entries as a plan has it, with its inputs."""
    operator, given = case.operator, case.cast(dtype).inputs
    if dtype == "float32" or type(operator) not in WIDE:
        return operator, given
    places = WIDE[type(operator)]
    given = [
        x.astype("float32") if x is not None and x.dtype == dtype and i not in places else x
        for i, x in enumerate(given)
    ]
    return Wide(operator, dtype, narrows=type(operator) not in WHOLE), given


def widened(x):
    """What is floating in float64."""
    return x.astype("float64") if x is not None and x.dtype.name in UNITS else x


def compare(case, layout, dtype, tolerance):
    """Whether a kernel serves the case; all that it computes is what the operator does."""
    operator, given = served(case, dtype)
    specs = tuple(None if x is None else Spec(x.shape, x.dtype.name) for x in given)
    kernel = cuda.prepare(operator, specs)
    if kernel is None:
        return False
    wide = Case(case.operator, tuple(map(widened, given)), case.seed)
    wanted, saved = wide.forward()
    placed = Placed(kernel, layout)
    for y, right in zip(placed.forward(*given), wanted, strict=True):
        close(y, right, tolerance)
    if not kernel.terms.differentiable or not case.needs or not any(case.needs):
        return True
    rng = np.random.default_rng(case.seed)
    dy = [rng.normal(size=spec.shape).astype(spec.dtype) for spec in kernel.results]
    needs = case.needs
    if len(dy) > 1 and case.seed % 2:
        dy[case.seed % len(dy)] = None  # no gradient arrives at this output
    expected = wide.backward(saved, list(map(widened, dy)), needs)
    before = [None if x is None else rng.normal(size=x.shape) for x in given]
    count = range(len(needs))
    alone = [tuple(i == j for j in count) for i, need in enumerate(needs) if need]
    for wants, there in ((needs, None), (needs, before), *((each, None) for each in alone)):
        found, adds = placed.backward(dy, wants, there)
        for i, dx in enumerate(found):
            if dx is not None:
                close(dx, expected[i] + (before[i].astype(dx.dtype) if i in adds else 0), tolerance)
    return True


def close(found, wanted, tolerance):
    assert found.shape == wanted.shape
    largest = np.abs(wanted).max(initial=1)  # what is left where numbers around 1 cancel
    assert np.abs(found - wanted.astype("float64")).max(initial=0) <= tolerance * largest


MOVES = [Concat, Expand, Flatten, Pad, Reshape, Slice, Split, Squeeze, Stack, Tile, Transpose,
         Unsqueeze]  # fmt: skip
OTHERS = [Add, BinaryCrossEntropy, Divide, Embedding, GroupNorm, InstanceNorm, L2Penalty,
          LayerNorm, LogSoftmax, Mean, MeanSquaredError, PReLU, Resize, RMSNorm,
          ScaledDotProductAttention, Softmax, SoftmaxCrossEntropy, Sum, Where]  # fmt: skip


#: What has many sources in float32 already; narrow ones are sources of their own.
WRITTEN = (Add, Divide, Resize, Where)
#: What is computed in float32 alone.
SINGLE = (BinaryCrossEntropy, L2Penalty, MeanSquaredError)


@pytest.mark.parametrize("operator", [*MOVES, *OTHERS])
@pytest.mark.parametrize("dtype", UNITS)
def test_kernels_are_right_in_any_memory_and_round_once(operator, dtype):
    found = []
    fewer = few if dtype != "float32" or operator in WRITTEN else None

    def check(case):
        # slopes of powers and quotients magnify what is rounded
        layout = ROWS if case.seed % 3 == 0 else LAST
        found.append(compare(as_served(case), layout, dtype, 40 * UNITS[dtype]))

    for record in RECORDS:
        if record.operator is operator:
            prove(record.cases, check, settings=fewer)
    alone = operator in SINGLE and dtype != "float32"
    assert any(found) != alone  # losses of values are computed in float32
