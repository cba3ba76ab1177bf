"""Rules of control flow and sequences, which are gone once the graph is built."""

from __future__ import annotations

from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call, Item
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.known import Known
from graphnet.onnx.rules.base import Rule, only_read
from graphnet.values import Value
from ops.operator import known, normalize_axis

__all__ = ["CONTROL", "refuse_random"]

#: How often the body of a loop is repeated at most.
STEPS = 10_000


def _if(call: Call) -> Any:
    then, other = call.attribute("then_branch"), call.attribute("else_branch")
    condition = call.input(0)
    if not isinstance(condition, Value):
        chosen = bool(call.number(0, "the condition"))
        return call.run(then if chosen else other, [])
    # both are computed where only the run decides, and one result is kept
    results = zip(call.run(then, []), call.run(other, []), strict=True)
    found = []
    for number, (a, b) in enumerate(results):
        both = isinstance(a, Value | Known) and isinstance(b, Value | Known)
        if not both or call.shape(a) != call.shape(b) or call.dtype(a) != call.dtype(b):
            raise call.importer.undecided(condition, "the condition of a branch")
        flag = call.apply(ops.Reshape(()), condition, part="condition")
        found.append(call.apply(ops.Where(), flag, a, b, part=str(number)))
    return tuple(found)


def _loop(call: Call) -> Any:
    body = call.attribute("body")
    limit, condition, *carried = call.inputs
    trips = STEPS + 1 if limit is None else int(call.number(limit, "the trip count"))
    going = True if condition is None else bool(call.number(condition, "the condition"))
    count = len(carried)
    scanned: list[list[Item]] = [[] for _ in body.output[1 + count :]]
    step = 0
    state: list[Item] = list(carried)
    while going and step < trips:
        if step >= STEPS:
            raise OnnxError(f"expected a loop of at most {STEPS} steps")
        inputs = [Known(np.array(step, "int64")), Known(np.array(True)), *state]
        proceed, *results = call.run(body, inputs[: len(body.input)])
        state, rows = results[:count], results[count:]
        for entries, row in zip(scanned, rows, strict=True):
            entries.append(row)
        step += 1
        going = bool(call.number(proceed, "the condition of the next step"))
    return (*state, *(_stacked(call, rows, n) for n, rows in enumerate(scanned)))


def _stacked(call: Call, rows: list[Item], number: int, axis: int = 0) -> Any:
    """The results of all steps along a new axis."""
    if not rows:
        raise OnnxError("the scan of a loop without a step has no shape")
    if len(rows) == 1:
        return call.apply(ops.Unsqueeze(axis), rows[0], part=f"scan{number}")
    return call.apply(ops.Stack(axis), *rows, part=f"scan{number}")


def _scan(call: Call) -> Any:
    body, count = call.attribute("body"), call.attribute("num_scan_inputs")
    inputs = list(call.inputs)
    if not 1 <= count <= len(inputs):
        raise OnnxError(f"expected num_scan_inputs in 1..{len(inputs)}, received {count}")
    if call.opset < 9:
        return _batched_scan(call, body, count)
    return _scanned(call, body, inputs, count)


def _batched_scan(call: Call, body: Any, count: int) -> Any:
    """Of opset 8: with an axis for examples ahead, each of which is a scan of its own."""
    directions = call.attribute("directions", None) or (0,) * count
    if any(directions) or call.input(0) is not None:
        raise OnnxError("directions and sequence_lens of Scan-8 are not supported")
    inputs = call.inputs[1:]
    (examples,) = known(call.shape(inputs[0])[0])
    if examples > STEPS:
        raise OnnxError(f"expected scans of at most {STEPS} examples, received {examples}")
    found = []
    for number in range(examples):
        place = Known(np.array(number))
        own = [call.apply(ops.Gather(0), item, place, part="example") for item in inputs]
        found.append(_scanned(call, body, own, count))
    return tuple(
        _stacked(call, list(rows), number) for number, rows in enumerate(zip(*found, strict=True))
    )


