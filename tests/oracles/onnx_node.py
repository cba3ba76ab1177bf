"""One node of the ONNX standard, evaluated by its reference implementation."""

from __future__ import annotations

import numpy as np

from tests.oracles import Lazy

helper = Lazy("onnx.helper")
reference = Lazy("onnx.reference")

#: The version of the standard: the first with all operators used here (ReverseSequence is the
#: latest).
OPSET = 28


def run(name, *inputs, outputs=1, **attributes):
    """The outputs of one node: an array, or a list of several; None stands for an absent input."""
    inputs = [None if x is None else np.asarray(x) for x in inputs]
    feeds = {f"x{number}": x for number, x in enumerate(inputs) if x is not None}
    declared = [
        helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for key, x in feeds.items()
    ]
    names = ["" if x is None else f"x{number}" for number, x in enumerate(inputs)]
    results = [f"y{number}" for number in range(outputs)]
    attributes = {key: value for key, value in attributes.items() if value is not None}
    node = helper.make_node(name, names, results, **attributes)
    untyped = [helper.make_empty_tensor_value_info(result) for result in results]
    graph = helper.make_graph([node], name, declared, untyped)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    found = reference.ReferenceEvaluator(model).run(None, feeds)
    return found[0] if outputs == 1 else found


def same(name, **fields):
    """The function for a node that takes the same inputs, and some fields as attributes."""

    def apply(operator, *inputs):
        attributes = {key: getattr(operator, field) for key, field in fields.items()}
        return run(name, *inputs, **attributes)

    return apply


def integers(*values):
    return np.array(values, dtype=np.int64)


# NumPy, on which the reference implementation runs, stops it at some arrays without an axis or
# without an entry.


def unless_scalar(function):
    """None for an x without axes: a result that is no array cannot be changed in place."""
    return lambda operator, x: None if x.ndim == 0 else function(operator, x)


def unless_empty(function):
    """None for an x of no entry: beside a size of 0 none can be inferred, nor a mean taken."""
    return lambda operator, x, *others: None if x.size == 0 else function(operator, x, *others)
