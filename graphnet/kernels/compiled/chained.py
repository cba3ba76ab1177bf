"""Chains of elementwise operators in one pass over memory; one operator is a chain too."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphnet.kernels.chain import Chain, Fixed
from graphnet.kernels.compiled import entries
from graphnet.kernels.compiled.formulas import Formula, Slope, formula_of, numbers_of
from graphnet.kernels.compiled.tape import Tape
from graphnet.kernels.placed import SAME, Call, Memory, PlacedKernel, Terms
from ops.operator import Operator, Spec, known

__all__ = ["CompiledChain"]


@dataclass(frozen=True)
class _Part:
    """One operator of a chain.

    Attributes:
        numbers: of its formula.
        position: which of its operands comes from the part before.
        other: which input of the chain is the other operand, None where there is none.
        value: the other operand where it is fixed.
    """

    formula: Formula
    numbers: tuple[float, float]
    position: int = 0
    other: int | None = None
    value: float | None = None

    @property
    def through(self) -> Slope:
        """The gradient of the operand that comes from the part before."""
        return self.formula.slopes[self.position]

    @property
    def aside(self) -> Slope:
        """The gradient of the other operand."""
        return self.formula.slopes[1 - self.position]

    def letter(self, chained: bool) -> str:
        """What a slope calls the operand from the part before, or the other one."""
        return "ab"[self.position if chained else 1 - self.position]


def _parts(operator: Operator) -> tuple[_Part, ...]:
    """The parts of a chain, or of one operator."""
    found, other = [], 0
    for part in operator.parts if isinstance(operator, Chain) else (operator,):
        formula = formula_of(part)
        if isinstance(part, Fixed):
            fixed = len(formula.slopes) == 2
            value = part.value if fixed else None
            position = 1 - part.position if fixed else 0
            found.append(_Part(formula, (0.0, 0.0), position, value=value))
        elif len(formula.slopes) == 2:
            other += 1
            found.append(_Part(formula, (0.0, 0.0), other=other))
        else:
            found.append(_Part(formula, numbers_of(part, formula)))
    return tuple(found)


class CompiledChain(PlacedKernel):
    """Elementwise operators on inputs of one shape, none of them empty.

    Of what lies between, reverse computes again what is cheap; what is costly forward writes for
    it, unless there is no reverse pass, or memory is to be spared.
    """

    def __init__(
        self,
        operator: Operator,
        specs: tuple[Spec | None, ...],
        threads: int,
        *,
        forward_alone: bool = False,
        frugal: bool = False,
    ) -> None:
        super().__init__(operator, specs)
        x = specs[0]
        assert x is not None, "no operator here works without its first input"
        self._parts = _parts(operator)
        self._size = math.prod(known(*x.shape))
        self._threads = threads
        #: The values that forward writes for reverse, and the parts that reverse computes again.
        self._written: list[int] = []
        self._again: list[int] = []
        self._keeps = False
        read, needed = self._read_by_slopes()
        if not forward_alone:
            read |= self._plan_reverse(needed, frugal)
        count = len(specs)
        self.terms = Terms(
            inputs=(SAME,) * count,
            outputs=(SAME,),
            reads=tuple(sorted(read)),
            keeps=(0,) if self._keeps else (),
            extras=(Spec((self._size,)),) * len(self._written),
            over=tuple((0, i) for i in range(count)),
            over_gradient=((0, 0),),
            adds=tuple(range(count)),
            differentiable=not forward_alone,
        )

    def _read_by_slopes(self) -> tuple[set[int], set[int]]:
        """The inputs and the values that slopes are given; value k is what part k reads."""
        inputs: set[int] = set()
        values: set[int] = set()
        for number, part in enumerate(self._parts):
            for slope in (part.through, part.aside) if part.other is not None else (part.through,):
                if "w" in slope.given:
                    values.add(number + 1)
                if part.letter(chained=True) in slope.given:
                    values.add(number)
                if part.other is not None and part.letter(chained=False) in slope.given:
                    inputs.add(part.other)
        if 0 in values:
            inputs.add(0)
        return inputs, values - {0}

    def _plan_reverse(self, needed: set[int], frugal: bool) -> set[int]:
        """Decide how reverse comes by these values; returns the inputs that it reads for it."""
        read: set[int] = set()
        at = 0
        for value in sorted(needed):
            between = range(at, value)
            costly = any(self._parts[number].formula.costly for number in between)
            at = value
            if value == len(self._parts) and (costly or not self._again):
                self._keeps = True
            elif costly and not frugal:
                self._written.append(value)
            else:
                self._again += between
                read |= {p.other for p in (self._parts[n] for n in between) if p.other is not None}
                read |= {0} if 0 in between else set()
        return read

    def bind_forward(self, memory: Memory) -> Call:
        tape = Tape(self._size)
        inputs = {i: tape.array(x) for i, x in enumerate(memory.inputs)}
        # what lies between is read by the next alone
        rooms = (tape.room(), tape.room())
        kept = dict(zip(self._written, map(tape.array, memory.extras), strict=True))
        kept[len(self._parts)] = tape.array(memory.outputs[0])
        value = inputs[0]
        for number, part in enumerate(self._parts):
            out = kept.get(number + 1, rooms[number % 2])
            value = self._forward(tape, part, value, inputs, out)
        return tape.bound(self._threads)

    def bind_backward(self, memory: Memory) -> Call:
        tape = Tape(self._size)
        inputs = {i: tape.array(memory.inputs[i]) for i in self.terms.reads}
        targets = {i: tape.array(d) for i, d in enumerate(memory.dinputs) if d is not None}
        values = {0: inputs.get(0)}
        values |= zip(self._written, map(tape.array, memory.extras), strict=True)
        for number in self._again:
            values[number + 1] = self._forward(tape, self._parts[number], values[number], inputs)
        if self._keeps:
            values[len(self._parts)] = tape.array(memory.outputs[0])
        gradient, rooms = tape.array(memory.doutputs[0]), (tape.room(), tape.room())
        # an input whose gradient may replace what arrives is written last
        for number in reversed(range(len(self._parts))):
            part = self._parts[number]
            known_now = {"w": values.get(number + 1), part.letter(chained=True): values.get(number)}
            if part.other is not None or part.value is not None:
                known_now[part.letter(chained=False)] = self._other(tape, part, inputs)
            if part.other in targets:
                adds = part.other in memory.adds
                self._sloped(tape, part, part.aside, gradient, known_now, targets[part.other], adds)
            if not any(p.other in targets for p in self._parts[:number]) and 0 not in targets:
                break
            if number == 0:
                self._sloped(
                    tape, part, part.through, gradient, known_now, targets.get(0), 0 in memory.adds
                )
            elif part.through.function is not None:
                out = rooms[gradient == rooms[0]]
                gradient = self._sloped(tape, part, part.through, gradient, known_now, out, False)
        return tape.bound(self._threads)

    def _forward(
        self,
        tape: Tape,
        part: _Part,
        value: int | None,
        inputs: dict[int, int],
        out: int | None = None,
    ) -> int:
        """Let a part follow that computes its result."""
        assert value is not None, "what is computed again is read"
        operands: tuple[int, ...] = (value,)
        if len(part.formula.slopes) == 2:
            other = self._other(tape, part, inputs)
            assert other is not None, "what is computed again is read"
            operands = (other, value) if part.position else (value, other)
        return tape.append(part.formula.function, operands, out, part.numbers)

    def _other(self, tape: Tape, part: _Part, inputs: dict[int, int]) -> int | None:
        if part.value is not None:
            return tape.constant(part.value)
        return None if part.other is None else inputs.get(part.other)

    def _sloped(
        self,
        tape: Tape,
        part: _Part,
        slope: Slope,
        gradient: int,
        known_now: dict[str, int | None],
        out: int | None,
        adds: bool,
    ) -> int:
        """Let the gradient of an operand follow, written or added to ``out`` where that is given.

        Returns:
            The number of the gradient.
        """
        result = gradient
        if slope.function is not None:
            operands = [gradient if letter == "g" else known_now[letter] for letter in slope.given]
            given = tuple(operand for operand in operands if operand is not None)
            assert len(given) == len(operands), "what a slope is given is read"
            result = tape.append(slope.function, given, None if adds else out, part.numbers)
        if out is None or result == out:
            return result
        return tape.append(
            entries.summed if adds else entries.copied, (result, out)[: 1 + adds], out
        )
