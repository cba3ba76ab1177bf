"""Philox against the published vectors, its numbers for uniformity, and the replay of dropout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import graphnet as gn
from graphnet.testing.records.dropout import philox as philox_in_python
from graphnet.testing.strategies import random_array
from ops import Dropout, Identity, ShapeError, Spec
from ops.random import draws, philox, uniform

words = st.integers(0, 2**64 - 1)


def uint64(*values):
    return np.array(values, dtype="uint64")


# Counter, key and answer of philox4x32-10 in Random123's kat_vectors, lowest word first.
PUBLISHED = [
    (
        [0, 0, 0, 0],
        [0, 0],
        [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8],
    ),
    (
        [0xFFFFFFFF] * 4,
        [0xFFFFFFFF] * 2,
        [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
    ),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def joined(words):
    return sum(word << 32 * place for place, word in enumerate(words))


@pytest.mark.parametrize(("counter", "key", "answer"), PUBLISHED)
def test_the_oracle_in_plain_python_gives_the_published_answers(counter, key, answer):
    assert philox_in_python(joined(key), joined(counter)) == answer


def test_philox_gives_the_published_answer_whose_counter_fits_64_bits():
    assert [int(word[0]) for word in philox(uint64(0), uint64(0))] == PUBLISHED[0][2]


@given(words, st.lists(words, min_size=1, max_size=5))
def test_philox_agrees_with_plain_integers_at_every_counter(key, counters):
    answer = philox(uint64(key), uint64(*counters))
    for position, counter in enumerate(counters):
        assert [int(word[position]) for word in answer] == philox_in_python(key, counter)


def test_philox_is_a_bijection_of_its_counter():
    answer = np.stack(philox(uint64(5), np.arange(4096, dtype="uint64")), axis=1)
    assert len(np.unique(answer, axis=0)) == 4096
    assert answer.max() < 2**32


@pytest.mark.parametrize(("size", "counters"), [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_one_counter_serves_four_numbers(size, counters):
    assert draws(size) == counters
    assert uniform(uint64(1), uint64(0), size).shape == (size,)


@pytest.mark.parametrize("key", [0, 1, 2**63 + 11])
def test_numbers_are_uniform_and_independent_of_their_neighbours(key):
    numbers = uniform(uint64(key), uint64(0), 100_000)
    assert numbers.dtype == np.float32
    assert numbers.min() >= 0 and numbers.max() < 1
    counts = np.histogram(numbers, bins=64, range=(0, 1))[0]
    assert stats.chisquare(counts).pvalue > 1e-3
    for lag in (1, 2, 3, 4):
        assert abs(np.corrcoef(numbers[:-lag], numbers[lag:])[0, 1]) < 0.015


def test_numbers_of_neighbouring_keys_and_counters_are_unrelated():
    one, other = (uniform(uint64(key), uint64(0), 20_000) for key in (7, 8))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03


@given(st.integers(0, 2**40), st.integers(1, 8), st.integers(1, 8))
def test_a_stream_goes_on_where_its_counter_says(start, first, second):
    whole = uniform(uint64(3), uint64(start), 4 * (first + second))
    parts = [
        uniform(uint64(3), uint64(start), 4 * first),
        uniform(uint64(3), uint64(start + first), 4 * second),
    ]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


# ---- dropout ----------------------------------------------------------------------------


@given(words, st.integers(0, 2**40), st.integers(0, 30))
def test_the_same_key_and_counter_drop_the_same_entries(key, counter, size):
    x = random_array((size,), 0) + 10.0
    state = uint64(key), uint64(counter)
    (first, new_key, new_counter), _ = Dropout(0.5).forward(x, *state)
    (again, *_), _ = Dropout(0.5).forward(x, *state)
    np.testing.assert_array_equal(first, again)
    assert int(new_key[0]) == key
    assert int(new_counter[0]) == counter + draws(size)


def test_the_counter_that_dropout_returns_gives_another_mask():
    x = np.ones(256)
    (first, key, counter), _ = Dropout(0.5).forward(x, uint64(4), uint64(0))
    (second, _, after), _ = Dropout(0.5).forward(x, key, counter)
    assert (first != second).any()
    assert [int(counter[0]), int(after[0])] == [64, 128]


def test_dropout_returns_a_key_of_its_own():
    key = uint64(4)
    (_, renewed, _), _ = Dropout(0.5).forward(np.ones(3), key, uint64(0))
    assert not np.shares_memory(renewed, key)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_precisions_drop_the_same_entries(dtype):
    (y, *_), _ = Dropout(0.3).forward(np.ones(1000, dtype), uint64(9), uint64(2))
    (wanted, *_), _ = Dropout(0.3).forward(np.ones(1000), uint64(9), uint64(2))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y > 0, wanted > 0)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_expected_value(probability):
    (y, *_), _ = Dropout(probability).forward(np.ones(100_000), uint64(1), uint64(0))
    assert (y == 0).mean() == pytest.approx(probability, abs=0.006)
    assert y.mean() == pytest.approx(1.0, abs=0.05)


def test_dropout_in_a_network_replays_from_its_states():
    graph = gn.Graph(y=Dropout(0.5)(gn.Input("x", ("N", 64))))
    net = gn.Executor(graph, seed=1)
    x = np.ones((2, 64), dtype="float32")
    start = net.snapshot()
    first = net.forward(training=True, x=x)["y"].copy()
    second = net.forward(training=True, x=x)["y"].copy()
    assert (first != second).any()
    net.assign(start)
    np.testing.assert_array_equal(net.forward(training=True, x=x)["y"], first)
    np.testing.assert_array_equal(net.forward(training=True, x=x)["y"], second)
    np.testing.assert_array_equal(net.forward(x=x)["y"], x)


def test_dropout_stands_back_at_inference():
    assert Dropout(0.5).for_inference() == Identity()


@pytest.mark.parametrize("probability", [-0.1, 1.0, float("nan")])
def test_a_probability_out_of_range_is_refused(probability):
    with pytest.raises(
        ValueError,
        match="and below 1 for probability, received",
    ):
        Dropout(probability)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([("N",), (1,), (1,)], None),
        ([("N",), (2,), (1,)], r"a key uint64 \(1,\), received uint64 \(2,\)"),
        ([("N",), (1,), ()], r"a counter uint64 \(1,\), received uint64 \(\)"),
    ],
)
def test_dropout_checks_its_states(specs, message):
    x, key, counter = specs
    given_specs = Spec(x), Spec(key, "uint64"), Spec(counter, "uint64")
    if message is None:
        assert Dropout().infer(*given_specs) == given_specs
        return
    with pytest.raises(ShapeError, match=message):
        Dropout().infer(*given_specs)
