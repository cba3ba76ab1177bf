"""The two loops: a plan run forward, and in reverse, by kernels that make their own arrays."""

from __future__ import annotations

from typing import Any

from graphnet.debug import ContractError, Poison, check_gradient, check_results, kind_of
from graphnet.plan import Plan, Reverse, ReverseStep, Step
from ops.arrays import Array

__all__ = ["call_backward", "call_forward", "run_forward", "run_reverse"]


def call_forward(step: Step, arrays: list[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What the kernel of a step makes of its inputs: the outputs, and what it saves.

    Raises:
        ContractError: it returns something else.
    """
    answer = step.kernel.forward(*arrays)
    if type(answer) is not tuple or len(answer) != 2 or type(answer[1]) is not tuple:
        raise ContractError(
            f"forward must return (output, saved), saved being a tuple such as (x,) or (), "
            f"received {kind_of(answer)}"
        )
    result, kept = answer
    if len(step.outputs) == 1:
        return (result,), kept
    if type(result) is not tuple or len(result) != len(step.outputs):
        raise ContractError(
            f"forward must return a tuple of the {len(step.outputs)} outputs that "
            f"infer gives, received {kind_of(result)}"
        )
    return result, kept


def call_backward(step: Step, back: ReverseStep, saved: Any, gradients: list[Any]) -> Any:
    """The gradients that the kernel of a step gives for its inputs.

    Raises:
        ContractError: it returns something else than a tuple of the right length.
    """
    if len(back.outputs) == 1:
        dy = gradients[back.outputs[0]]
    else:
        dy = tuple(gradients[slot] for slot in back.outputs)
    results = step.kernel.backward(saved, dy, back.needs)
    if type(results) is not tuple or len(results) != len(back.needs):
        raise ContractError(
            f"backward must return a tuple with one gradient for each of the "
            f"{len(back.needs)} inputs {step.node.input_names}, received {kind_of(results)}"
        )
    for role, need, result in zip(step.node.input_names, back.needs, results, strict=True):
        if need and result is None:
            raise ContractError(f"backward gave None for {role!r}, which needs a gradient")
    return results


def run_forward(plan: Plan, values: list[Any], *, debug: bool = False) -> list[Any]:
    """Run the steps of a plan in order.

    Args:
        plan: what to run.
        values: an array per slot, filled with inputs, parameters, states and constants; the
            outputs are in it afterwards, and what no step reads any more is gone.
        debug: check each result, and fill what is dead with NaN.

    Returns:
        What the kernel of each step saved for its reverse, None where nobody will ask.
    """
    saved: list[Any] = [None] * len(plan.steps)
    poison = Poison(values) if debug else None
    step = None
    try:
        for index, step in enumerate(plan.steps):
            results, kept = call_forward(step, [values[slot] for slot in step.inputs])
            for slot, array in zip(step.outputs, results, strict=True):
                values[slot] = array
            if step.keep:
                saved[index] = kept
            if poison:
                check_results(plan, step, values)
                poison.after(step, values, saved[index])
            for slot in step.release:
                values[slot] = None
    except Exception as error:
        if step is not None:
            error.add_note(f"in the forward pass of {plan.graph.describe(step.node)}")
        raise
    return saved


def run_reverse(
    plan: Plan, reverse: Reverse, saved: list[Any], seed: Array, *, debug: bool = False
) -> list[Any]:
    """Run the steps of a reverse pass in order; ``saved`` is used up.

    A value that fans out sums the gradients of its readers.  A gradient that arrived alone
    is never changed: it may be the array a kernel gave out.

    Returns:
        A gradient per slot; None where none arrived or it has been consumed.
    """
    gradients: list[Any] = [None] * plan.size
    gradients[reverse.source] = seed
    sums: set[int] = set()  # slots whose array was made here, and may grow in place
    wanted = reverse.shapes
    step = None
    try:
        for back in reverse.steps:
            step = plan.steps[back.index]
            results = call_backward(step, back, saved[back.index], gradients)
            saved[back.index] = None
            for slot in back.outputs:
                if slot not in wanted:
                    gradients[slot] = None
            for position, (slot, gradient) in enumerate(zip(back.inputs, results, strict=True)):
                if not back.needs[position]:
                    continue
                if debug or (slot in wanted and getattr(gradient, "shape", None) != wanted[slot]):
                    check_gradient(plan, step, position, gradient)
                if gradients[slot] is None:
                    gradients[slot] = gradient
                elif slot in sums:
                    gradients[slot] += gradient
                else:
                    gradients[slot] = gradients[slot] + gradient
                    sums.add(slot)
    except Exception as error:
        if step is not None:
            error.add_note(f"in the reverse pass of {plan.graph.describe(step.node)}")
        raise
    return gradients
