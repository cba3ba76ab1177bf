"""Losses of values where their records do not reach: extreme entries, kinks, zeros, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops import Interval, LogSoftmax, NegativeLogLikelihood, ShapeError, Spec
from ops.loss import Huber, KLDivergence, L1Loss, L2Penalty, MeanSquaredError, reduced

LARGEST = float(np.finfo(np.float32).max)
X = Spec(("N", 3, 4))
ELEMENTWISE = [MeanSquaredError, L1Loss, Huber, KLDivergence]
each_loss = pytest.mark.parametrize("loss", ELEMENTWISE)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(
    [LARGEST, -LARGEST, 1e38, -1e38, 104.0, -104.0, 0.0]
)


def gradients(operator, *inputs, needs=(True, True)):
    loss, saved = operator.forward(*inputs)
    return operator.backward(saved, np.ones_like(loss), needs)


@given(
    st.lists(st.tuples(finite, finite, finite), min_size=1, max_size=3),
    st.sampled_from(["mean", "sum", "none", "batchmean"]),
    st.booleans(),
)
def test_divergence_after_log_softmax_is_finite_for_every_finite_logit(rows, reduction, log_target):
    logits = np.array(rows, np.float32)
    x, saved = LogSoftmax().forward(logits)
    labels = np.roll(x, 1, axis=1) if log_target else np.float32([[0.7, 0.3, 0.0]] * len(rows))
    operator = KLDivergence(reduction, log_target)
    loss, _ = operator.forward(x, labels)
    dx, dlabels = gradients(operator, x, labels)
    (dlogits,) = LogSoftmax().backward(saved, dx, (True,))
    for result in (loss, dx, dlabels, dlogits):
        assert np.isfinite(result).all() and result.dtype == np.float32
    exact, _ = operator.forward(x.astype(np.float64), labels.astype(np.float64))
    np.testing.assert_allclose(loss, np.clip(exact, -LARGEST, LARGEST), rtol=1e-5, atol=1e-6)


@given(st.lists(finite, min_size=1, max_size=6))
def test_means_and_sums_of_finite_losses_are_finite(entries):
    values = np.array(entries, np.float32)
    exact = values.astype(np.float64)
    for reduction, wanted in (("mean", exact.mean()), ("sum", exact.sum())):
        result = reduced(values, reduction, signed=True)
        assert np.isfinite(result) and result.dtype == np.float32 and result.shape == ()
        error = abs(result - np.clip(wanted, -LARGEST, LARGEST))
        assert error <= 1e-6 * np.abs(exact).sum() + 1e-44  # one step where numbers are densest


@pytest.mark.parametrize("reduction", ["mean", "sum", "batchmean"])
@pytest.mark.parametrize("entry", [math.inf, math.nan])
def test_an_entry_that_is_not_finite_shows_in_the_loss(reduction, entry):
    result = reduced(np.array([1.0, entry], np.float32), reduction)
    assert np.isnan(result) if math.isnan(entry) else result == math.inf


@pytest.mark.parametrize("entry", [1.5395734177747547e38, 2.8255112469739246e38])
def test_a_sum_above_the_highest_number_does_not_round_past_it(entry):
    x = np.full(8, entry, dtype=np.float32)
    total, _ = L1Loss("sum").forward(x, np.zeros_like(x))
    assert np.isfinite(total) and total > 3.402e38


def test_a_sum_of_losses_below_0_stays_finite():
    scores = np.full((3, 2), 3e38, dtype=np.float32)
    total, _ = NegativeLogLikelihood(reduction="sum").forward(scores, np.zeros(3, dtype=np.int64))
    assert np.isfinite(total) and total < -3.402e38


def test_a_mean_of_squares_that_overflow_is_infinite():
    with np.errstate(over="ignore"):
        loss, _ = MeanSquaredError().forward(np.full(2, 1e30, np.float32), np.zeros(2, np.float32))
    assert loss == math.inf


def test_the_kinks_of_absolute_differences_have_no_gradient():
    dx, dlabels = gradients(L1Loss("sum"), np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 4.0]))
    assert dx.tolist() == [0.0, 1.0, -1.0]
    assert dlabels.tolist() == [0.0, -1.0, 1.0]


def test_huber_takes_the_slope_delta_from_the_difference_delta_on():
    x = np.array([-9.0, -2.0, 0.5, 2.0, 9.0])
    dx, _ = gradients(Huber(2.0, "sum"), x, np.zeros(5))
    assert dx.tolist() == [-2.0, -2.0, 0.5, 2.0, 2.0]


def test_huber_of_huge_differences_does_not_overflow_on_the_way():
    x = np.array([LARGEST, -LARGEST], np.float32)
    loss, _ = Huber(1.0, "none").forward(x, np.zeros(2, np.float32))
    np.testing.assert_array_equal(loss, np.full(2, LARGEST, np.float32))


def test_a_label_of_probability_0_costs_nothing_and_has_no_gradient():
    x, labels = np.log([[0.25, 0.75]]), np.array([[0.0, 1.0]])
    loss, _ = KLDivergence("none").forward(x, labels)
    dx, dlabels = gradients(KLDivergence("none"), x, labels)
    assert loss[0, 0] == dx[0, 0] == dlabels[0, 0] == 0
    assert dlabels[0, 1] == pytest.approx(1 - math.log(0.75))


def test_a_negative_label_has_no_divergence():
    with np.errstate(invalid="ignore"):
        loss, _ = KLDivergence().forward(np.zeros(2), np.array([0.5, -0.5]))
    assert np.isnan(loss)


def test_log_labels_give_the_divergence_of_the_labels():
    x, labels = np.log([[0.2, 0.8], [0.6, 0.4]]), np.array([[0.5, 0.5], [0.1, 0.9]])
    for reduction in ("mean", "sum", "none", "batchmean"):
        of_labels, _ = KLDivergence(reduction).forward(x, labels)
        of_logs, _ = KLDivergence(reduction, log_target=True).forward(x, np.log(labels))
        np.testing.assert_allclose(of_logs, of_labels, rtol=1e-14)


def test_the_batch_mean_of_the_divergence_is_one_over_examples():
    x, labels = np.zeros((2, 3, 4)), np.full((2, 3, 4), 0.5)
    (total, _), (mean, _) = (KLDivergence(r).forward(x, labels) for r in ("sum", "batchmean"))
    assert mean == pytest.approx(total / 2)


@each_loss
def test_a_loss_knows_its_shape_for_a_symbolic_batch(loss):
    assert loss().infer(X, X) == Spec(())
    assert loss(reduction="sum").infer(X, X) == Spec(())
    assert loss(reduction="none").infer(X, X) == X


@each_loss
def test_a_reduced_loss_is_an_array_of_no_axes(loss):
    for reduction in ("mean", "sum"):
        y, _ = loss(reduction=reduction).forward(np.ones((2, 3)), np.ones((2, 3)))
        assert isinstance(y, np.ndarray) and y.shape == ()


@each_loss
def test_an_empty_batch_has_no_mean_but_a_sum_of_0(loss):
    empty = np.zeros((0, 3), np.float32)
    assert loss(reduction="sum").forward(empty, empty)[0] == 0
    assert loss(reduction="none").forward(empty, empty)[0].shape == (0, 3)
    with pytest.raises(ShapeError, match="at least one label to take a mean"):
        loss().infer(Spec((0, 3)), Spec((0, 3)))


@each_loss
def test_a_gradient_nobody_needs_is_none(loss):
    x = np.full((2, 3), 0.5)
    assert [g is None for g in gradients(loss(), x, x, needs=(False, True))] == [True, False]
    assert [g is None for g in gradients(loss(), x, x, needs=(True, False))] == [False, True]


def test_a_loss_says_which_labels_it_takes():
    for operator in (MeanSquaredError(), L1Loss(), Huber(), KLDivergence(log_target=True)):
        assert operator.domains(X, X) == {"labels": Interval()}
    assert KLDivergence().domains(X, X) == {"labels": Interval(0, math.inf)}


def test_l2_penalty_takes_any_number_of_weights():
    assert L2Penalty.signature().names == ("loss",)
    assert L2Penalty.signature().variadic == "weights"


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (MeanSquaredError(), [X, Spec(("N", 3))], r"labels float32 \(N, 3, 4\), received"),
        (MeanSquaredError(), [X, Spec(("N", 3, 4), "float64")], "labels float32"),
        (MeanSquaredError(), [Spec((0,)), Spec((0,))], "at least one label"),
        (L1Loss(), [X, Spec(("N", 3, 4), "int64")], "labels float32"),
        (Huber(), [Spec((2,), "int64"), Spec((2,), "int64")], "floating dtype, received int64"),
        (KLDivergence(), [X, Spec((3, 4))], "labels float32"),
        (KLDivergence("batchmean"), [Spec(()), Spec(())], "1 or more axes"),
        (KLDivergence("batchmean"), [Spec((0, 2)), Spec((0, 2))], "at least one label"),
        (L2Penalty(1.0), [Spec((2,)), Spec((2,))], r"float32 \(\), received float32 \(2,\)"),
        (L2Penalty(1.0), [Spec(())], "at least one weight"),
        (L2Penalty(1.0), [Spec(()), Spec((2,), "float64")], r"weight float32 \(2,\), received"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (
            lambda: MeanSquaredError("avg"),
            ValueError,
            'MeanSquaredError: expected "mean", "sum" or "none" for reduction, received \'avg\'',
        ),
        (lambda: L1Loss("batchmean"), ValueError, "L1Loss: expected .* for reduction"),
        (lambda: Huber(reduction=None), ValueError, "Huber: expected .* for reduction"),
        (lambda: Huber(0), ValueError, "Huber: expected a finite number above 0 for delta"),
        (lambda: Huber(math.inf), ValueError, "Huber: expected a finite number .* for delta"),
        (lambda: Huber("1"), TypeError, "Huber: expected a finite number .* for delta"),
        (lambda: KLDivergence("max"), ValueError, '"none" or "batchmean" for reduction'),
        (lambda: KLDivergence(log_target=1), TypeError, "True or False for log_target"),
        (lambda: L2Penalty(math.inf), ValueError, "L2Penalty: expected a finite number"),
        (lambda: L2Penalty(None), TypeError, "L2Penalty: expected a finite number"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


@pytest.mark.parametrize(
    ("operator", "kinds"),
    [
        (Huber(np.float64(1)), [float, str]),
        (L2Penalty(np.float64(1)), [float]),
        (KLDivergence(log_target=np.True_), [str, bool]),
    ],
    ids=repr,
)
def test_a_field_is_kept_as_a_plain_python_value(operator, kinds):
    assert [type(value) for value in vars(operator).values()] == kinds


def test_a_label_of_0_costs_nothing_even_where_the_prediction_rules_it_out():
    x, labels = np.array([-np.inf, 0.0]), np.array([0.0, 1.0])
    loss, _ = KLDivergence("sum").forward(x, labels)
    assert loss == 0
