"""Products against Python's own product of each group, now and then with a factor of 0."""

from __future__ import annotations

import math

import numpy as np

from graphnet.testing.record import Record
from graphnet.testing.records.reduction import cases, each_group
from graphnet.testing.strategies import spaced_array
from ops.product import ReduceProd


def factors(shape, seed):
    """Entries of 0.5 to 1.5 in size, but for one of 0 in every second array.

    With two in one product all gradients would be 0, and no error relative to them small.
    """
    x = spaced_array(shape, seed, -1.0, 1.0)
    x += np.copysign(0.5, x)
    rng = np.random.default_rng([seed, 2])
    if x.size and rng.integers(2):
        x.flat[rng.integers(x.size)] = 0.0
    return x


RECORDS = [Record(ReduceProd, cases(ReduceProd, factors), each_group(math.prod))]
