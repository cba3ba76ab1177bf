"""The Fourier transform where its record does not reach: round trips, symbolic batch, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.fourier import DFT


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_the_inverse_gives_the_signal_back(dtype, n):
    x = np.random.default_rng(0).normal(size=(2, n, 3, 2)).astype(dtype)
    spectrum, _ = DFT(1).forward(x)
    again, _ = DFT(1, inverse=True).forward(spectrum)
    np.testing.assert_allclose(again, x, atol=1e-6)
    half, _ = DFT(1, onesided=True).forward(x[..., :1])
    real, _ = DFT(1, inverse=True, onesided=True, length=n).forward(half)
    assert real.dtype == half.dtype == dtype and half.shape == (2, n // 2 + 1, 3, 2)
    np.testing.assert_allclose(real, x[..., :1], atol=1e-6)


def test_the_symbolic_batch_is_carried_along():
    assert DFT(1).infer(Spec(("N", 8, 1))) == Spec(("N", 8, 2))
    assert DFT(1, length=5).infer(Spec(("N", 8, 2))) == Spec(("N", 5, 2))
    assert DFT(1, onesided=True).infer(Spec(("N", 8, 1))) == Spec(("N", 5, 2))
    assert DFT(1, True, True).infer(Spec(("N", 5, 2))) == Spec(("N", 8, 1))


@pytest.mark.parametrize(
    ("operator", "x", "message"),
    [
        (DFT(), Spec((4,)), "an input of 2 or more axes"),
        (DFT(), Spec((4, 1), "int64"), "floating dtype"),
        (DFT(1), Spec((4, 2)), "another axis than 1, the last"),
        (DFT(), Spec((4, 3)), "1 or 2 parts on the last axis"),
        (DFT(), Spec((0, 1)), "entries along axis 0"),
        (DFT(onesided=True), Spec((4, 2)), "1 parts on the last axis"),
        (DFT(inverse=True, onesided=True), Spec((4, 1)), "2 parts on the last axis"),
        (DFT(inverse=True, onesided=True), Spec((1, 2)), "a length for one side of a spectrum"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, x, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(x)


def test_configuration_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="DFT: expected length of at least 1"):
        DFT(length=0)
    with pytest.raises(TypeError, match="DFT: expected True or False for inverse"):
        DFT(inverse=1)


def test_a_gradient_nobody_needs_is_none():
    y, saved = DFT().forward(np.ones((3, 1)))
    assert DFT().backward(saved, y, (False,)) == (None,)
