"""Losses on classes where their records do not reach: extreme logits, odd labels, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnet as gn
from ops import Interval, LogSoftmax, ShapeError, Spec
from ops.binary_cross_entropy import BinaryCrossEntropy
from ops.cross_entropy import (
    Hinge,
    NegativeLogLikelihood,
    SoftmaxCrossEntropy,
)

LARGEST = float(np.finfo(np.float32).max)
X = Spec(("N", 3, 4))
LABELS = Spec(("N",), "int64")
CLASSIFIERS = [SoftmaxCrossEntropy, NegativeLogLikelihood, Hinge]
each_classifier = pytest.mark.parametrize("loss", CLASSIFIERS)
each_likelihood = pytest.mark.parametrize("loss", [SoftmaxCrossEntropy, NegativeLogLikelihood])
reductions = st.sampled_from(["mean", "sum", "none"])
finite = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(
    [LARGEST, -LARGEST, 1e38, -1e38, 104.0, -104.0, 0.0]
)
logit_rows = st.lists(st.tuples(finite, finite, finite), min_size=1, max_size=3)


def both_ways(operator, *inputs, needs=None):
    """The loss and the gradients of the floating inputs."""
    loss, saved = operator.forward(*inputs)
    needs = tuple(x.dtype.kind == "f" for x in inputs) if needs is None else needs
    if isinstance(operator, NegativeLogLikelihood):
        needs = (*needs, False)[:3]
    return loss, operator.backward(saved, np.ones_like(loss), needs)


def expect_close(single, exact):
    """Finite and near the float64 result; the largest finite number stands for all above it."""
    assert single.dtype == np.float32 and np.isfinite(single).all()
    np.testing.assert_allclose(single, np.clip(exact, -LARGEST, LARGEST), rtol=2e-6, atol=1e-6)


def distances(logits):
    """How far below the highest each logit of a row is, as far as float32 can hold it."""
    wide = np.asarray(logits, np.float64)
    return np.maximum(wide - wide.max(axis=1, keepdims=True), -LARGEST)


@given(logit_rows, st.integers(0, 2), st.sampled_from([0.0, 0.1, 1.0]), reductions)
def test_softmax_cross_entropy_is_finite_for_every_finite_logit(rows, label, smoothing, reduction):
    x, labels = np.array(rows, np.float32), np.full(len(rows), label)
    below = distances(rows)
    log_total = np.log(np.exp(below).sum(axis=1, keepdims=True))
    target = (1 - smoothing) * np.eye(3)[[label]] + smoothing / 3
    # of all losses, before any is reduced
    losses = np.minimum((target * (log_total - below)).sum(axis=1), LARGEST)
    count = len(rows) if reduction == "mean" else 1
    exact = losses if reduction == "none" else losses.sum() / count
    operator = SoftmaxCrossEntropy(smoothing, reduction)
    loss, (dx, dlabels) = both_ways(operator, x, labels)
    expect_close(loss, exact)
    expect_close(dx, (np.exp(below - log_total) - target) / count)
    assert np.all(loss >= 0) and dlabels is None


@given(logit_rows, st.integers(0, 2), reductions, st.booleans())
def test_likelihood_after_log_softmax_is_finite_for_every_finite_logit(
    rows, label, reduction, weighted
):
    logits, labels = np.array(rows, np.float32), np.full(len(rows), label)
    # a weight above 1 takes the largest loss past all finite numbers, unless a mean is taken
    weights = [np.float32([1.5, 1.0, 3.0] if reduction == "mean" else [0.5, 1.0, 0.25])]
    weights = weights if weighted else []
    operator = NegativeLogLikelihood(reduction)
    x, saved = LogSoftmax().forward(logits)
    # the gradient of a weight is a sum of losses, which may be beyond all finite numbers
    needs = (True, False, weighted and reduction == "mean")
    loss, grads = both_ways(operator, x, labels, *weights, needs=needs)
    (dlogits,) = LogSoftmax().backward(saved, grads[0], (True,))
    wide = [w.astype(np.float64) for w in weights]
    exact, exact_grads = both_ways(operator, x.astype(np.float64), labels, *wide, needs=needs)
    expect_close(loss, exact)
    expect_close(grads[0], exact_grads[0])
    assert np.isfinite(dlogits).all()
    if needs[2]:
        expect_close(grads[2] / LARGEST, exact_grads[2] / LARGEST)
    if not weighted:
        same, (dx, _) = both_ways(SoftmaxCrossEntropy(reduction=reduction), logits, labels)
        np.testing.assert_allclose(loss, same, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(dlogits, dx, rtol=1e-6, atol=1e-6)


@given(logit_rows, st.integers(0, 2), st.sampled_from([0.0, 1.0, 1e38]), reductions)
def test_hinge_is_finite_for_every_finite_score(rows, label, margin, reduction):
    x, labels = np.array(rows, np.float32), np.full(len(rows), label)
    loss, (dx, _) = both_ways(Hinge(margin, reduction), x, labels)
    wide = x.astype(np.float64)
    excess = np.maximum(wide - wide[:, [label]] + np.float32(margin), 0)
    excess[:, label] = 0
    losses = np.minimum(excess.sum(axis=1), LARGEST)
    if reduction != "none":
        losses = losses.mean() if reduction == "mean" else losses.sum()
    scale = max(np.abs(wide).max(), margin)  # what x - x_label rounds in float32
    assert loss.dtype == np.float32 and np.isfinite(loss).all() and np.isfinite(dx).all()
    error = np.abs(loss - np.minimum(losses, LARGEST))
    assert (error <= 4e-6 * scale * len(rows) + 1e-44).all()


def test_the_mean_of_large_losses_does_not_overflow():
    x = np.array([[LARGEST, 0.0]] * 4, np.float32)
    loss, _ = SoftmaxCrossEntropy().forward(x, np.ones(4, np.int64))
    np.testing.assert_allclose(loss, LARGEST, rtol=1e-6)


@pytest.mark.parametrize("classes", [3, 5000])
def test_smoothed_losses_at_the_end_of_the_range_do_not_overflow(classes):
    x = np.full((1, classes), -LARGEST, np.float32)
    x[0, 0] = 0.0
    for smoothing in (1e-6, 0.3, 0.9, 1.0):
        loss, _ = SoftmaxCrossEntropy(smoothing).forward(x, np.array([1]))
        share = 1 - smoothing + smoothing * (classes - 1) / classes
        assert loss / LARGEST == pytest.approx(share, rel=1e-5)


def test_all_of_a_target_may_be_spread_over_the_classes():
    x = np.array([[1.0, 2.0, 4.0]])
    losses = [SoftmaxCrossEntropy(1.0).forward(x, np.array([k]))[0].item() for k in range(3)]
    assert losses == pytest.approx([np.log(np.exp(x).sum()) - x.mean()] * 3)


@each_classifier
@pytest.mark.parametrize("wrong", [-1, 3, 2**40])
def test_a_label_outside_the_classes_gives_nan(loss, wrong):
    y, (dx, *_) = both_ways(loss(), np.ones((2, 3), np.float32), np.array([0, wrong]))
    assert np.isnan(y)
    assert np.isnan(dx[1]).any()


@each_classifier
def test_a_label_outside_the_classes_leaves_the_losses_of_others_alone(loss):
    y, (dx, *_) = both_ways(loss(reduction="none"), np.ones((2, 3)), np.array([0, 3]))
    assert np.isfinite(y[0]) and np.isnan(y[1])
    assert np.isfinite(dx[0]).all() and np.isnan(dx[1]).any()


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy, Hinge])
def test_in_a_mean_it_leaves_the_gradients_of_others_alone(loss):
    _, (dx, _) = both_ways(loss(), np.ones((2, 3)), np.array([0, 3]))
    assert np.isfinite(dx[0]).all()


@each_likelihood
def test_a_label_between_the_classes_and_the_ignored_one_gives_nan(loss):
    y, (dx, *_) = both_ways(loss(ignore_index=-100), np.ones((2, 3)), np.array([0, -50]))
    assert np.isnan(y) and np.isnan(dx[1]).any()


def test_a_label_outside_the_classes_spoils_the_gradient_of_the_weights():
    for reduction in ("mean", "sum"):
        _, grads = both_ways(
            NegativeLogLikelihood(reduction), np.ones((2, 3)), np.array([0, 7]), np.ones(3)
        )
        assert np.isnan(grads[2]).all()


@each_likelihood
@pytest.mark.parametrize("ignored", [-100, 1, 255])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_an_ignored_label_counts_for_nothing(loss, ignored, reduction):
    x = np.array([[1.0, 3.0, 2.0], [0.5, -1.0, 4.0], [2.0, 2.0, 7.0]])
    labels = np.array([0, ignored, 2])
    y, (dx, *_) = both_ways(loss(reduction=reduction, ignore_index=ignored), x, labels)
    kept, (dkept, *_) = both_ways(loss(reduction=reduction), x[[0, 2]], labels[[0, 2]])
    if reduction == "none":
        assert y[1] == 0
        y = y[[0, 2]]
    np.testing.assert_allclose(y, kept)
    np.testing.assert_allclose(dx[[0, 2]], dkept)
    assert not dx[1].any()


@each_likelihood
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("wild", [math.nan, math.inf, -math.inf])
def test_the_loss_does_not_look_at_an_ignored_label(loss, reduction, wild):
    x = np.array([[1.0, 3.0, 2.0], [wild, -1.0, 4.0]])
    with np.errstate(invalid="ignore"):
        y, _ = loss(reduction=reduction, ignore_index=0).forward(x, np.array([2, 0]))
    assert np.isfinite(y).all()


@each_likelihood
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_labels_that_are_all_ignored_give_a_loss_and_gradients_of_0(loss, reduction):
    x = np.array([[LARGEST, -LARGEST, 0.0]] * 2, np.float32)
    y, (dx, *_) = both_ways(
        loss(reduction=reduction, ignore_index=-1), x, np.array([-1, -1], np.int8)
    )
    assert not y.any() and not dx.any()
    assert y.dtype == dx.dtype == np.float32


def test_weights_that_sum_to_0_give_a_loss_and_gradients_of_0():
    y, (dx, _, dweights) = both_ways(
        NegativeLogLikelihood(), -np.ones((2, 3)), np.array([0, 2]), np.array([0.0, 1.0, 0.0])
    )
    assert y == 0 and not dx.any() and not dweights.any()


def test_the_mean_is_one_over_the_weights_of_the_labels_that_count():
    x = np.array([[-1.0, -9.0], [-9.0, -4.0], [-9.0, -9.0]])
    labels, weights = np.array([0, 1, -1]), np.array([3.0, 1.0])
    loss, _ = NegativeLogLikelihood(ignore_index=-1).forward(x, labels, weights)
    assert loss == pytest.approx((3 * 1 + 1 * 4) / (3 + 1))


def test_weights_are_saved_only_where_there_are_some():
    x, labels = np.zeros((2, 3)), np.array([0, 1])
    _, saved = NegativeLogLikelihood().forward(x, labels)
    assert not any(isinstance(kept, np.ndarray) and kept.dtype.kind == "f" for kept in saved)


def test_plain_softmax_cross_entropy_saves_probabilities_and_labels():
    x, labels = np.zeros((2, 4), np.float32), np.array([0, 3])
    _, (probabilities, kept) = SoftmaxCrossEntropy().forward(x, labels)
    np.testing.assert_array_equal(probabilities, np.full((2, 4), 0.25, np.float32))
    assert kept is labels


@each_classifier
def test_a_classifier_says_which_labels_it_takes(loss):
    assert loss().domains(Spec(("N", 7)), LABELS) == {"labels": Interval(0, 7)}
    assert loss.signature().names[:2] == ("x", "labels")


@each_likelihood
@pytest.mark.parametrize(("ignored", "low", "high"), [(-100, -100, 7), (3, 0, 7), (255, 0, 256)])
def test_the_labels_taken_include_the_ignored_one(loss, ignored, low, high):
    taken = loss(ignore_index=ignored).domains(Spec(("N", 7)), LABELS)
    assert taken == {"labels": Interval(low, high)}


def test_an_ignored_label_may_be_fed():
    logits = gn.Input("logits", ("N", 3))
    label = gn.Input("label", ("N",), "int64")
    graph = gn.Graph(loss=SoftmaxCrossEntropy(ignore_index=-100)(logits, label))
    net = gn.Executor(graph)
    x = np.zeros((2, 3), np.float32)
    out = net.forward(logits=x, label=np.array([1, -100]))
    assert out["loss"] == pytest.approx(math.log(3))
    with pytest.raises(ValueError, match="-100 <= v < 3, received 3"):
        net.forward(logits=x, label=np.array([1, 3]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_yes_or_no_labels_0_and_1_may_be_fed_and_no_number_above(dtype):
    x = gn.Input("x", ("N",), dtype)
    label = gn.Input("label", ("N",), dtype)
    net = gn.Executor(gn.Graph(loss=BinaryCrossEntropy()(x, label)), dtype=dtype)
    zeros = np.zeros(2, dtype)
    out = net.forward(x=zeros, label=np.array([0, 1], dtype))
    assert out["loss"] == pytest.approx(math.log(2))
    beyond = np.nextafter(np.ones(2, dtype), np.array(2, dtype))
    with pytest.raises(ValueError, match="input 'label'"):
        net.forward(x=zeros, label=beyond)


def test_probabilities_and_weights_have_domains_too():
    share = Interval(0.0, 1.0 + 2.0**-52)
    spec = Spec((2,), "float64")
    assert BinaryCrossEntropy().domains(spec, spec) == {"labels": share}
    assert BinaryCrossEntropy(False).domains(spec, spec) == {"x": share, "labels": share}
    weighted = NegativeLogLikelihood().domains(Spec(("N", 3)), LABELS, Spec((3,)))
    assert weighted == {"labels": Interval(0, 3), "weights": Interval(0.0)}


def test_a_narrow_label_dtype_does_not_wrap_around_the_classes():
    loss, _ = SoftmaxCrossEntropy().forward(np.zeros((1, 300)), np.array([44], np.uint8))
    assert loss == pytest.approx(math.log(300))


def test_a_score_exactly_at_the_margin_has_no_gradient():
    loss, (dx, _) = both_ways(Hinge(1.0), np.array([[2.0, 1.0]]), np.array([0]))
    assert loss == 0 and dx.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("loss", [*CLASSIFIERS, BinaryCrossEntropy])
def test_a_loss_knows_its_shape_for_a_symbolic_batch(loss):
    x = Spec(("N", 3))
    labels = x if loss is BinaryCrossEntropy else LABELS
    assert loss().infer(x, labels) == loss(reduction="sum").infer(x, labels) == Spec(())
    assert loss(reduction="none").infer(x, labels) == Spec(labels.shape)
    y, _ = loss().forward(np.ones((2, 3), np.float32), np.zeros(labels.bind(2).shape, labels.dtype))
    assert isinstance(y, np.ndarray) and y.shape == ()


@pytest.mark.parametrize("loss", [*CLASSIFIERS, BinaryCrossEntropy])
def test_an_empty_batch_has_no_mean_but_a_sum_of_0(loss):
    x = np.zeros((0, 3), np.float32)
    labels = x if loss is BinaryCrossEntropy else np.zeros(0, np.int64)
    assert loss(reduction="sum").forward(x, labels)[0] == 0
    with pytest.raises(ShapeError, match="at least one label to take a mean"):
        loss().infer(Spec(x.shape), Spec(labels.shape, labels.dtype.name))


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (SoftmaxCrossEntropy(), [Spec(("N", 3)), Spec(("N",))], "integer labels, received float32"),
        (SoftmaxCrossEntropy(), [X, LABELS], r"labels \(N, 4\) for .* received int64 \(N,\)"),
        (SoftmaxCrossEntropy(), [Spec((3, "N")), Spec((3,), "int64")], "known number of classes"),
        (SoftmaxCrossEntropy(), [Spec((0, 3)), Spec((0,), "int64")], "at least one label"),
        (SoftmaxCrossEntropy(), [Spec(("N", 3, 0)), Spec(("N", 0), "int8")], "at least one label"),
        (SoftmaxCrossEntropy(), [Spec(("N",)), LABELS], "2 or more axes"),
        (
            SoftmaxCrossEntropy(ignore_index=-100),
            [Spec(("N", 3)), Spec(("N",), "uint8")],
            "dtype that holds ignore_index -100, received uint8",
        ),
        (
            NegativeLogLikelihood(ignore_index=255),
            [Spec(("N", 3)), Spec(("N",), "int8")],
            "dtype that holds ignore_index 255, received int8",
        ),
        (NegativeLogLikelihood(), [X, LABELS], r"labels \(N, 4\) for .* received int64 \(N,\)"),
        (
            NegativeLogLikelihood(),
            [Spec(("N", 3)), LABELS, Spec((4,))],
            r"weights float32 \(3,\), received float32 \(4,\)",
        ),
        (
            NegativeLogLikelihood(),
            [Spec(("N", 3)), LABELS, Spec((3,), "float64")],
            r"weights float32 \(3,\), received float64",
        ),
        (BinaryCrossEntropy(), [X, Spec(("N", 3))], r"labels float32 \(N, 3, 4\), received"),
        (BinaryCrossEntropy(), [Spec(("N",)), LABELS], r"labels float32 \(N,\), received int64"),
        (BinaryCrossEntropy(), [LABELS, LABELS], "floating dtype, received int64"),
        (Hinge(), [X, Spec(("N", 4), "int64")], "an input of 2 axes"),
        (Hinge(), [Spec((0, 3)), Spec((0,), "int64")], "at least one label"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: Hinge(math.nan), ValueError, "Hinge: expected a finite number .* for margin"),
        (lambda: Hinge(-1), ValueError, "Hinge: expected a finite number .* for margin"),
        (lambda: Hinge("1"), TypeError, "Hinge: expected a finite number .* for margin"),
        (lambda: Hinge(reduction="max"), ValueError, "Hinge: expected .* for reduction"),
        (
            lambda: SoftmaxCrossEntropy(1.5),
            ValueError,
            r"SoftmaxCrossEntropy: expected a number in 0\.\.1 for label_smoothing, received 1.5",
        ),
        (lambda: SoftmaxCrossEntropy("0"), TypeError, "for label_smoothing"),
        (lambda: SoftmaxCrossEntropy(reduction="avg"), ValueError, "for reduction"),
        (
            lambda: SoftmaxCrossEntropy(ignore_index=1.0),
            TypeError,
            "SoftmaxCrossEntropy: expected an integer for ignore_index, received 1.0",
        ),
        (lambda: NegativeLogLikelihood(ignore_index=True), TypeError, "for ignore_index"),
        (
            lambda: NegativeLogLikelihood("batchmean"),
            ValueError,
            'NegativeLogLikelihood: expected "mean", "sum" or "none" for reduction',
        ),
        (lambda: BinaryCrossEntropy(1), TypeError, "True or False for from_logits, received 1"),
        (lambda: BinaryCrossEntropy(reduction=""), ValueError, "for reduction, received ''"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


@pytest.mark.parametrize(
    ("operator", "kinds"),
    [
        (Hinge(np.float64(1)), [float, str]),
        (SoftmaxCrossEntropy(np.float32(0), "sum", np.int8(-1)), [float, str, int]),
        (NegativeLogLikelihood(ignore_index=np.int64(5)), [str, int]),
        (BinaryCrossEntropy(np.False_), [bool, str]),
    ],
    ids=repr,
)
def test_a_field_is_kept_as_a_plain_python_value(operator, kinds):
    assert [type(value) for value in vars(operator).values()] == kinds