def _scanned(call: Call, body: Any, inputs: list[Item], count: int) -> Any:
    state, scans = inputs[: len(inputs) - count], inputs[len(inputs) - count :]
    kept = len(state)
    ways = call.attribute("scan_input_directions", None) or (0,) * count
    axes = call.attribute("scan_input_axes", None) or (0,) * count
    outputs = len(body.output) - kept
    out_ways = call.attribute("scan_output_directions", None) or (0,) * outputs
    out_axes = call.attribute("scan_output_axes", None) or (0,) * outputs
    (steps,) = known(call.shape(scans[0])[axes[0]])
    if steps > STEPS:
        raise OnnxError(f"expected a scan of at most {STEPS} steps, received {steps}")
    rows: list[list[Item]] = [[] for _ in range(outputs)]
    for step in range(steps):
        entries = [
            call.apply(
                ops.Gather(axis),
                item,
                Known(np.array(steps - 1 - step if way else step)),
                part=f"step{step}",
            )
            for item, axis, way in zip(scans, axes, ways, strict=True)
        ]
        results = call.run(body, [*state, *entries])
        state = list(results[:kept])
        for all_rows, row in zip(rows, results[kept:], strict=True):
            all_rows.append(row)
    stacked = []
    for number, (found, way, axis) in enumerate(zip(rows, out_ways, out_axes, strict=True)):
        found = found[::-1] if way else found
        axis = axis + call.rank(found[0]) + 1 if axis < 0 else axis
        stacked.append(_stacked(call, found, number, axis))
    return (*state, *stacked)


# sequences and optionals


def _sequence(call: Call, item: Item | int = 0) -> list[Any]:
    found = call.input(item) if isinstance(item, int) else item
    if not isinstance(found, list):
        raise OnnxError("expected a sequence, received a tensor")
    return found


def _construct(call: Call) -> Any:
    return list(call.inputs)


def _empty(call: Call) -> Any:
    call.ignore("dtype")  # what is put in has its own
    return []


def _at(call: Call) -> Any:
    return _sequence(call)[int(call.number(1, "the position"))]


def _insert(call: Call) -> Any:
    found = list(_sequence(call))
    at = len(found) if call.input(2) is None else int(call.number(2, "the position"))
    found.insert(at, call.input(1))
    return found


def _erase(call: Call) -> Any:
    found = list(_sequence(call))
    del found[-1 if call.input(1) is None else int(call.number(1, "the position"))]
    return found


def _length(call: Call) -> Any:
    return Known(np.array(len(_sequence(call)), "int64"))


def _split_to_sequence(call: Call) -> Any:
    x, axis, keep = call.input(0), call.attribute("axis"), bool(call.attribute("keepdims"))
    (size,) = known(call.shape()[normalize_axis(axis, call.rank())])
    if size > STEPS:
        raise OnnxError(f"expected a sequence of at most {STEPS} parts, received {size}")
    if call.input(1) is None:
        parts = [1] * size
    else:
        given = call.array(1, "the sizes of the parts")
        keep = True
        if given.ndim:
            parts = [int(n) for n in given]
        else:
            each = int(given)
            parts = [min(each, size - start) for start in range(0, size, each)]
    found = []
    start = 0
    for number, n in enumerate(parts):
        cut = ops.Slice((start,), (start + n,), (axis,))
        part = call.apply(cut, x, part=f"part{number}")
        found.append(part if keep else call.apply(ops.Squeeze(axis), part, part=str(number)))
        start += n
    return found


def _concat_from_sequence(call: Call) -> Any:
    items, axis = _sequence(call), call.attribute("axis")
    if call.attribute("new_axis"):
        return _stacked(call, items, 0, axis)
    return items[0] if len(items) == 1 else call.apply(ops.Concat(axis), *items)


def _optional(call: Call) -> Any:
    call.ignore("type")
    return call.input(0)


def _has_element(call: Call) -> Any:
    return Known(np.array(call.input(0) is not None))


def _get_element(call: Call) -> Any:
    if call.input(0) is None:
        raise OnnxError("expected an element, received an empty optional")
    return call.input(0)


def refuse_random(call: Call) -> Any:
    """Refuse an operator that is known, and why it cannot be read."""
    raise OnnxError("it draws new numbers at each run, and the standard names no generator")


CONTROL: tuple[Rule, ...] = (
    *only_read(_if, "If"),
    *only_read(_loop, "Loop"),
    *only_read(_scan, "Scan"),
    *only_read(_construct, "SequenceConstruct"),
    *only_read(_empty, "SequenceEmpty"),
    *only_read(_at, "SequenceAt"),
    *only_read(_insert, "SequenceInsert"),
    *only_read(_erase, "SequenceErase"),
    *only_read(_length, "SequenceLength"),
    *only_read(_split_to_sequence, "SplitToSequence"),
    *only_read(_concat_from_sequence, "ConcatFromSequence"),
    *only_read(_optional, "Optional"),
    *only_read(_has_element, "OptionalHasElement"),
    *only_read(_get_element, "OptionalGetElement"),
    *only_read(
        refuse_random,
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    ),
)
