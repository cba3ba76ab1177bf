"""Determinants where their record does not reach: singular matrices, symbolic batch, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.determinant import Determinant


def test_a_singular_matrix_has_the_gradient_of_its_cofactors():
    x = np.array([[1.0, 2.0], [2.0, 4.0]])
    _, saved = Determinant().forward(x)
    (dx,) = Determinant().backward(saved, np.array(3.0), (True,))
    np.testing.assert_allclose(dx, [[12, -6], [-6, 3]], atol=1e-12)


def test_a_matrix_that_lacks_two_ranks_has_none():
    _, saved = Determinant().forward(np.ones((3, 3)))
    (dx,) = Determinant().backward(saved, np.array(1.0), (True,))
    np.testing.assert_allclose(dx, np.zeros((3, 3)), atol=1e-12)


def test_the_symbolic_batch_is_carried_along():
    assert Determinant().infer(Spec(("N", 3, 3))) == Spec(("N",))
    assert Determinant().backward((np.eye(2),), np.ones(()), (False,)) == (None,)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (Spec((3,)), "an input of 2 or more axes"),
        (Spec((3, 3), "int64"), "floating dtype"),
        (Spec((3, 2)), "square matrices with entries"),
        (Spec((2, 0, 0)), "square matrices with entries"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(x, message):
    with pytest.raises(ShapeError, match=message):
        Determinant().infer(x)
