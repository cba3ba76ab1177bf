"""The inference form of a graph: every operator replaced by the one that stands in for it."""

from __future__ import annotations

from graphnet.graph import Graph
from graphnet.values import Node, Value, declare
from ops.elementwise import Identity

__all__ = ["for_inference"]


def for_inference(graph: Graph) -> Graph:
    """Replace each operator by its ``for_inference()`` form and drop the identities.

    BatchNorm becomes the affine map of its running statistics, Dropout disappears.  The
    parameters are the same objects under the same names.

    >>> import graphnet as gn
    >>> from ops import BatchNorm, Dropout
    >>> x = gn.Input("x", ("N", 8))
    >>> [node.kind for node in for_inference(gn.Graph(y=Dropout()(BatchNorm()(x)))).nodes.values()]
    ['BatchNormInference']
    """

    def replace(node: Node, inputs: tuple[Value | None, ...]) -> tuple[Value, ...] | None:
        stand_in = node.operator.for_inference()
        if isinstance(stand_in, Identity):
            return tuple(value for value in inputs[:1] if value is not None)
        if stand_in == node.operator:
            return None
        if type(stand_in).signature().variadic:
            return declare(stand_in, inputs, {}, node.name, node.declared_at).outputs
        given = dict(zip(node.input_names, inputs, strict=True))
        wanted = {key: given[key] for key in type(stand_in).signature().names}
        return declare(stand_in, (), wanted, node.name, node.declared_at).outputs

    return graph.rewrite(replace)
