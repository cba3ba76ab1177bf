"""Deformable convolution where its record does not reach: no offsets, symbolic batch, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import Conv, ShapeError, Spec
from ops.deformable import DeformConv

X, OFFSET, WEIGHT = Spec(("N", 4, 6, 6)), Spec(("N", 18, 4, 4)), Spec((2, 4, 3, 3))


def test_without_offsets_it_is_a_convolution():
    rng = np.random.default_rng(0)
    fields = {"kernel_size": 3, "stride": 2, "padding": 1, "groups": 2}
    x, weight, bias = rng.normal(size=(2, 4, 7, 7)), rng.normal(size=(6, 2, 3, 3)), np.arange(6.0)
    y, _ = DeformConv(6, **fields).forward(x, np.zeros((2, 18, 4, 4)), weight, bias)
    np.testing.assert_allclose(y, Conv(6, **fields).forward(x, weight, bias)[0], atol=1e-12)


def test_a_mask_of_zeros_leaves_the_bias():
    rng = np.random.default_rng(0)
    y, _ = DeformConv(1, 2).forward(
        rng.normal(size=(1, 1, 3, 3)),
        rng.normal(size=(1, 8, 2, 2)),
        rng.normal(size=(1, 1, 2, 2)),
        np.array([3.0]),
        np.zeros((1, 4, 2, 2)),
    )
    assert (y == 3).all()


def test_far_offsets_see_nothing_and_have_no_gradient():
    operator = DeformConv(1, 1, bias=False)
    x, offset = np.ones((1, 1, 2, 2)), np.full((1, 2, 2, 2), 1e30)
    y, saved = operator.forward(x, offset, np.ones((1, 1, 1, 1)))
    gradients = operator.backward(saved, np.ones_like(y), (True, True, True, False, False))
    assert (y == 0).all() and all((g == 0).all() for g in gradients[:3])


def test_the_symbolic_batch_is_carried_along_and_weights_are_learned():
    operator = DeformConv(2, 3)
    assert operator.infer(X, OFFSET, WEIGHT, Spec((2,))) == Spec(("N", 2, 4, 4))
    learned = operator.parameters(X, OFFSET)
    assert learned["weight"].shape == (2, 4, 3, 3) and learned["bias"].shape == (2,)
    assert "bias" not in DeformConv(2, 3, bias=False).parameters(X, OFFSET)


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (DeformConv(2, 3), [Spec(("N", 4, 6)), OFFSET, WEIGHT, Spec((2,))], "an input of 4 axes"),
        (DeformConv(2, 3), [Spec(X.shape, "int8"), OFFSET, WEIGHT, Spec((2,))], "floating dtype"),
        (DeformConv(2, 3), [X, Spec(("N", 9, 4, 4)), WEIGHT, Spec((2,))], "offsets float32"),
        (DeformConv(2, 3), [X, OFFSET, Spec((2, 3, 3, 3)), Spec((2,))], "a weight float32"),
        (DeformConv(2, 3), [X, OFFSET, WEIGHT], "a bias"),
        (DeformConv(2, 3, bias=False), [X, OFFSET, WEIGHT, None, OFFSET], "a mask float32"),
        (DeformConv(3, 3, groups=3), [X, OFFSET, WEIGHT], "3 groups and 1 offset groups"),
        (DeformConv(2, 3, offset_groups=3), [X, OFFSET, WEIGHT], "1 groups and 3 offset groups"),
        (DeformConv(2, 7), [X, OFFSET, Spec((2, 4, 7, 7)), Spec((2,))], "a kernel no larger"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


def test_filters_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="DeformConv: expected filters divisible by groups"):
        DeformConv(3, 3, groups=2)
