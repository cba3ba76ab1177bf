"""Normalizations where their records do not reach: extreme and equal entries, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.normalization import GroupNorm, InstanceNorm, LayerNorm, RMSNorm

X = Spec(("N", 4, 5))
C = Spec((4,))
LARGEST = float(np.finfo(np.float32).max)
centred = pytest.mark.parametrize("operator", [LayerNorm(), GroupNorm(2), InstanceNorm()], ids=repr)


def learned(operator, x, dtype="float64"):
    """What the operator learns for x, as it starts."""
    parameters = operator.parameters(Spec(x.shape, dtype)).values()
    return [p.initializer.sample(p.shape, p.dtype, None) for p in parameters]


@centred
def test_equal_entries_are_normalized_to_the_shift(operator):
    x = np.full((2, 4, 4), 7.0)
    gamma, _ = learned(operator, x)
    y, saved = operator.forward(x, 2 * gamma, np.arange(4.0))
    shift = np.arange(4.0) if isinstance(operator, LayerNorm) else np.arange(4.0)[:, None]
    np.testing.assert_array_equal(y, np.broadcast_to(shift, x.shape))
    gradients = operator.backward(saved, np.ones_like(y), (True,) * 3)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("factor", [1e-30, 1e-3, 1e10, 1e25, 1e38, LARGEST])
@pytest.mark.parametrize(
    "operator", [LayerNorm(), GroupNorm(2), InstanceNorm(), RMSNorm()], ids=repr
)
def test_no_square_overflows_in_float32(operator, factor):
    x = (np.random.default_rng(0).uniform(-1, 1, (2, 4, 6)) * factor).astype(np.float32)
    x[0, 0, 0] = factor
    dy = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
    y, saved = operator.forward(x, *learned(operator, x, "float32"))
    dx, dgamma, *_ = operator.backward(saved, dy, (True,) * 3)
    wide = x.astype(np.float64)
    y64, saved64 = operator.forward(wide, *learned(operator, x))
    dx64, dgamma64, *_ = operator.backward(saved64, dy.astype(np.float64), (True,) * 3)
    np.testing.assert_allclose(y, y64, rtol=1e-4, atol=1e-36)
    np.testing.assert_allclose(dgamma, dgamma64, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dx, dx64, rtol=1e-3, atol=1e-5 * np.abs(dx64).max() + 1e-44)


@centred
def test_the_variance_of_a_large_mean_is_not_lost_in_float32(operator):
    x = (1e4 + np.linspace(-1, 1, 64)).astype(np.float32).reshape(1, 2, 32)
    y, _ = operator.forward(x, *learned(operator, x, "float32"))
    wide, _ = operator.forward(x.astype(np.float64), *learned(operator, x))
    np.testing.assert_allclose(y, wide, atol=5e-3)


@pytest.mark.parametrize("value", [0.0, 1e-30, LARGEST, -LARGEST])
def test_the_root_mean_square_of_equal_entries_is_their_size(value):
    x = np.full((3, 8), value, np.float32)
    y, saved = RMSNorm().forward(x, np.ones(8, np.float32))
    np.testing.assert_allclose(y, np.sign(value) if abs(value) > 1 else 0, rtol=1e-6, atol=1e-20)
    dx, _ = RMSNorm().backward(saved, np.ones_like(y), (True, True))
    assert np.isfinite(dx).all()


def test_instance_norm_is_group_norm_with_a_group_for_each_channel():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 2, 3, 4, 5))
    gamma, beta = rng.normal(size=(2, 3))
    y, saved = InstanceNorm(eps=0.1).forward(x, gamma, beta)
    other, saved_there = GroupNorm(3, 0.1).forward(x, gamma, beta)
    np.testing.assert_array_equal(y, other)
    gradients = InstanceNorm(eps=0.1).backward(saved, dy, (True,) * 3)
    there = GroupNorm(3, 0.1).backward(saved_there, dy, (True,) * 3)
    for one, two in zip(gradients, there, strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_symbolic_batch_is_carried_along():
    assert LayerNorm().infer(X, Spec((5,)), Spec((5,))) == X
    assert LayerNorm(1).infer(X, Spec((4, 5)), Spec((4, 5))) == X
    assert RMSNorm().infer(X, Spec((5,))) == X
    assert RMSNorm(1).infer(X, Spec((4, 5))) == X
    assert GroupNorm(2).infer(X, C, C) == X
    assert InstanceNorm().infer(X, C, C) == X


@pytest.mark.parametrize(
    ("operator", "names"),
    [
        (LayerNorm(), ["gamma", "beta"]),
        (GroupNorm(2), ["gamma", "beta"]),
        (InstanceNorm(), ["gamma", "beta"]),
        (RMSNorm(), ["gamma"]),
    ],
)
def test_gain_and_shift_are_learned_without_decay(operator, names):
    parameters = operator.parameters(X)
    assert list(parameters) == names
    assert not any(parameter.decay for parameter in parameters.values())
    for name, parameter in parameters.items():
        first = parameter.initializer.sample(parameter.shape, parameter.dtype, None)
        assert (first == (name == "gamma")).all()


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (LayerNorm(0), [X, C, C], r"known, non-empty axes from 0 on, received float32 \(N, 4, 5\)"),
        (LayerNorm(3), [X, C, C], "axis in -3..2, received 3"),
        (LayerNorm(), [Spec(("N", 0)), Spec((0,)), Spec((0,))], "known, non-empty axes"),
        (LayerNorm(), [X, C, C], r"gamma float32 \(5,\), received float32 \(4,\)"),
        (RMSNorm(0), [X, C], r"known, non-empty axes from 0 on, received float32 \(N, 4, 5\)"),
        (RMSNorm(), [X, C], r"gamma float32 \(5,\), received float32 \(4,\)"),
        (RMSNorm(), [Spec(("N", 4), "int64"), C], "floating dtype, received int64"),
        (GroupNorm(3), [X, C, C], "channels divisible by 3 groups"),
        (GroupNorm(2), [Spec(("N", 4, 0)), C, C], "non-empty axes"),
        (InstanceNorm(), [Spec(("N", 4)), C, C], "3 or more axes"),
        (InstanceNorm(), [Spec(("N", 4, 1, 1)), C, C], r"more than one position.*\(N, 4, 1, 1\)"),
        (InstanceNorm(), [Spec(("N", 0, 5)), Spec((0,)), Spec((0,))], "channels of more than one"),
        (InstanceNorm(), [X, C, Spec((5,))], r"beta float32 \(4,\), received float32 \(5,\)"),
        (InstanceNorm(), [Spec(("N", 4, 5), "int64"), C, C], "floating dtype"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: LayerNorm(eps=float("nan")), ValueError, "finite number above 0 for eps"),
        (
            lambda: LayerNorm(1.0),
            TypeError,
            "LayerNorm: expected an integer for axis, received 1.0",
        ),
        (lambda: RMSNorm(eps=0), ValueError, "RMSNorm: .* above 0 for eps, received 0"),
        (lambda: RMSNorm("1"), TypeError, "RMSNorm: expected an integer for axis, received '1'"),
        (lambda: GroupNorm(0), ValueError, "GroupNorm: expected groups of at least 1"),
        (lambda: GroupNorm(1.5), TypeError, "GroupNorm: expected an integer for groups"),
        (lambda: InstanceNorm(eps=-1.0), ValueError, "InstanceNorm: .* above 0 for eps"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()
