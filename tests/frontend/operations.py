"""What each operation of the frontend takes, makes of shapes, and computes; in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["SIGNATURES", "evaluate", "infer"]

_GEOMETRY = {"pre_padding", "post_padding", "stride", "dilation"}
_BAND = {"name", "diagonal_alignment", "diagonal_band_right_bound"}
#: By the name of an operation: the arguments it needs, those it may have, and its results.
SIGNATURES: dict[str, tuple[set[str], set[str], int]] = {
    "conv_fprop": ({"image", "weight", *_GEOMETRY}, set(), 1),
    "conv_dgrad": ({"loss", "filter", *_GEOMETRY}, set(), 1),
    "conv_wgrad": ({"image", "loss", *_GEOMETRY}, set(), 1),
    "matmul": ({"A", "B"}, set(), 1),
    "batchnorm": (
        {"input", "scale", "bias", "in_running_mean", "in_running_var", "epsilon", "momentum"},
        set(),
        5,
    ),
    "batchnorm_inference": ({"input", "mean", "inv_variance", "scale", "bias"}, set(), 1),
    "batchnorm_backward": ({"grad", "input", "scale", "mean", "inv_variance"}, set(), 3),
    "relu_backward": ({"loss", "input"}, set(), 1),
    "bias": ({"input", "bias"}, set(), 1),
    "add": ({"a", "b"}, set(), 1),
    "relu": ({"input"}, set(), 1),
    "cmp_lt": ({"input", "comparison"}, set(), 1),
    "binary_select": ({"input0", "input1", "mask"}, set(), 1),
    "sdpa": ({"q", "k", "v", "attn_scale", "generate_stats"}, _BAND, 2),
    "sdpa_backward": (
        {"q", "k", "v", "o", "dO", "stats", "attn_scale", "use_deterministic_algorithm"},
        _BAND,
        3,
    ),
}


def infer(name: str, given: dict[str, Any], results: list[Any]) -> None:
    """Set the shape of what is virtual, and hold that of the others to the operation."""
    rule = globals().get(f"_shape_{name}")
    shapes = rule(**given) if rule else [_broadcast(given)]
    for tensor, shape in zip(results, shapes, strict=True):
        if shape is None:
            assert tensor.dim or tensor.is_virtual, f"{name}: the shape of its result must be said"
            continue
        assert tensor.is_virtual or tensor.dim == list(shape), (name, tensor.dim, shape)
        tensor.dim = list(shape)


def evaluate(
    name: str, given: dict[str, Any], results: list[Any], values: dict[int, Any]
) -> list[Any]:
    """The results of an operation on the values of its tensors."""
    arrays = {key: values.get(id(value), value) for key, value in given.items()}
    shapes = [tuple(tensor.dim) for tensor in results]
    found = globals()[f"_{name}"](shapes, **arrays)
    return found if isinstance(found, list) else [found]


def _broadcast(given: dict[str, Any]) -> tuple[int, ...]:
    dims = [tuple(value.dim) for value in given.values()]
    assert len({len(dim) for dim in dims}) == 1, f"ranks differ: {dims}"
    return np.broadcast_shapes(*dims)


# -- convolutions


def _out(image: list[int], kernel: list[int], geometry: dict[str, Any]) -> list[int]:
    rank = len(image) - 2
    for name in _GEOMETRY:
        assert len(geometry[name]) == rank, f"{name} has not one entry for each spatial axis"
    sides = zip(
        image[2:], kernel[2:], geometry["pre_padding"], geometry["post_padding"],
        geometry["stride"], geometry["dilation"], strict=True,
    )  # fmt: skip
    return [(n + b + e - d * (k - 1) - 1) // s + 1 for n, k, b, e, s, d in sides]


def _expect_groups(channels: int, filters: int, weight: list[int]) -> None:
    assert channels % weight[1] == 0 and filters == weight[0]
    assert filters % (channels // weight[1]) == 0


def _shape_conv_fprop(image: Any, weight: Any, **geometry: Any) -> list[Any]:
    _expect_groups(image.dim[1], weight.dim[0], weight.dim)
    return [[image.dim[0], weight.dim[0], *_out(image.dim, weight.dim, geometry)]]


def _shape_conv_dgrad(loss: Any, filter: Any, **geometry: Any) -> list[Any]:
    assert loss.dim[1] == filter.dim[0]
    return [None]


def _shape_conv_wgrad(image: Any, loss: Any, **geometry: Any) -> list[Any]:
    assert image.dim[0] == loss.dim[0]
    return [None]


def _entries(kernel: tuple[int, ...], out: Any, geometry: dict[str, Any]) -> Any:
    """For each position of the kernel: its index, and the entries of the padded image it meets."""
    for position in np.ndindex(*kernel):
        sides = zip(position, geometry["dilation"], out, geometry["stride"], strict=True)
        met = (slice(p * d, p * d + (o - 1) * s + 1, s) for p, d, o, s in sides)
        yield position, (slice(None), slice(None), *met)


def _padded(shape: tuple[int, ...], geometry: dict[str, Any]) -> tuple[Any, Any]:
    """Zeros with the padding of an image, and where the image lies in them."""
    begins, ends = geometry["pre_padding"], geometry["post_padding"]
    sizes = [n + b + e for n, b, e in zip(shape[2:], begins, ends, strict=True)]
    inside = tuple(slice(b, b + n) for n, b in zip(shape[2:], begins, strict=True))
    return np.zeros((*shape[:2], *sizes)), (slice(None), slice(None), *inside)


def _grouped(x: Any, groups: int, axis: int = 1) -> Any:
    shape = x.shape
    return x.reshape(*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])


def _conv_fprop(shapes: Any, image: Any, weight: Any, **geometry: Any) -> Any:
    (shape,) = shapes
    groups = image.shape[1] // weight.shape[1]
    padded, inside = _padded(image.shape, geometry)
    padded[inside] = image
    y = np.zeros((shape[0], groups, shape[1] // groups, *shape[2:]))
    split = _grouped(weight, groups, 0)
    for position, entries in _entries(weight.shape[2:], shape[2:], geometry):
        seen = _grouped(padded[entries], groups)
        y += np.einsum("ngc...,gkc->ngk...", seen, split[(..., *position)])
    return y.reshape(shape)


def _conv_dgrad(shapes: Any, loss: Any, filter: Any, **geometry: Any) -> Any:
    (shape,) = shapes
    _expect_groups(shape[1], loss.shape[1], list(filter.shape))
    assert _out(list(shape), list(filter.shape), geometry) == list(loss.shape[2:])
    groups = shape[1] // filter.shape[1]
    padded, inside = _padded(shape, geometry)
    split = _grouped(filter, groups, 0)
    for position, entries in _entries(filter.shape[2:], loss.shape[2:], geometry):
        share = np.einsum("ngk...,gkc->ngc...", _grouped(loss, groups), split[(..., *position)])
        padded[entries] += share.reshape(shape[0], shape[1], *loss.shape[2:])
    return padded[inside]


def _conv_wgrad(shapes: Any, image: Any, loss: Any, **geometry: Any) -> Any:
    (shape,) = shapes
    _expect_groups(image.shape[1], loss.shape[1], list(shape))
    assert _out(list(image.shape), list(shape), geometry) == list(loss.shape[2:])
    groups = image.shape[1] // shape[1]
    padded, inside = _padded(image.shape, geometry)
    padded[inside] = image
    dweight = np.zeros(shape)
    given = _grouped(loss, groups)
    for position, entries in _entries(shape[2:], loss.shape[2:], geometry):
        seen = _grouped(padded[entries], groups)
        flat = (a.reshape(*a.shape[:3], -1) for a in (given, seen))
        share = np.einsum("ngkp,ngcp->gkc", *flat)
        dweight[(..., *position)] = share.reshape(shape[:2])
    return dweight


# -- products: (batch, rows, columns)


def _shape_matmul(A: Any, B: Any) -> list[Any]:
    assert len(A.dim) == len(B.dim) == 3 and A.dim[0] == B.dim[0] and A.dim[2] == B.dim[1]
    for x in (A, B):
        # what real cuDNN says without a cuBLAS of its own: pairs of halves are read at once
        if x.data_type.value != "float32" and x.dim[1 if x.stride[1] == 1 else 2] % 2:
            raise RuntimeError("no engine for odd rows of half precision")
    return [[*A.dim[:2], B.dim[2]]]


def _matmul(shapes: Any, A: Any, B: Any) -> Any:
    return A @ B


# -- batch normalization, with the rules that real cuDNN was found to have


def _expect_channels(x: Any, *others: Any) -> None:
    assert len(x.dim) == 4 and x.stride[1] == 1, "channels lie side by side"
    at_once = 4 if x.data_type.value == "float32" else 8
    if x.dim[1] % at_once:
        raise RuntimeError("tunable_params.c % tunable_params.elements_per_ldg != 0")
    for other in others:
        assert other.dim == [1, x.dim[1], 1, 1] and other.data_type.value == "float32"


def _shape_batchnorm(input: Any, scale: Any, bias: Any, epsilon: Any, **running: Any) -> list[Any]:
    assert running == {"in_running_mean": None, "in_running_var": None, "momentum": None}
    assert epsilon.by_value, "a number in the memory of the host"
    _expect_channels(input, scale, bias)
    return [input.dim, scale.dim, scale.dim, None, None]


def _shape_batchnorm_inference(input: Any, **others: Any) -> list[Any]:
    _expect_channels(input, *others.values())
    return [input.dim]


def _shape_batchnorm_backward(grad: Any, input: Any, **others: Any) -> list[Any]:
    _expect_channels(input, *others.values())
    scale = others["scale"].dim
    assert grad.dim == input.dim
    if grad.is_virtual and grad.data_type is not input.data_type:
        raise RuntimeError("GradientTensorDataType is not that of the images")
    return [input.dim, scale, scale]


def _shape_relu_backward(loss: Any, input: Any) -> list[Any]:
    if not input.is_virtual:
        raise RuntimeError("!dact_op->getXDesc()->getIsVirtual()")
    assert loss.dim == input.dim
    return [loss.dim]


_OVER = (0, 2, 3)


def _batchnorm(shapes: Any, input: Any, scale: Any, bias: Any, epsilon: Any, **_: Any) -> list[Any]:
    mean = input.mean(axis=_OVER, keepdims=True)
    inverse = 1 / np.sqrt(input.var(axis=_OVER, keepdims=True) + epsilon)
    y = _batchnorm_inference(shapes, input, mean, inverse, scale, bias)
    return [y, mean, inverse, None, None]


def _batchnorm_inference(
    shapes: Any, input: Any, mean: Any, inv_variance: Any, scale: Any, bias: Any
) -> Any:
    return (input - mean) * inv_variance * scale + bias


def _batchnorm_backward(
    shapes: Any, grad: Any, input: Any, scale: Any, mean: Any, inv_variance: Any
) -> list[Any]:
    normal = (input - mean) * inv_variance
    dscale = (grad * normal).sum(axis=_OVER, keepdims=True)
    dbias = grad.sum(axis=_OVER, keepdims=True)
    count = input.size // input.shape[1]
    dx = scale * inv_variance * (grad - dbias / count - normal * dscale / count)
    return [dx, dscale, dbias]


def _relu_backward(shapes: Any, loss: Any, input: Any) -> Any:
    return np.where(input > 0, loss, 0)


# -- pointwise


def _bias(shapes: Any, input: Any, bias: Any) -> Any:
    assert bias.size == bias.shape[1] == input.shape[1] or bias.size == bias.shape[-1]
    return input + bias


def _add(shapes: Any, a: Any, b: Any) -> Any:
    return a + b


def _relu(shapes: Any, input: Any) -> Any:
    return np.fmax(input, 0)


def _cmp_lt(shapes: Any, input: Any, comparison: Any) -> Any:
    return input < comparison


def _binary_select(shapes: Any, input0: Any, input1: Any, mask: Any) -> Any:
    return np.where(mask, input0, input1)


# -- attention: (N, heads, positions, features)


def _shape_sdpa(q: Any, k: Any, v: Any, generate_stats: bool, **options: Any) -> list[Any]:
    _expect_heads(q, k, v)
    o = [*q.dim[:3], v.dim[3]]
    return [o, [*q.dim[:3], 1]]


def _shape_sdpa_backward(q: Any, k: Any, v: Any, **options: Any) -> list[Any]:
    _expect_heads(q, k, v)
    assert options["use_deterministic_algorithm"] and options["stats"].dim == [*q.dim[:3], 1]
    assert options["o"].dim == options["dO"].dim == [*q.dim[:3], v.dim[3]]
    return [q.dim, k.dim, v.dim]


def _expect_heads(q: Any, k: Any, v: Any) -> None:
    for x in (q, k, v):
        if x.dim[3] % 8:
            raise RuntimeError("hidden_dim should be multiple of 8")
        assert x.stride[3] == 1, "features lie side by side"
    assert q.dim[0] == k.dim[0] and q.dim[3] == k.dim[3] and k.dim[:3] == v.dim[:3]
    assert q.dim[1] % k.dim[1] == 0


def _scores(q: Any, k: Any, options: dict[str, Any]) -> Any:
    """The scaled products of each query with the keys of its group, -inf where one is hidden."""
    scores = options["attn_scale"] * (q @ _shared(k, q).swapaxes(2, 3))
    if "diagonal_band_right_bound" in options:
        assert options["diagonal_alignment"] == "TOP_LEFT"
        bound = options["diagonal_band_right_bound"]
        hidden = np.triu(np.ones(scores.shape[2:], bool), bound + 1)
        scores = np.where(hidden, -np.inf, scores)
    return scores


def _shared(x: Any, q: Any) -> Any:
    """Keys or values for each head of the queries."""
    return x.repeat(q.shape[1] // x.shape[1], axis=1)


def _collected(x: Any, like: Any) -> Any:
    """The sum over the heads that share a key."""
    batch, heads, *rest = like.shape
    return x.reshape(batch, heads, -1, *rest).sum(axis=2)


def _sdpa(shapes: Any, q: Any, k: Any, v: Any, generate_stats: bool, **options: Any) -> list[Any]:
    scores = _scores(q, k, options)
    sums = np.log(np.exp(scores).sum(axis=3, keepdims=True))
    return [np.exp(scores - sums) @ _shared(v, q), sums]


def _sdpa_backward(
    shapes: Any,
    q: Any,
    k: Any,
    v: Any,
    o: Any,
    dO: Any,
    stats: Any,
    **options: Any,
) -> list[Any]:
    weights = np.exp(_scores(q, k, options) - stats)
    dweights = dO @ _shared(v, q).swapaxes(2, 3)
    dscores = weights * (dweights - (dO * o).sum(axis=3, keepdims=True)) * options["attn_scale"]
    return [
        dscores @ _shared(k, q),
        _collected(dscores.swapaxes(2, 3) @ q, k),
        _collected(weights.swapaxes(2, 3) @ dO, v),
    ]
