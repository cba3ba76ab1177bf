"""Batch normalization where its records do not reach: inference, equal entries, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.batch_norm import BatchNorm, BatchNormInference

X = Spec(("N", 4, 5))
C = Spec((4,))


def test_batch_norm_stands_back_for_its_running_statistics_at_inference():
    assert BatchNorm(eps=0.1).for_inference() == BatchNormInference(eps=0.1)


def test_running_statistics_approach_those_of_the_batch():
    rng = np.random.default_rng(0)
    x = 3 + 2 * rng.normal(size=(64, 2, 8))
    mean, var = np.zeros(2), np.ones(2)
    for _ in range(200):
        (_, mean, var), _ = BatchNorm().forward(x, np.ones(2), np.zeros(2), mean, var)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2)), rtol=1e-6)
    np.testing.assert_allclose(var, x.var(axis=(0, 2)), rtol=1e-6)


def test_equal_entries_are_normalized_to_the_shift():
    x = np.full((2, 4), 7.0)
    beta = np.arange(4.0)
    (y, *_), saved = BatchNorm().forward(x, np.full(4, 2.0), beta, np.zeros(4), np.ones(4))
    np.testing.assert_array_equal(y, np.stack([beta, beta]))
    dx, *_ = BatchNorm().backward(saved, (np.ones_like(y), None, None), (True,) * 5)
    assert np.isfinite(dx).all()


def test_an_input_without_channels_has_gradients_without_entries():
    x, none = np.ones((2, 0, 3)), np.ones(0)
    (y, *_), saved = BatchNorm().forward(x, none, none, none, none)
    dx, dgamma, dbeta, *_ = BatchNorm().backward(saved, (y, None, None), (True,) * 3 + (False,) * 2)
    assert (dx.shape, dgamma.shape, dbeta.shape) == ((2, 0, 3), (0,), (0,))


def test_the_variance_of_a_large_mean_is_not_lost_in_float32():
    x = (1e4 + np.linspace(-1, 1, 64)).astype(np.float32).reshape(64, 1)
    (y, *_), _ = BatchNorm().forward(x, *np.float32([[1], [0], [0], [1]]))
    wide = x.astype(np.float64)
    np.testing.assert_allclose(y, (wide - wide.mean()) / np.sqrt(wide.var() + 1e-5), atol=5e-3)


def test_the_symbolic_batch_is_carried_along():
    assert BatchNorm().infer(X, C, C, C, C) == (X, C, C)
    assert BatchNormInference().infer(X, C, C, C, C) == X


def test_gain_and_shift_are_learned_without_decay():
    learned = BatchNorm().parameters(X)
    assert list(learned) == ["gamma", "beta"]
    assert not any(parameter.decay for parameter in learned.values())
    first = [p.initializer.sample(p.shape, p.dtype, None) for p in learned.values()]
    assert (first[0] == 1).all() and (first[1] == 0).all()


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (BatchNorm(), [Spec((1, 4)), C, C, C, C], r"more than one value .* float32 \(1, 4\)"),
        (BatchNorm(), [X, Spec((3,)), C, C, C], r"gamma float32 \(4,\), received float32 \(3,\)"),
        (BatchNorm(), [X, C, C, C, Spec((4,), "float64")], "running_var float32"),
        (BatchNorm(), [Spec(("N",)), C, C, C, C], "2 or more axes"),
        (BatchNormInference(), [Spec(("N", 4), "int64"), C, C, C, C], "floating dtype"),
        (BatchNormInference(), [X, C, C, Spec((1,)), C], "running_mean float32"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "message"),
    [
        (lambda: BatchNorm(eps=0), "BatchNorm: .* finite number above 0 for eps, received 0"),
        (lambda: BatchNorm(momentum=1.1), "BatchNorm: .* 0..1 for momentum, received 1.1"),
        (lambda: BatchNormInference(eps=-1), "finite number above 0 for eps"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, message):
    with pytest.raises(ValueError, match=message):
        construct()
