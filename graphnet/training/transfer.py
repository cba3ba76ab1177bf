"""A trained network turned into a classifier of other images: its features, and a new head."""

from __future__ import annotations

from graphnet.graph import Graph
from graphnet.passes import for_inference
from graphnet.values import Constant, GraphError, Input, Node, Parameter, Value, reach
from ops.arrays import Array
from ops.cross_entropy import SoftmaxCrossEntropy
from ops.linear import Linear, MatMul
from ops.operator import known
from ops.resize import Resize
from ops.shape import Expand, Transpose

__all__ = ["image_shape", "replace_head"]


def replace_head(
    graph: Graph,
    classes: int,
    *,
    freeze: bool = False,
    image: tuple[int, ...] | None = None,
    mean: Array | None = None,
    std: Array | None = None,
) -> Graph:
    """A graph ``(image, label) -> (logits, loss)``: the last linear layer replaced by a new one.

    All that comes before the last linear layer stays, with the weights that the graph's
    initializers give it; what comes after it goes.  In front, images are scaled, resized to what
    the network takes, repeated to its channels, and turned if it wants the channels last.

    Args:
        graph: a network with one input, a batch of images.
        classes: the number of logits.
        freeze: train the new layer alone; the rest is taken in its inference form.
        image: ``(C, H, W)`` of the images to come; those that the network takes when None.
        mean: per channel, ``(C, 1, 1)``, what is subtracted from the images.
        std: the same, what they are divided by then.

    Raises:
        GraphError: the graph has several inputs, or none that images fit; or no linear layer with
            learned weights that gives a row for each example.

    >>> import graphnet as gn
    >>> net = gn.models.mobilenet((3, 32, 32)).select("logits")
    >>> replace_head(net, 2, image=(1, 28, 28)).outputs["logits"].shape
    (N, 2)
    """
    if not isinstance(graph, Graph):
        raise TypeError(
            f"expected a Graph, received {type(graph).__name__}; weights of an Executor come "
            f"along through a file, graphnet.onnx.save and load"
        )
    if freeze:
        graph = for_inference(graph)
    node = _last_linear(graph)
    features = node.inputs[0]
    assert features is not None
    body = Graph(features=features)
    given = _image_input(body)
    channels_last = not _takes_channels_first(given)
    pictures = Input("image", ("N", *(image or _picture_shape(given, channels_last))))
    leaves: dict[Value, Value] = {given: _fitted(pictures, given, channels_last, mean, std)}
    if freeze:
        leaves |= {leaf: _frozen(name, leaf) for name, leaf in body.parameters.items()}
    body = body.rewrite(lambda node, inputs: None, leaves)
    label = Input("label", ("N",), "int64")
    logits = Linear(classes)(body.outputs["features"], name="head")
    return Graph(logits=logits, loss=SoftmaxCrossEntropy()(logits, label, name="loss"))


def image_shape(graph: Graph) -> tuple[int, ...]:
    """``(C, H, W)`` of the images that :func:`replace_head` would give to a network.

    Raises:
        GraphError: as there.
    """
    features = _last_linear(graph).inputs[0]
    assert features is not None
    given = _image_input(Graph(features=features))
    return _picture_shape(given, not _takes_channels_first(given))


def _last_linear(graph: Graph) -> Node:
    for node in reversed(graph.nodes.values()):
        if isinstance(node.operator, Linear | MatMul) and _is_learned(node.inputs[1]):
            (y,) = node.outputs
            if len(y.shape) != 2 or y.shape[0] != "N":
                raise GraphError(
                    f"{graph.describe(node)}: expected the last linear layer to give one row for "
                    f"each example, received {y!r}"
                )
            return node
    raise GraphError(f"expected a linear layer with learned weights, received none in {graph!r}")


def _is_learned(weight: Value | None) -> bool:
    """Whether a matrix is made of parameters, and does not depend on what is fed."""
    parts = [] if weight is None else reach([weight])
    return any(isinstance(part, Parameter) for part in parts) and not any(
        isinstance(part, Input) for part in parts
    )


def _image_input(body: Graph) -> Input:
    if len(body.inputs) != 1:
        raise GraphError(f"expected one input, a batch of images, received {list(body.inputs)}")
    (given,) = body.inputs.values()
    if len(given.shape) != 4 or given.shape[0] != "N" or given.dtype != "float32":
        raise GraphError(f"expected images float32 (N, C, H, W), received {given!r}")
    return given


def _takes_channels_first(given: Input) -> bool:
    """Whether channels come before the spatial sizes; a network says so by what it takes."""
    return given.shape[1] in (1, 3) or given.shape[3] not in (1, 3)


def _picture_shape(given: Input, channels_last: bool) -> tuple[int, ...]:
    sizes = known(*given.shape[1:])
    return (sizes[2], *sizes[:2]) if channels_last else sizes


def _fitted(
    pictures: Input, given: Input, channels_last: bool, mean: Array | None, std: Array | None
) -> Value:
    """Images as the network takes them."""
    value: Value = pictures
    if mean is not None:
        value = value - Constant(mean.astype("float32"))
    if std is not None:
        value = value / Constant(std.astype("float32"))
    channels, *size = _picture_shape(given, channels_last)
    if pictures.shape[2:] != tuple(size):
        value = Resize(tuple(size), mode="linear")(value)
    if pictures.shape[1] != channels:
        if pictures.shape[1] != 1:
            raise GraphError(
                f"expected images of {channels} channels or of one, received {pictures!r}"
            )
        value = Expand(("N", channels, *size))(value)
    return Transpose((0, 2, 3, 1))(value) if channels_last else value


def _frozen(name: str, leaf: Parameter) -> Parameter:
    sizes = known(*leaf.shape)
    return Parameter(name, sizes, leaf.initializer, leaf.dtype, decay=leaf.decay, trainable=False)
