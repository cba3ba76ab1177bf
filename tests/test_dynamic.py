"""Functions whose sizes depend on values: against loops, and against the ONNX standard."""

from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.strategies import seeds
from ops import ShapeError
from ops.dynamic import compress, non_max_suppression, nonzero, unique
from ops.tapers import blackman_window, hamming_window, hann_window, mel_weight_matrix
from tests.oracles import onnx_node

needs_onnx = pytest.mark.skipif(find_spec("onnx") is None, reason="onnx is not installed")


def small(shape, seed):
    return np.asarray(np.random.default_rng(seed).integers(0, 3, shape))


@given(batched(min_rank=0), seeds)
def test_every_entry_that_is_not_0_is_found_in_raster_order(shape, seed):
    x = small(shape, seed)
    wanted = [at for at in np.ndindex(x.shape) if x[at]] if shape else [(0,)] * bool(x)
    assert list(zip(*nonzero(x).tolist(), strict=True)) == wanted
    assert nonzero(x).shape == (max(x.ndim, 1), len(wanted)) and nonzero(x).dtype == "int64"


@given(batched(), st.data(), seeds)
def test_slices_are_left_out_where_the_condition_fails_or_ends(shape, data, seed):
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1))
    x = small(shape, seed)
    rows = x.reshape(-1) if axis is None else x
    entries = rows.shape[axis or 0]
    condition = data.draw(st.lists(st.booleans(), max_size=entries))
    kept = [i for i, holds in enumerate(condition) if holds]
    found = compress(x, np.array(condition, bool), axis)
    np.testing.assert_array_equal(found, np.take(rows, np.array(kept, int), axis or 0))


@pytest.mark.parametrize(
    "condition", [np.array([1, 0]), np.array([[True]]), np.array([True] * 4)], ids=str
)
def test_a_condition_that_does_not_fit_is_refused(condition):
    with pytest.raises(ShapeError, match="one axis and at most 3 entries"):
        compress(np.zeros((3, 2)), condition, axis=0)


@given(batched(max_rank=3), st.data(), seeds, st.booleans())
def test_every_slice_occurs_once_in_either_order(shape, data, seed, in_order):
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1))
    x = small(shape, seed)
    rows = x.reshape(-1) if axis is None else np.moveaxis(x, axis, 0)
    keys = [tuple(np.ravel(row).tolist()) for row in rows]
    firsts = list(dict.fromkeys(keys))
    wanted = sorted(firsts) if in_order else firsts
    values, first, inverse, counts = unique(x, axis, in_order=in_order)
    found = values if axis is None else np.moveaxis(values, axis, 0)
    assert [tuple(np.ravel(row).tolist()) for row in found] == wanted
    assert first.tolist() == [keys.index(key) for key in wanted]
    assert inverse.tolist() == [wanted.index(key) for key in keys]
    assert counts.tolist() == [keys.count(key) for key in wanted]


def test_a_floating_value_occurs_once_too():
    values, _, inverse, _ = unique(np.array([[2.0, 1.0], [1.0, 2.0]]))
    assert values.tolist() == [1, 2] and inverse.tolist() == [1, 0, 0, 1]


def share(a, b):
    """The intersection of two boxes over their union, from their corners."""
    sides = [
        min(max(a[k], a[k + 2]), max(b[k], b[k + 2]))
        - max(min(a[k], a[k + 2]), min(b[k], b[k + 2]))
        for k in (0, 1)
    ]
    meeting = math.prod(max(side, 0) for side in sides)
    areas = [abs(c[2] - c[0]) * abs(c[3] - c[1]) for c in (a, b)]
    return meeting / (sum(areas) - meeting) if meeting else 0.0


@given(
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(0, 8),
    st.integers(0, 4),
    st.sampled_from((0.0, 0.3, 0.7, 1.0)),
    st.sampled_from((-math.inf, 0.2, 0.5)),
    seeds,
)
def test_boxes_are_taken_by_score_unless_a_better_one_overlaps(
    batch, classes, count, most, overlap, score, seed
):
    rng = np.random.default_rng(seed)
    boxes = rng.integers(0, 6, (batch, count, 4)).astype(float)
    scores = rng.integers(0, 10, (batch, classes, count)) / 10
    wanted = []
    for n, c in np.ndindex(batch, classes):
        taken = []
        for box in sorted(range(count), key=lambda i: -scores[n, c, i]):
            if scores[n, c, box] <= score or len(taken) == most:
                continue
            if all(share(boxes[n, box], boxes[n, other]) <= overlap for other in taken):
                taken.append(box)
        wanted += [[n, c, box] for box in taken]
    options = {"most": most, "overlap": overlap, "score": score}
    assert non_max_suppression(boxes, scores, **options).tolist() == wanted
    first, second = boxes[..., :2], boxes[..., 2:]
    centred = np.concatenate([(first + second) / 2, abs(second - first)], axis=-1)
    found = non_max_suppression(centred, scores, centred=True, **options)
    assert found.tolist() == wanted and found.dtype == "int64"


@pytest.mark.parametrize(
    ("boxes", "scores"), [((1, 2, 3), (1, 1, 2)), ((1, 2, 4), (1, 1, 3)), ((2, 4), (1, 1, 2))]
)
def test_boxes_and_scores_that_do_not_fit_are_refused(boxes, scores):
    with pytest.raises(ShapeError, match=r"expected boxes \(N, boxes, 4\)"):
        non_max_suppression(np.zeros(boxes), np.zeros(scores), most=1)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("size", [1, 2, 5, 16])
def test_tapers_are_their_formulas(size, periodic):
    n = max(size if periodic else size - 1, 1)
    turns = [2 * math.pi * i / n for i in range(size)]
    for function, weights in (
        (hann_window, (0.5, -0.5, 0.0)),
        (hamming_window, (25 / 46, -21 / 46, 0.0)),
        (blackman_window, (0.42, -0.5, 0.08)),
    ):
        found = function(size, periodic=periodic, dtype="float64")
        wanted = [math.fsum(w * math.cos(k * t) for k, w in enumerate(weights)) for t in turns]
        np.testing.assert_allclose(found, wanted, atol=1e-14)
        assert function(size).dtype == "float32"


@needs_onnx
@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("HannWindow", hann_window),
        ("HammingWindow", hamming_window),
        ("BlackmanWindow", blackman_window),
    ],
)
@pytest.mark.parametrize("periodic", [False, True])
def test_tapers_are_those_of_onnx(name, function, periodic):
    wanted = onnx_node.run(name, np.int64(9), periodic=int(periodic))
    np.testing.assert_allclose(function(9, periodic=periodic), wanted, atol=1e-6)


@needs_onnx
@pytest.mark.parametrize(("bands", "length"), [(8, 16), (4, 64), (20, 512)])
def test_the_mel_filter_bank_is_that_of_onnx(bands, length):
    given = (np.int64(bands), np.int64(length), np.int64(8192))
    wanted = onnx_node.run("MelWeightMatrix", *given, np.float32(0), np.float32(4096))
    found = mel_weight_matrix(bands, length, 8192, 0.0, 4096.0)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
