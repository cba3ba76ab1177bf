"""Extreme entries where their records do not reach: ties, NaN, infinities."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ops.extremum import ReduceMax, ReduceMin


def both(operator, x):
    """The output and the gradient for ``dy = 2``."""
    y, saved = operator.forward(x)
    (dx,) = operator.backward(saved, np.full_like(y, 2), (True,))
    return y, dx


@pytest.mark.parametrize(("operator", "sign"), [(ReduceMax, 1), (ReduceMin, -1)])
@pytest.mark.parametrize("axis", [None, (0, 1), (1, 0), (-1, -2)])
def test_a_tie_gives_its_gradient_to_the_first_in_raster_order(operator, sign, axis):
    x = sign * np.array([[1.0, 3.0], [3.0, 3.0]])
    y, dx = both(operator(axis), x)
    assert y == 3 * sign and dx.tolist() == [[0, 2], [0, 0]]


@pytest.mark.parametrize("operator", [ReduceMax, ReduceMin])
def test_a_tie_is_settled_within_each_group(operator):
    x = np.ones((2, 3, 2))
    _, dx = both(operator((0, 2), keepdims=True), x)
    assert dx[0, :, 0].tolist() == [2, 2, 2] and dx.sum() == 6


@pytest.mark.parametrize("operator", [ReduceMax, ReduceMin])
def test_nan_is_the_result_and_the_first_one_gets_the_gradient(operator):
    x = np.array([[1.0, math.nan, math.nan, 5.0], [1.0, 1.0, 1.0, 1.0]])
    y, dx = both(operator(axis=1), x)
    assert math.isnan(y[0]) and y[1] == 1
    assert dx.tolist() == [[0, 2, 0, 0], [2, 0, 0, 0]]


def test_infinite_entries_and_gradients_reach_no_other_entry():
    x = np.array([-math.inf, math.inf, 0.0])
    y, saved = ReduceMax().forward(x)
    (dx,) = ReduceMax().backward(saved, np.array(math.inf), (True,))
    assert y == math.inf and dx.tolist() == [0, math.inf, 0]
    assert ReduceMin().forward(x)[0] == -math.inf


@pytest.mark.parametrize("operator", [ReduceMax, ReduceMin])
def test_an_input_without_axes_is_its_own_extreme(operator):
    y, dx = both(operator(), np.array(3.0))
    assert y == 3 and dx == 2 and y.shape == dx.shape == ()
