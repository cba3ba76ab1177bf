"""NaN and infinities where their records do not reach: gradients, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.special_values import IsInf, IsNaN


@pytest.mark.parametrize("operator", [IsNaN(), IsInf()], ids=repr)
def test_truth_values_carry_no_gradient_and_integers_are_refused(operator):
    assert operator.infer(Spec(("N", 3))) == Spec(("N", 3), "bool")
    assert operator.backward((), None, (True,)) == (None,)
    with pytest.raises(ShapeError, match="floating dtype, received int32"):
        operator.infer(Spec((3,), "int32"))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_largest_finite_number_is_not_infinite(dtype):
    x = np.array([np.finfo(dtype).max, -np.finfo(dtype).max, np.inf, -np.inf, np.nan], dtype)
    assert IsInf().forward(x)[0].tolist() == [False, False, True, True, False]
    assert IsInf(False, False).forward(x)[0].tolist() == [False] * 5
    assert IsNaN().forward(x)[0].tolist() == [False] * 4 + [True]


def test_flags_that_are_none_are_refused():
    with pytest.raises(TypeError, match="IsInf: expected True or False for negative"):
        IsInf(True, 1)
