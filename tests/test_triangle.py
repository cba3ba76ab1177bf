"""Triangles where their record does not reach: dtypes, diagonals far out, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.triangle import Triangle


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "float32"])
def test_every_dtype_is_kept_and_what_is_left_out_is_0(dtype):
    x = np.ones((2, 2), dtype)
    y, _ = Triangle().forward(x)
    assert y.dtype == dtype and y.tolist() == [[1, 1], [0, 1]]
    assert Triangle().infer(Spec(("N", 2, 2), dtype)) == Spec(("N", 2, 2), dtype)


def test_nan_outside_the_triangle_is_left_out():
    assert Triangle().forward(np.array([[1.0, 2.0], [np.nan, 3.0]]))[0].tolist() == [[1, 2], [0, 3]]


@pytest.mark.parametrize("far", [2**62, 10**30])
def test_a_diagonal_far_out_keeps_all_or_nothing(far):
    x = np.ones((2, 3))
    assert Triangle(True, far).forward(x)[0].sum() == 0
    assert Triangle(True, -far).forward(x)[0].sum() == 6
    assert Triangle(False, far).forward(x)[0].sum() == 6
    assert Triangle(False, -far).forward(x)[0].sum() == 0


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ShapeError, match="an input of 2 or more axes"):
        Triangle().infer(Spec(("N",)))
    with pytest.raises(TypeError, match="Triangle: expected True or False for upper"):
        Triangle(upper=1)
    with pytest.raises(TypeError, match="Triangle: expected an integer for diagonal"):
        Triangle(diagonal=0.5)


def test_a_gradient_nobody_needs_is_none():
    assert Triangle().backward((), np.ones((2, 2)), (False,)) == (None,)
