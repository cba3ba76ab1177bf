"""Vectors of norm 1 where the record does not reach: zeros, extremes, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.lp_normalization import LpNormalization


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
def test_a_vector_of_zeros_stays_one_and_has_no_gradient(p):
    x = np.array([[0.0, 0.0], [0.0, 2.0]], np.float32)
    y, saved = LpNormalization(p=p).forward(x)
    (dx,) = LpNormalization(p=p).backward(saved, np.ones_like(y), (True,))
    assert y.tolist() == [[0, 0], [0, 1]]
    assert dx[0].tolist() == [0, 0] and dx[1, 1] == 0


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("size", [1e-37, 1e-20, 1e20, 1e38])
def test_no_power_overflows_or_vanishes(p, size):
    x = np.array([size, -size, 0.0], np.float32)
    y, _ = LpNormalization(p=p).forward(x)
    np.testing.assert_allclose(y, np.array([1, -1, 0]) * 2 ** (-1 / p), rtol=1e-6)


def test_a_norm_over_no_entry_gives_none():
    y, saved = LpNormalization().forward(np.zeros((2, 0)))
    assert y.shape == LpNormalization().backward(saved, y, (True,))[0].shape == (2, 0)


def test_what_makes_no_sense_is_refused():
    assert LpNormalization().infer(Spec(("N", 3))) == Spec(("N", 3))
    with pytest.raises(ShapeError, match="floating dtype, received int64"):
        LpNormalization().infer(Spec((3,), "int64"))
    with pytest.raises(ShapeError, match=r"axis in -1\.\.0, received 1"):
        LpNormalization(1).infer(Spec((3,)))
    with pytest.raises(ValueError, match="a finite number of at least 1 for p"):
        LpNormalization(p=0.5)
    with pytest.raises(TypeError, match="an integer for axis"):
        LpNormalization(None)
    assert LpNormalization().backward((None, None, None), None, (False,)) == (None,)
