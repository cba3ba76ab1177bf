"""Every operator as a placed kernel, with demands on its memory that a real one may make.

Layouts, and which results replace which inputs, are drawn from the operator and the shapes; so a
suite of random graphs meets every combination.
"""

from __future__ import annotations

import copy
import zlib

import numpy as np

from graphnet.kernels import Provider
from graphnet.kernels.placed import ANY, LAST, ROWS, SAME, PlacedKernel, Terms, is_arranged
from ops import Operator, Spec


class PlacedReference(PlacedKernel):
    """The operator's own mathematics, written to where a program says."""

    def __init__(self, operator, specs):
        super().__init__(operator, specs)
        self.operator = operator
        self.saved = None
        choose = np.random.default_rng(zlib.crc32(repr((operator, specs)).encode()))
        inputs, outputs = range(len(specs)), range(len(self.results))
        # states are renewed before the reverse pass, so nobody reads them there
        roles = type(operator).signature().inputs(len(specs))
        states = operator.states(specs[0]) if type(operator).states is not Operator.states else {}
        reads = tuple(i for i in inputs if roles[i] not in states)
        pairs = [(o, i) for o in outputs for i in inputs if specs[i] is not None]
        self.terms = Terms(
            inputs=tuple(choose.choice([LAST, ROWS, SAME, ANY], len(specs))),
            outputs=tuple(choose.choice([LAST, ROWS, SAME], len(self.results))),
            reads=reads,
            keeps=tuple(outputs),
            extras=(Spec((3,), "int64"), Spec((5,), "uint8")),
            packed=int(choose.integers(0, 2)) * 40,
            packs=tuple(i for i in inputs if i and specs[i] is not None),
            forward_space=int(choose.integers(0, 2)) * 100,
            backward_space=int(choose.integers(0, 2)) * 1000,
            adds=reads[: int(choose.integers(0, 3))],
            again=tuple(outputs) if choose.integers(0, 2) else (),
            over=tuple(pairs) if choose.integers(0, 2) else (),
            over_gradient=tuple((i, o) for o, i in pairs) if choose.integers(0, 2) else (),
        )

    def bind_packed(self, memory):
        def call():
            memory.packed[:] = 7

        return call

    def bind_forward(self, memory):
        ways = self.terms.inputs, self.terms.outputs
        same = [[i for i, layout in enumerate(way) if layout == SAME] for way in ways]

        def call():
            if self.terms.packed:
                assert (memory.packed == 7).all()
            one_layout(*(memory.inputs[i] for i in same[0]), *(memory.outputs[i] for i in same[1]))
            if self.terms.forward_space:
                memory.space[:] = 255
            self.given = [None if x is None else x.copy() for x in memory.inputs]
            result, self.saved = self.operator.forward(*memory.inputs)
            results = result if isinstance(result, tuple) else (result,)
            self.saved = copy.deepcopy(self.saved)
            self.kept = [np.array(y) for y in results]
            for y, array in zip(memory.outputs, [np.array(y) for y in results], strict=True):
                y[...] = array
            for extra in memory.extras:
                extra[:] = 9

        return call

    def bind_again(self, memory):
        def call():
            for extra in memory.extras:
                assert (extra == 9).all()
            for i in self.terms.reads:
                if self.given[i] is not None:
                    np.testing.assert_array_equal(memory.inputs[i], self.given[i])
            for y, before in zip(memory.outputs, self.kept, strict=True):
                if y is not None:
                    y[...] = before

        return call

    def bind_backward(self, memory):
        needs = tuple(d is not None for d in memory.dinputs)

        def call():
            # what was asked for is still there
            for extra in memory.extras:
                assert (extra == 9).all()
            for y, before in zip(memory.outputs, self.kept, strict=True):
                np.testing.assert_array_equal(y, before)
            if self.terms.backward_space:
                memory.space[:] = 255
            dy = tuple(memory.doutputs)
            found = self.operator.backward(self.saved, dy if len(dy) > 1 else dy[0], needs)
            for i, (dx, g) in enumerate(
                zip(memory.dinputs, [np.array(g) for g in found], strict=True)
            ):
                if dx is not None:
                    dx[...] = dx + g if i in memory.adds else g

        return call


def one_layout(*arrays):
    """All of them are in rows, or all channels-last, as far as these differ."""
    arrays = [array for array in arrays if array is not None]
    rows, last = ([is_arranged(x, layout) for x in arrays] for layout in (ROWS, LAST))
    assert all(rows) or all(last)


def prepare(operator, specs, **options):
    if any(spec is not None and not spec.elements for spec in specs):
        return None
    # some stay free, so that both kinds meet
    return (
        None if zlib.crc32(repr(operator).encode()) % 4 == 0 else PlacedReference(operator, specs)
    )


PROVIDER = Provider("every operator, placed", prepare, backends=("numpy",))
