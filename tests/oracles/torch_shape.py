"""PyTorch's functions that move entries, with the configurations that it lacks composed."""

from __future__ import annotations

import math

from tests.oracles import Lazy

torch = Lazy("torch")
F = Lazy("torch.nn.functional")


def reshape(operator, x):
    batch = len(x) if -1 in operator.shape and "N" in operator.shape else -1
    shape = [batch if n == "N" else n for n in operator.shape]
    if 0 in shape and -1 in shape:
        return None  # torch infers no size beside 0
    return x.reshape(shape)


def transpose(operator, x):
    return x.permute(tuple(range(x.ndim))[::-1] if operator.axes is None else operator.axes)


def unsqueeze(operator, x):
    rank = x.ndim + len(operator.axes)
    for axis in sorted(axis % rank for axis in operator.axes):
        x = x.unsqueeze(axis)
    return x


def expand(operator, x):
    wanted = [1 if n in (-1, "N") else n for n in operator.shape]
    return x.broadcast_to(torch.broadcast_shapes(x.shape, wanted))


def split(operator, x):
    if isinstance(operator.parts, tuple):
        return x.split(operator.parts, operator.axis)
    return x.tensor_split(operator.parts, operator.axis)


def cut(operator, x):
    count = len(operator.starts)
    axes = range(count) if operator.axes is None else operator.axes
    steps = (1,) * count if operator.steps is None else operator.steps
    for axis, *bounds in zip(axes, operator.starts, operator.ends, steps, strict=True):
        # torch's own slices know no step below 0
        taken = range(x.shape[axis])[slice(*bounds)]
        x = x.index_select(axis, torch.tensor(list(taken), dtype=torch.long))
    return x


def pad(operator, x):
    if operator.mode == "constant":
        sides = [n for pair in reversed(operator.padding) for n in pair]
        return F.pad(x, sides, value=operator.value)
    mode = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}[operator.mode]
    for axis, pair in enumerate(operator.padding):
        if any(pair):
            # torch pads the last axis of (N, C, L)
            rows = x.movedim(axis, -1)
            flat = rows.reshape(math.prod(rows.shape[:-1]), 1, rows.shape[-1])
            padded = F.pad(flat, pair, mode)
            x = padded.reshape(*rows.shape[:-1], padded.shape[-1]).movedim(-1, axis)
    return x


def depth_to_space(operator, x):
    if x.ndim != 4 or not len(x):
        return None  # torch shuffles two spatial axes, and no batch of none
    if operator.mode == "DCR":
        # torch reads a channel as (channel of y, place in the block)
        places = operator.block_size**2
        x = x.unflatten(1, (places, x.shape[1] // places)).transpose(1, 2).flatten(1, 2)
    return F.pixel_shuffle(x, operator.block_size)


def space_to_depth(operator, x):
    if x.ndim != 4 or not len(x):
        return None  # torch shuffles two spatial axes, and no batch of none
    y = F.pixel_unshuffle(x, operator.block_size)
    if operator.mode == "DCR":
        y = y.unflatten(1, (x.shape[1], operator.block_size**2)).transpose(1, 2).flatten(1, 2)
    return y


def gather(operator, x, indices):
    axis = operator.axis % x.ndim
    picked = x.movedim(axis, 0)[indices.long()]
    return picked.movedim(tuple(range(indices.ndim)), tuple(range(axis, axis + indices.ndim)))


def from_front(operator, x, indices):
    """Indices, of which torch's gather and scatter know none below 0."""
    return indices.long() % max(x.shape[operator.axis], 1)


def scatter_elements(operator, x, indices, updates):
    places = operator.axis, from_front(operator, x, indices)
    if operator.reduction == "none":
        return x.scatter(*places, updates)
    names = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}
    return x.scatter_reduce(*places, updates, names[operator.reduction])


def scatter_nd(operator, x, indices, updates):
    if operator.reduction not in ("none", "add") or not indices.shape[-1]:
        return None  # PyTorch writes by several indices in these two ways alone
    places = tuple(indices.long().movedim(-1, 0))
    return x.index_put(places, updates, accumulate=operator.reduction == "add")


def gather_nd(operator, x, indices):
    if operator.batch_axes:
        return None  # PyTorch has no batch of its own there
    return x[tuple(indices.long().movedim(-1, 0))]


def one_hot(operator, indices):
    indices, depth = indices.long(), operator.depth
    known = (indices >= -depth) & (indices < depth)
    # one class more for all that torch would refuse
    hit = F.one_hot(torch.where(known, indices % depth, depth), depth + 1)[..., :depth]
    y = torch.where(hit.bool(), operator.on_value, operator.off_value)
    return y.movedim(-1, operator.axis)
