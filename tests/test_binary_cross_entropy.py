"""Binary cross entropy where its record does not reach: extreme logits, certain answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops import BinaryCrossEntropy
from tests.test_cross_entropy import both_ways, expect_close, finite, reductions


@given(
    st.lists(st.tuples(finite, st.floats(0, 1, width=32)), min_size=1, max_size=4),
    reductions,
)
def test_binary_cross_entropy_is_finite_for_every_finite_logit(pairs, reduction):
    x, labels = np.array(pairs, np.float32).T
    operator = BinaryCrossEntropy(reduction=reduction)
    loss, grads = both_ways(operator, x, labels)
    losses, slopes = [], []
    for value, label in zip(x.tolist(), labels.tolist(), strict=True):
        small = math.exp(-abs(value))
        lost = value * (1 - label) if value >= 0 else -value * label
        losses.append(lost + math.log1p(small))
        slopes.append((small if value < 0 else 1.0) / (1.0 + small) - label)
    count = len(pairs) if reduction == "mean" else 1
    expect_close(loss, losses if reduction == "none" else math.fsum(losses) / count)
    expect_close(grads[0], np.array(slopes) / count)
    assert np.isfinite(grads[1]).all() and np.all(loss >= 0)


@given(
    st.lists(
        st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), min_size=1, max_size=4
    ),
    reductions,
)
def test_binary_cross_entropy_is_finite_for_every_probability(pairs, reduction):
    x, labels = np.array(pairs, np.float32).T
    loss, grads = both_ways(BinaryCrossEntropy(False, reduction), x, labels)
    for result in (loss, *grads):
        assert np.isfinite(result).all() and result.dtype == np.float32


def test_logarithms_of_impossible_answers_are_kept_at_minus_100():
    x, labels = np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 1.0])
    loss, (dx, dlabels) = both_ways(BinaryCrossEntropy(False, "none"), x, labels)
    assert loss.tolist() == [100, 100, 0, 0]
    np.testing.assert_allclose(dx, [-1e12, 1e12, 0, 0])
    assert dlabels.tolist() == [100, -100, 100, -100]


def test_a_probability_outside_0_to_1_gives_nan():
    with np.errstate(invalid="ignore"):
        for wrong in (-0.5, 1.5):
            loss, _ = BinaryCrossEntropy(False).forward(np.array([0.5, wrong]), np.ones(2))
            assert np.isnan(loss)


def test_a_confident_and_right_logit_keeps_its_small_loss_and_gradient():
    x, labels = np.array([30.0, -30.0], np.float32), np.array([1.0, 0.0], np.float32)
    loss, (dx, _) = both_ways(BinaryCrossEntropy(reduction="none"), x, labels)
    np.testing.assert_allclose(loss, math.exp(-30), rtol=1e-6)
    np.testing.assert_allclose(dx, [-math.exp(-30), math.exp(-30)], rtol=1e-6)


def test_logits_and_their_probabilities_have_one_binary_cross_entropy():
    x, labels = np.linspace(-5, 5, 12), np.linspace(0, 1, 12)
    of_logits, _ = BinaryCrossEntropy().forward(x, labels)
    of_probabilities, _ = BinaryCrossEntropy(False).forward(1 / (1 + np.exp(-x)), labels)
    assert of_logits == pytest.approx(of_probabilities.item(), rel=1e-12)
