"""What is fed is checked before anything runs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphnet as gn
from ops import (
    MeanSquaredError,
)
from tests.small_networks import X, batch, classifier, equal, executor, vector


def feed_errors() -> dict[str, tuple[dict[str, Any], str]]:
    good = batch()
    image, label = good["image"], good["label"]
    return {
        "missing": ({"image": image}, "input 'label' is missing"),
        "unknown": ({**good, "mask": label}, "no input is called 'mask'"),
        "wrong size": (
            {**good, "image": image[:, :, :3]},
            "'image': expected float32 (N, 2, 4, 4), received float32 (6, 2, 3, 4)",
        ),
        "wrong rank": ({**good, "image": image[0]}, "received float32 (2, 4, 4)"),
        "wrong dtype": (
            {**good, "image": image.astype("float64")},
            "'image': expected float32, received float64; convert it with .astype('float32')",
        ),
        "wrong integers": ({**good, "label": label.astype("int32")}, "int64, received int32"),
        "list": ({**good, "label": [0, 1, 2, 3, 4, 0]}, "int64 (N,), received list"),
        "none": ({**good, "label": None}, "received NoneType"),
        "number": ({**good, "image": 1.0}, "received float"),
        "different batches": (
            {**good, "label": label[:4]},
            "'label': expected int64 (N,), received int64 (4,) with N = 6 as in 'image'",
        ),
        "label too large": (
            {**good, "label": np.array([0, 1, 2, 5, 0, 0])},
            "0 <= v < 5, received 5 at index 3",
        ),
        "label negative": ({**good, "label": -label - 1}, "expects values in 0 <= v < 5"),
    }


@pytest.mark.parametrize("case", feed_errors())
@pytest.mark.parametrize("training", [False, True])
def test_a_feed_that_does_not_fit_is_refused_before_anything_runs(case, training):
    feeds, text = feed_errors()[case]
    net = gn.Executor(classifier(dropout=0.5))
    before = net.snapshot()
    with pytest.raises(gn.FeedError, match=re.escape(text)):
        net.forward(training=training, **feeds)
    assert equal(net.snapshot(), before)


def test_a_feed_given_twice_is_refused():
    net, feeds = executor(y=vector() * 2), {"x": X}
    with pytest.raises(TypeError, match="multiple values"):
        net.forward(x=X, **feeds)


def test_a_label_out_of_range_names_the_loss_and_its_line():
    net = gn.Executor(classifier())
    feeds = {**batch(), "label": np.full(6, 7)}
    with pytest.raises(gn.FeedError, match=r"softmax_cross_entropy_1 \(Soft.*small_networks\.py:"):
        net.forward(**feeds)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_targets_that_are_no_finite_numbers_are_refused(wrong):
    net = executor(loss=MeanSquaredError()(vector(), vector(name="target")))
    target = np.ones_like(X)
    assert np.isfinite(net.forward(x=X, target=target)["loss"])
    target[1, 0] = wrong
    with pytest.raises(gn.FeedError, match=rf"finite, received {wrong} at index \(1, 0\)"):
        net.forward(x=X, target=target)


def test_feeds_may_lie_anyhow_in_memory():
    net = gn.Executor(classifier())
    feeds = batch()
    expected = net.forward(**feeds)["logits"]
    image = np.asfortranarray(feeds["image"])
    label = np.repeat(feeds["label"], 2)[::2]
    np.testing.assert_allclose(net.forward(image=image, label=label)["logits"], expected, rtol=1e-5)
