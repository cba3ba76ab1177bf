"""Whether two graphs are the same: nodes, names, edges, operators, leaves and their values."""

from __future__ import annotations

import dataclasses

import numpy as np

import ops
from ops.windows import Windows

#: Fields that say the same in several ways, such as a kernel size for all axes or for each.
SPELLED = {"kernel_size", "stride", "padding", "dilation", "output_padding", "size", "scale"}

#: Fields that follow from what is compared beside them: the result, and values of parameters.
IMPLIED = {"shape", "init"}


def differences(a, b):
    """What differs between two graphs, in words; nothing where they are the same."""
    for name in ("inputs", "parameters", "states", "constants", "nodes", "outputs"):
        ours, theirs = getattr(a, name), getattr(b, name)
        if list(ours) != list(theirs):
            yield f"{name}: {list(ours)} and {list(theirs)}"
            return
    for name, value in (*a.inputs.items(), *a.parameters.items(), *a.states.items()):
        other = (b.inputs | b.parameters | b.states)[name]
        if value.spec != other.spec:
            yield f"{name}: {value!r} and {other!r}"
    for name, leaf in a.parameters.items():
        other = b.parameters[name]
        if (leaf.decay, leaf.trainable) != (other.decay, other.trainable):
            yield f"{name}: decay or trainable differ"
    for name, constant in a.constants.items():
        if not np.array_equal(constant.array, b.constants[name].array, equal_nan=True):
            yield f"{name}: other entries"
    for name, node in a.nodes.items():
        yield from _node_differences(name, a, node, b, b.nodes[name])
    for key, value in a.outputs.items():
        if a.name_of(value) != b.name_of(b.outputs[key]):
            yield f"output {key}: {a.name_of(value)} and {b.name_of(b.outputs[key])}"


def _node_differences(name, a, node, b, other):
    if node.kind != other.kind:
        yield f"{name}: {node.kind} and {other.kind}"
        return
    edges = [
        [None if value is None else graph.name_of(value) for value in part.inputs]
        for graph, part in ((a, node), (b, other))
    ]
    if edges[0] != edges[1]:
        yield f"{name}: reads {edges[0]} and {edges[1]}"
    specs = [[value.spec for value in part.outputs] for part in (node, other)]
    if specs[0] != specs[1]:
        yield f"{name}: gives {specs[0]} and {specs[1]}"
    if node.operator != other.operator and not _mean_the_same(node, other):
        yield f"{name}: {node.operator} and {other.operator}"


def _mean_the_same(node, other):
    """Whether two operators of one class differ only in how their fields are spelled."""
    specs = [None if value is None else value.spec for value in node.inputs]
    for field in dataclasses.fields(node.operator):
        mine, theirs = (getattr(part.operator, field.name) for part in (node, other))
        if _plain(mine, specs) == _plain(theirs, specs) or field.name in IMPLIED:
            continue
        if field.name == "shared" and specs[1].size == 1:
            continue  # one slope for the one channel
        if field.name == "exclude_outside" and not _reaches_outside(node.operator):
            continue
        if field.name == "key_value_heads" and node.operator.heads in (mine, theirs):
            continue  # None stands for as many
        if field.name not in SPELLED:
            return False
        if hasattr(node.operator, "kernel_size"):
            if _windows(node) != _windows(other):
                return False
        elif set(np.atleast_1d(mine)) != set(np.atleast_1d(theirs)):
            return False
    return True


def _windows(node):
    """The windows of an operator, all rules resolved."""
    operator = node.operator
    if hasattr(operator, "windows"):
        return operator.windows(node.inputs[0].spec)
    image = node.outputs[0] if isinstance(operator, ops.Fold) else node.inputs[0]
    fields = operator.kernel_size, operator.stride, operator.padding, operator.dilation
    return Windows.over(image.spec, *fields)


def _reaches_outside(resize):
    return resize.mode == "cubic" or (resize.mode == "linear" and resize.antialias)


def _plain(value, specs):
    """Axes counted from the front, one as well as several of them; what float32 holds."""
    rank = specs[0].rank if specs and specs[0] else 0
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return float(np.float32(value))
    if isinstance(value, int):
        return (value + rank if value < 0 else value,)
    return tuple(v + rank if isinstance(v, int) and v < 0 else v for v in value)
