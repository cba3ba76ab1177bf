"""Dropout against Philox4x32-10 in plain Python integers."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops import Dropout

WORD = 2**32


def philox(key: int, counter: int) -> list[int]:
    """Four 32-bit words for a 64-bit key and a 128-bit counter, round by round."""
    left, right = key % WORD, key // WORD
    words = [counter // WORD**place % WORD for place in range(4)]
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * words[0], WORD)
        high1, low1 = divmod(0xCD9E8D57 * words[2], WORD)
        words = [high1 ^ words[1] ^ left, low1, high0 ^ words[3] ^ right, low0]
        left, right = (left + 0x9E3779B9) % WORD, (right + 0xBB67AE85) % WORD
    return words


@st.composite
def cases(draw):
    operator = Dropout(draw(st.sampled_from((0.0, 0.1, 0.5, 0.9))))
    x = random_array(draw(batched(min_rank=0)), draw(seeds))
    key, counter = draw(st.integers(0, 2**64 - 1)), draw(st.integers(0, 2**64 - 1))
    state = np.array([[key], [counter]], dtype="uint64")
    return Case(operator, (x, state[0], state[1]), draw(seeds))


def reference(operator, x, key, counter):
    y = np.zeros_like(x)
    words: list[int] = []
    used = 0
    for index in np.ndindex(x.shape):
        if not words:
            words = philox(int(key[0]), (int(counter[0]) + used) % 2**64)
            used += 1
        if (words.pop(0) >> 8) / 2**24 >= operator.probability:
            y[index] = x[index] / (1 - operator.probability)
    return y, key, np.array([(int(counter[0]) + used) % 2**64], dtype="uint64")


RECORDS = [Record(Dropout, cases(), reference, linear=("x",))]
