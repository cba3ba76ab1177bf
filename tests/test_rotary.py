"""Rotary embedding where its record does not reach: distances, symbolic batch, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.rotary import RotaryEmbedding

X, COS = Spec(("N", 5, 8)), Spec((5, 2))


@pytest.mark.parametrize("interleaved", [False, True])
def test_an_inner_product_depends_on_the_distance_alone(interleaved):
    rng = np.random.default_rng(0)
    query, key = rng.normal(size=(2, 6))
    angles = np.arange(10)[:, None] * np.array([1.0, 0.1, 0.01])
    operator = RotaryEmbedding(interleaved=interleaved)

    def turned(vector):
        return operator.forward(np.tile(vector, (1, 10, 1)), np.cos(angles), np.sin(angles))[0][0]

    products = turned(query) @ turned(key).T
    for distance in range(-9, 10):
        same = np.diagonal(products, distance)
        np.testing.assert_allclose(same, same[0], rtol=1e-12)


def test_the_symbolic_batch_is_carried_along():
    assert RotaryEmbedding(2).infer(X, COS, COS) == X
    assert RotaryEmbedding(2).infer(X, Spec(("N", 5, 2)), Spec(("N", 5, 2))) == X
    assert RotaryEmbedding(2).flops(X.bind(3), COS, COS) == 6 * 3 * 5 * 2 * 2


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (RotaryEmbedding(), [Spec(("N", 8)), COS, COS], "an input of 3 axes"),
        (RotaryEmbedding(), [Spec(("N", 5, 8), "int64"), COS, COS], "floating dtype"),
        (RotaryEmbedding(), [X, Spec((2,)), Spec((2,))], "cosines of 2 to 3 axes"),
        (RotaryEmbedding(), [X, COS, Spec((5, 3))], "cosines and sines of one shape"),
        (RotaryEmbedding(), [X, Spec((5, 2), "float64"), Spec((5, 2), "float64")], "one shape"),
        (RotaryEmbedding(3), [X, COS, COS], "divide into 3 heads"),
        (RotaryEmbedding(4), [X, COS, COS], "heads of 4 or more"),
        (RotaryEmbedding(), [X, Spec((4, 2)), Spec((4, 2))], "shapes that broadcast"),
        (RotaryEmbedding(), [Spec((1, 5, 8))] + [Spec((3, 5, 2))] * 2, "for the positions of"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


def test_configuration_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="RotaryEmbedding: expected heads of at least 1"):
        RotaryEmbedding(0)
    with pytest.raises(TypeError, match="expected True or False for interleaved"):
        RotaryEmbedding(1, 0)
