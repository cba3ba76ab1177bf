"""Windows laid back where the record does not reach: its counterpart, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import Conv, ShapeError, Spec
from ops.fold import Fold


def test_folding_the_windows_of_a_convolution_counts_how_often_each_entry_is_met():
    conv = Conv(1, kernel_size=3, stride=2, padding=1)
    x, weight = np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3))
    _, saved = conv.forward(x, weight, np.zeros(1))
    dx, _, _ = conv.backward(saved, np.ones((1, 1, 3, 3)), (True, False, False))
    y, _ = Fold((5, 5), 3, stride=2, padding=1).forward(np.ones((1, 9, 9)))
    np.testing.assert_array_equal(y, dx)


def test_the_symbolic_batch_is_carried_along():
    assert Fold((5, 5), 2).infer(Spec(("N", 12, 16))) == Spec(("N", 3, 5, 5))
    assert Fold((5, 5), 2).flops(Spec((1, 12, 16))) == 192


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (Spec(("N", 12)), "an input of 3 axes"),
        (Spec(("N", 12, 16), "int64"), "floating dtype"),
        (Spec(("N", 13, 16)), "4 rows for each channel and 16 windows"),
        (Spec(("N", 12, 15)), "4 rows for each channel and 16 windows"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(x, message):
    with pytest.raises(ShapeError, match=message):
        Fold((5, 5), 2).infer(x)


def test_a_window_that_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="no larger than the padded input"):
        Fold((2, 2), 3).infer(Spec((1, 9, 1)))


@pytest.mark.parametrize("size", [5, (), (1, 1, 1, 1)])
def test_a_size_that_makes_no_sense_is_refused(size):
    with pytest.raises(ValueError, match="Fold: expected 1 to 3 spatial sizes"):
        Fold(size, 1)


def test_a_gradient_nobody_needs_is_none():
    _, saved = Fold((2,), 1).forward(np.ones((1, 1, 2)))
    assert Fold((2,), 1).backward(saved, np.ones((1, 1, 2)), (False,)) == (None,)
