"""Attention where its record does not reach: extreme scores, masks that leave no key, misuse."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnet.testing import Case
from graphnet.testing.checks import check_dot_product
from ops import ShapeError, Spec
from ops.attention import ScaledDotProductAttention

LARGEST = float(np.finfo(np.float32).max)
EXTREMES = st.sampled_from(
    [0.0, 1.0, -1.0, 88.0, -104.0, 1e4, -1e4, 1e38, -1e38, LARGEST, -LARGEST]
)
ALL = (True, True, True, True)
QUERY, KEY, VALUE = Spec(("N", 3, 8)), Spec(("N", 5, 8)), Spec(("N", 5, 4))


def random_inputs(queries=3, keys=5, features=8, outputs=4, batch=2):
    rng = np.random.default_rng(0)
    shapes = ((queries, features), (keys, features), (keys, outputs))
    return tuple(rng.normal(size=(batch, *shape)) for shape in shapes)


def attend(scores, mask=None, values=(1.0, 2.0, 4.0), causal=False):
    """Output and gradients for one query of feature 1, whose scores are then the keys."""
    query = np.ones((1, 1, 1), np.float32)
    key, value = (np.array(v, np.float32).reshape(1, -1, 1) for v in (scores, values))
    mask = None if mask is None else np.asarray(mask)
    operator = ScaledDotProductAttention(causal=causal, scale=1.0)
    y, saved = operator.forward(query, key, value, mask)
    needs = (True, True, True, mask is not None and mask.dtype.kind == "f")
    return y, operator.backward(saved, np.ones_like(y), needs)


@given(st.tuples(EXTREMES, EXTREMES, EXTREMES))
def test_every_finite_score_gives_finite_results(scores):
    y, gradients = attend(scores)
    assert y.dtype == np.float32 and 1 <= y.item() <= 4.0001
    assert all(np.isfinite(gradient).all() for gradient in gradients[1:3])
    wide = np.array(scores, np.float64)
    weights = np.exp(wide - wide.max())
    np.testing.assert_allclose(y.item(), weights @ [1, 2, 4] / weights.sum(), rtol=1e-5)


@given(st.tuples(EXTREMES, EXTREMES, EXTREMES), st.tuples(EXTREMES, EXTREMES, EXTREMES))
def test_the_sum_of_score_and_mask_does_not_overflow(scores, added):
    y, gradients = attend(scores, np.array(added, np.float32))
    wide = np.add(scores, added)
    weights = np.exp(wide - wide.max())
    close = np.abs(wide - wide.max()) < 1e-6 * LARGEST  # apart only by what float32 rounds off
    if close.sum() == 1 or np.abs(wide).max() < 1e6:
        np.testing.assert_allclose(y.item(), weights @ [1, 2, 4] / weights.sum(), rtol=1e-2)
    assert 1 <= y.item() <= 4.0001 and np.isfinite(gradients[3]).all()


def test_the_mean_of_large_values_does_not_overflow():
    y, _ = attend((0.0, 0.0, 0.0), values=(LARGEST, LARGEST, LARGEST))
    np.testing.assert_allclose(y.item(), LARGEST, rtol=1e-6)


@pytest.mark.parametrize(
    "mask",
    [np.zeros(3, bool), np.full(3, -math.inf, np.float32), np.zeros((1, 1, 1, 1), bool)],
    ids=["boolean", "floating", "broadcast"],
)
@pytest.mark.parametrize("causal", [False, True])
def test_a_query_that_may_attend_to_nothing_gives_zeros_and_has_no_gradient(mask, causal):
    y, gradients = attend((5.0, -3.0, 1e38), mask, causal=causal)
    assert y.item() == 0
    for gradient in gradients:
        assert gradient is None or not gradient.any()


@pytest.mark.parametrize("lowest", [-1e9, -1e38, -LARGEST])
def test_a_key_with_a_low_finite_mask_still_counts_before_one_ruled_out(lowest):
    y, _ = attend((1.0, 2.0, 3.0), np.array([lowest, -math.inf, -math.inf], np.float32))
    assert y.item() == 1.0


def test_a_boolean_mask_says_which_keys_may_be_attended_to():
    y, (_, dkey, dvalue, _) = attend((0.0, 0.0, 50.0), [True, True, False])
    assert y.item() == 1.5
    assert dvalue.ravel().tolist() == [0.5, 0.5, 0.0]
    assert dkey.ravel()[2] == 0


@pytest.mark.parametrize(("queries", "keys"), [(3, 3), (2, 5), (5, 2)])
def test_a_causal_query_sees_the_keys_up_to_its_own_position_from_the_front(queries, keys):
    query, key, value = random_inputs(queries, keys)
    operator = ScaledDotProductAttention(2, causal=True)
    y, _ = operator.forward(query, key, value)
    for i, j in itertools.product(range(queries), range(keys)):
        changed = value.copy()
        changed[:, j] += 1
        moved, _ = operator.forward(query, key, changed)
        assert (moved[:, i] != y[:, i]).all() == (j <= i)
    below = np.tril(np.ones((queries, keys), bool))
    same, _ = ScaledDotProductAttention(2).forward(query, key, value, below)
    np.testing.assert_array_equal(y, same)


def test_heads_attend_side_by_side():
    query, key, value = random_inputs()
    y, _ = ScaledDotProductAttention(2).forward(query, key, value)
    alone = [
        ScaledDotProductAttention().forward(query[..., f], key[..., f], value[..., e])[0]
        for f, e in ((slice(0, 4), slice(0, 2)), (slice(4, 8), slice(2, 4)))
    ]
    np.testing.assert_allclose(y, np.concatenate(alone, axis=2), rtol=1e-12)


def test_the_scale_is_one_over_the_root_of_the_features_of_a_head():
    inputs = random_inputs()
    y, _ = ScaledDotProductAttention(2).forward(*inputs)
    same, _ = ScaledDotProductAttention(2, scale=0.5).forward(*inputs)
    np.testing.assert_array_equal(y, same)


def test_what_is_added_to_all_scores_of_a_query_has_no_gradient():
    inputs = random_inputs()
    operator = ScaledDotProductAttention(2)
    mask = np.random.default_rng(1).normal(size=(3, 1))
    y, saved = operator.forward(*inputs, mask)
    np.testing.assert_allclose(y, operator.forward(*inputs)[0], rtol=1e-12)
    *_, dmask = operator.backward(saved, np.ones_like(y), ALL)
    assert dmask.shape == mask.shape
    np.testing.assert_allclose(dmask, 0, atol=1e-12)


def test_no_array_of_all_probabilities_is_kept_for_the_way_back():
    query, key, value = random_inputs(queries=30, keys=50)
    _, saved = ScaledDotProductAttention(2).forward(query, key, value)
    kept = [x for x in saved if x is not None and not any(x is y for y in (query, key, value))]
    assert [x.shape for x in kept] == [(2, 2, 30, 1)] * 2


def test_the_symbolic_batch_is_carried_along():
    attention = ScaledDotProductAttention(2)
    for shape in [(1, 1, 3, 5), ("N", 1, 1, 5), ("N", 2, 3, 5), (3, 5), (5,), ()]:
        for dtype in ("bool", "float32"):
            inferred = attention.infer(QUERY, KEY, VALUE, Spec(shape, dtype))
            assert inferred == Spec(("N", 3, 4))


@pytest.mark.parametrize(
    ("heads", "inputs", "message"),
    [
        (1, [Spec(("N", 8)), KEY, VALUE], r"a query of 3 axes, received float32 \(N, 8\)"),
        (1, [QUERY, Spec(("N", 2, 5, 8)), VALUE], "a key of 3 axes"),
        (1, [QUERY, KEY, Spec(("N", 5, 4), "int64")], "a value of a floating dtype"),
        (1, [QUERY, Spec(("N", 5, 7)), VALUE], r"keys and queries .* received .*8\) and .*7\)"),
        (1, [QUERY, Spec((2, 5, 8)), VALUE], "keys and queries .* as many examples"),
        (1, [QUERY, Spec(("N", 5, 8), "float64"), VALUE], "keys and queries of one dtype"),
        (1, [QUERY, KEY, Spec(("N", 6, 4))], "keys and values .* positions"),
        (1, [QUERY, KEY, Spec(("N", 5, 4), "float64")], "keys and values of one dtype"),
        (3, [QUERY, KEY, VALUE], r"a query whose features divide into 3 heads, .*\(N, 3, 8\)"),
        (8, [QUERY, KEY, VALUE], r"a value whose features divide into 8 heads, .*\(N, 5, 4\)"),
        (1, [QUERY, KEY, Spec(("N", 5, 0))], "a value whose features divide into 1 heads"),
        (1, [QUERY, Spec(("N", 0, 8)), Spec(("N", 0, 4))], "keys to attend to"),
        (2, [QUERY, KEY, VALUE, Spec((3, 5), "int64")], "boolean or float32 mask, received int64"),
        (2, [QUERY, KEY, VALUE, Spec((3, 5), "float64")], "boolean or float32 mask"),
        (2, [QUERY, KEY, VALUE, Spec(("N", 5), "bool")], r"\(N, 5\) and \(N, 2, 3, 5\)"),
        (2, [QUERY, KEY, VALUE, Spec((4, 5), "bool")], r"\(4, 5\) and \(N, 2, 3, 5\)"),
        (2, [QUERY, KEY, VALUE, Spec((1, 1, 1, 3, 5), "bool")], r"to \(N, 2, 3, 5\), received"),
        (1, [QUERY, KEY, VALUE, Spec((2, 3, 5), "bool")], r"to \(N, 1, 3, 5\), received bool"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(heads, inputs, message):
    with pytest.raises(ShapeError, match=message):
        ScaledDotProductAttention(heads).infer(*inputs)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"heads": 0}, ValueError, "heads of at least 1, received 0"),
        ({"heads": 2.0}, TypeError, "an integer for heads"),
        ({"causal": 1}, TypeError, "True or False for causal, received 1"),
        ({"scale": 0.0}, ValueError, "above 0 for scale, received 0.0"),
        ({"scale": "1"}, TypeError, "above 0 for scale, received '1'"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(fields, error, message):
    with pytest.raises(error, match=f"ScaledDotProductAttention: expected .*{message}"):
        ScaledDotProductAttention(**fields)


def test_heads_that_share_keys_give_what_repeated_keys_give():
    query, key, value = random_inputs(features=8, outputs=8)
    shared = ScaledDotProductAttention(4, key_value_heads=2)
    y, _ = shared.forward(query, key[:, :, :4], value[:, :, :4])
    repeat = np.repeat(np.arange(4).reshape(2, 2), 2, axis=0).reshape(-1)  # 0 1 0 1 2 3 2 3
    whole, _ = ScaledDotProductAttention(4).forward(query, key[:, :, repeat], value[:, :, repeat])
    np.testing.assert_allclose(y, whole, rtol=1e-12)


def test_a_softcap_bounds_scores_of_any_size():
    query, key = np.ones((1, 1, 1), np.float32), np.array([[[1e38], [-1e38], [0.0]]], np.float32)
    operator = ScaledDotProductAttention(scale=1.0, softcap=2.0)
    y, saved = operator.forward(query, key, np.array([[[1.0], [2.0], [4.0]]], np.float32))
    weights = np.exp([2.0, -2.0, 0.0])
    np.testing.assert_allclose(y.item(), weights @ [1, 2, 4] / weights.sum(), rtol=1e-6)
    gradients = operator.backward(saved, np.ones_like(y), (True, True, True, False))
    assert all(np.isfinite(gradient).all() for gradient in gradients[:3])


def test_queries_behind_past_keys_see_what_the_whole_sequence_sees():
    query, key, value = random_inputs(queries=5, keys=5, features=4, outputs=4)
    whole, _ = ScaledDotProductAttention(causal=True).forward(query, key, value)
    last, _ = ScaledDotProductAttention(causal=True, past=3).forward(query[:, 3:], key, value)
    np.testing.assert_allclose(last, whole[:, 3:], rtol=1e-12)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"heads": 4, "key_value_heads": 3}, ValueError, "key_value_heads that divide the 4 heads"),
        ({"key_value_heads": 0}, ValueError, "key_value_heads of at least 1"),
        ({"past": -1}, ValueError, "past of at least 0, received -1"),
        ({"past": 0.5}, TypeError, "an integer for past"),
        ({"window": 3}, TypeError, r"a pair \(before, after\) for window, received 3"),
        ({"window": (1,)}, TypeError, r"a pair \(before, after\) for window"),
        ({"window": (-1, None)}, ValueError, "window of at least 0, received -1"),
        ({"softcap": 0.0}, ValueError, "a finite number above 0 for softcap"),
    ],
)
def test_heads_windows_and_caps_that_make_no_sense_are_refused(fields, error, message):
    with pytest.raises(error, match=message):
        ScaledDotProductAttention(**fields)


def test_windows_given_as_lists_become_tuples():
    operator = ScaledDotProductAttention(window=[np.int64(1), None], past=np.int64(2))
    assert operator == ScaledDotProductAttention(window=(1, None), past=2)
    assert type(operator.window[0]) is type(operator.past) is int


def test_keys_of_other_features_than_the_queries_are_refused():
    operator = ScaledDotProductAttention(4, key_value_heads=2)
    assert operator.infer(QUERY, Spec(("N", 5, 4)), Spec(("N", 5, 6))) == Spec(("N", 3, 12))
    with pytest.raises(ShapeError, match="expected keys and queries of one dtype"):
        operator.infer(QUERY, Spec(("N", 5, 8)), VALUE)


def test_a_softcap_bends_scores_that_are_larger_than_it():
    query, key = np.ones((1, 1, 1)), np.array([[[90.0], [40.0], [-35.0]]])
    operator = ScaledDotProductAttention(scale=1.0, softcap=30.0)
    value = np.array([[[1.0], [2.0], [4.0]]])
    y, _ = operator.forward(query, key, value)
    weights = np.exp(30 * np.tanh(key.ravel() / 30))
    np.testing.assert_allclose(y.item(), weights @ [1, 2, 4] / weights.sum(), rtol=1e-12)
    check_dot_product(Case(operator, (query, key, value, None)))


def test_the_gradient_of_a_mask_is_that_ahead_of_the_softcap():
    query, key, value = random_inputs()
    mask = np.random.default_rng(1).normal(size=(2, 2, 3, 5))
    check_dot_product(Case(ScaledDotProductAttention(2, softcap=0.5), (query, key, value, mask)))
