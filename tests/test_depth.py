"""Blocks and channels where the records do not reach: order of channels, symbols, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops.depth import DepthToSpace, SpaceToDepth
from ops.dimension import Dim
from ops.operator import ShapeError, Spec


def test_the_modes_read_channels_in_the_two_orders():
    # 2 channels of y, 2 places in a block of a line
    x = np.array([0.0, 1.0, 2.0, 3.0]).reshape(1, 4, 1)
    assert DepthToSpace(2, "DCR").forward(x)[0].tolist() == [[[0, 2], [1, 3]]]
    assert DepthToSpace(2, "CRD").forward(x)[0].tolist() == [[[0, 1], [2, 3]]]


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_each_undoes_the_other(mode):
    x = np.arange(2 * 8 * 3 * 5).reshape(2, 8, 3, 5)
    wide, _ = DepthToSpace(2, mode).forward(x)
    assert wide.shape == (2, 2, 6, 10) and wide.dtype == x.dtype
    assert np.array_equal(SpaceToDepth(2, mode).forward(wide)[0], x)


@pytest.mark.parametrize("operator", [DepthToSpace(1), SpaceToDepth(1)], ids=repr)
def test_a_gradient_is_new_memory_even_where_nothing_moves(operator):
    dy = np.ones((1, 2, 3))
    (dx,) = operator.backward((), dy, (True,))
    assert np.array_equal(dx, dy) and not np.may_share_memory(dx, dy)
    assert operator.backward((), dy, (False,)) == (None,)


def test_the_symbolic_batch_is_carried_along():
    x = Spec(("N", 8, 3, 5), "int32")
    assert DepthToSpace(2).infer(x) == Spec(("N", 2, 6, 10), "int32")
    assert DepthToSpace(2).infer(Spec((5, 4, "N"))).shape == (5, 2, Dim(2))
    assert SpaceToDepth(3).infer(Spec(("N", 2, 6, 9))).shape == ("N", 18, 2, 3)
    assert DepthToSpace(2).flops(x) == 0


@pytest.mark.parametrize(
    ("operator", "shape", "message"),
    [
        (DepthToSpace(2), ("N", 6, 2, 2), r"multiple of 4 channels, .* \(N, 6, 2, 2\)"),
        (DepthToSpace(2), ("N", 4), "of 3 or more axes"),
        (DepthToSpace(2), (4, "N", 2), r"known sizes, received \(N,\)"),
        (SpaceToDepth(2), ("N", 1, 4, 3), r"multiples of 2 positions, .* \(N, 1, 4, 3\)"),
        (SpaceToDepth(2), ("N", 4), "of 3 or more axes"),
        (SpaceToDepth(2), (4, 1, "N"), r"known sizes, received \(N,\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, shape, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(Spec(shape))


@pytest.mark.parametrize("operator", [DepthToSpace, SpaceToDepth])
def test_configuration_that_makes_no_sense_is_refused(operator):
    with pytest.raises(TypeError, match="expected an integer for block_size"):
        operator(2.0)
    with pytest.raises(ValueError, match="expected block_size of at least 1, received 0"):
        operator(0)
    with pytest.raises(ValueError, match=f'{operator.__name__}: expected "DCR" or "CRD" for mode'):
        operator(2, "RCD")
    assert type(operator(np.int64(2)).block_size) is int
