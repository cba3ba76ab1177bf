"""Transformers: gradients of whole blocks, and who attends to whom."""

from __future__ import annotations

import numpy as np
import pytest

import graphnet as gn
from graphnet.blocks import multi_head_attention, transformer_block
from graphnet.testing import check_gradients
from ops import MeanSquaredError, ShapeError, SiLU

TOKENS = gn.Input("x", ("N", 5, 6))


def loss_of(x, **outputs):
    """A graph with the mean square of x, so that every entry counts."""
    zeros = gn.Input("zeros", x.shape)
    return gn.Graph(loss=MeanSquaredError()(x, zeros), y=x, **outputs)


def feeds(batch=2, **shapes):
    rng = np.random.default_rng(0)
    shapes = {"x": (5, 6), "zeros": (5, 6), **shapes}
    arrays = {name: rng.normal(size=(batch, *shape)) for name, shape in shapes.items()}
    return {name: array.astype("float32") for name, array in arrays.items()}


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("causal", [False, True])
def test_the_gradients_of_a_block_agree_with_central_differences(batch, causal):
    x = gn.Input("x", ("N", 5, 6))
    y = transformer_block(x, 2, expansion=2, causal=causal, activation=SiLU())
    assert y.shape == ("N", 5, 6)
    graph = loss_of(transformer_block(y, 3))
    assert len(graph.parameters) == 2 * 16
    check_gradients(graph, feeds(batch), directions=1)


def test_the_gradients_of_attention_to_a_context_agree_with_central_differences():
    x, context = gn.Input("x", ("N", 5, 6)), gn.Input("context", ("N", 4, 3))
    mask = gn.Input("mask", ("N", 1, 1, 4))
    graph = loss_of(multi_head_attention(x, 2, context=context, mask=mask))
    fed = feeds(context=(4, 3), mask=(1, 1, 4))
    fed["mask"][:, ..., 1] = -np.inf
    check_gradients(graph, fed)


def test_a_later_token_changes_no_earlier_output_of_a_causal_block():
    x = gn.Input("x", ("N", 5, 6))
    net = gn.Executor(
        gn.Graph(y=transformer_block(transformer_block(x, 2, causal=True), 3, causal=True))
    )
    tokens = feeds()["x"]
    y = np.array(net.forward(x=tokens)["y"])
    for position in range(5):
        changed = tokens.copy()
        changed[:, position] *= -1
        moved = np.array(net.forward(x=changed)["y"])
        np.testing.assert_array_equal(moved[:, :position], y[:, :position])
        assert (np.abs(moved[:, position:] - y[:, position:]).max(axis=2) > 1e-6).all()


def test_a_block_that_is_not_causal_lets_every_token_see_all():
    x = gn.Input("x", ("N", 5, 6))
    net = gn.Executor(gn.Graph(y=transformer_block(x, 2)))
    tokens = feeds()["x"]
    y = np.array(net.forward(x=tokens)["y"])
    tokens[:, 4] *= -1
    assert (np.abs(net.forward(x=tokens)["y"] - y).max(axis=2) > 1e-6).all()


@pytest.mark.parametrize("build", [multi_head_attention, transformer_block])
def test_tokens_that_are_masked_have_no_part_in_the_result(build):
    x, mask = gn.Input("x", ("N", 5, 6)), gn.Input("mask", ("N", 1, 1, 5), "bool")
    net = gn.Executor(gn.Graph(y=build(x, 3, mask=mask)))
    tokens = feeds()["x"]
    allowed = np.array([True, True, False, True, False]).reshape(1, 1, 1, 5).repeat(2, axis=0)
    y = np.array(net.forward(x=tokens, mask=allowed)["y"])
    tokens[:, [2, 4]] += 1
    moved = np.array(net.forward(x=tokens, mask=allowed)["y"])
    np.testing.assert_array_equal(moved[:, [0, 1, 3]], y[:, [0, 1, 3]])


def test_dropout_acts_in_training_alone():
    x = gn.Input("x", ("N", 5, 6))
    graph = gn.Graph(y=transformer_block(x, 2, dropout=0.5))
    assert [node.kind for node in graph.nodes.values()].count("Dropout") == 2
    net = gn.Executor(graph)
    tokens = feeds()["x"]
    once, again = (np.array(net.forward(x=tokens)["y"]) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert (np.array(net.forward(x=tokens, training=True)["y"]) != once).any()


def test_without_dropout_no_node_drops():
    graph = gn.Graph(y=transformer_block(TOKENS, 2))
    assert "Dropout" not in {node.kind for node in graph.nodes.values()}


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: multi_head_attention(TOKENS, 4), ShapeError, "divide into 4 heads"),
        (
            lambda: multi_head_attention(gn.Input("x", ("N", 6)), 2),
            ShapeError,
            "sequence of 3 axes",
        ),
        (lambda: transformer_block(gn.Input("x", ("N", 6)), 2), ShapeError, "sequence of 3 axes"),
        (lambda: transformer_block(TOKENS, 0), ValueError, "heads of at least 1"),
        (lambda: transformer_block(TOKENS, 2, expansion=0), ValueError, "units of at least 1"),
        (lambda: transformer_block(TOKENS, 2, dropout=1.0), ValueError, "below 1 for probability"),
    ],
)
def test_what_does_not_fit_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()
