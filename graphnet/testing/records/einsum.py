"""Einstein sums against a loop over the values of all indices.

Operands are drawn from four letters and an ellipsis of up to two axes, which an operand may
lack from the front or have with size 1.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops.einsum import Einsum


@st.composite
def einsum_cases(draw):
    letters = draw(st.permutations("ijkB"))[: draw(st.integers(1, 4))]
    sizes = {letter: draw(st.integers(1, 3)) for letter in letters}
    sizes[letters[0]] = draw(batch_sizes)
    # what the ellipsis stands for; some operands have 1 in its place, or fewer axes
    wide = tuple(draw(st.lists(st.integers(2, 3), max_size=2)))
    seed = draw(seeds)
    terms, xs = [], []
    for number in range(draw(st.sampled_from((2, 1, 3)))):
        chosen = draw(st.lists(st.sampled_from(letters), max_size=3))
        shape = [sizes[letter] for letter in chosen]
        if draw(st.sampled_from((True, True, False))):
            at = draw(st.integers(0, len(chosen)))
            hidden = wide[draw(st.integers(0, len(wide))) :]
            shape[at:at] = [draw(st.sampled_from((n, 1))) for n in hidden]
            chosen.insert(at, "...")
        terms.append("".join(chosen))
        xs.append(random_array(tuple(shape), seed + number))
    named = "".join(terms)
    equation = draw(st.sampled_from((",", ", "))).join(terms)
    if draw(st.sampled_from((True, True, False))):
        used = [letter for letter in letters if letter in named]
        output = draw(st.permutations(used))[: draw(st.integers(0, len(used)))]
        if "..." in named and draw(st.sampled_from((True, True, False))):
            output.insert(draw(st.integers(0, len(output))), "...")
        equation += f"->{''.join(output)}"
    return Case(Einsum(equation), tuple(xs), seed)


def einsum(operator, *xs):
    left, output = operator.equation.split("->")
    operands = [axis_names(term, x.ndim) for term, x in zip(left.split(","), xs, strict=True)]
    sizes = {}
    for names, x in zip(operands, xs, strict=True):
        for name, n in zip(names, x.shape, strict=True):
            sizes[name] = n if sizes.get(name, 1) == 1 else sizes[name]
    hidden = sum(isinstance(name, int) for name in sizes)
    out = axis_names(output, len(output.replace("...", "")) + ("..." in output) * hidden)
    terms = {key: [] for key in np.ndindex(*(sizes[name] for name in out))}
    for values in itertools.product(*(range(n) for n in sizes.values())):
        at = dict(zip(sizes, values, strict=True))
        entries = []
        for names, x in zip(operands, xs, strict=True):
            # an axis of size 1 under the ellipsis repeats
            index = (at[name] if n > 1 else 0 for name, n in zip(names, x.shape, strict=True))
            entries.append(float(x[tuple(index)]))
        terms[tuple(at[name] for name in out)].append(math.prod(entries))
    y = np.zeros([sizes[name] for name in out])
    for key, products in terms.items():
        y[key] = math.fsum(products)
    return y


def axis_names(term, rank):
    """A name for each axis: its letter, or its distance from the end of the ellipsis."""
    before, _, after = term.partition("...")
    return [*before, *range(rank - len(before) - len(after))[::-1], *after]


RECORDS = [Record(Einsum, einsum_cases(), einsum, linear=("xs0",))]
