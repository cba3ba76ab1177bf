"""Counter-based random numbers: the same key and counter give the same numbers everywhere.

Philox4x32-10 maps a 64-bit key and a 128-bit counter to four independent 32-bit integers.
It needs nothing but integer products, so it runs on any array library, in any order, and a
generator's whole state is its key and the next counter.

Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", 2011.
"""

from __future__ import annotations

from ops.arrays import Array, namespace

__all__ = ["draws", "philox", "uniform"]

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)  # the golden ratio and sqrt(3) - 1, in 32 bits
_ROUNDS = 10
_LOW = 0xFFFFFFFF


def philox(key: Array, counter: Array) -> tuple[Array, Array, Array, Array]:
    """Four arrays of 32-bit integers (held as uint64) for an array of uint64 counters.

    Args:
        key: uint64, shape ``(1,)``.
        counter: uint64, shape ``(n,)``; the upper half of the 128-bit counter is 0.

    >>> import numpy as np
    >>> zero = np.zeros(1, dtype=np.uint64)
    >>> [hex(int(word[0])) for word in philox(zero, zero)]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    k0, k1 = key & _LOW, key >> 32
    c0, c1 = counter & _LOW, counter >> 32
    c2 = c3 = namespace(key).zeros_like(counter)
    for _ in range(_ROUNDS):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _LOW, (p0 >> 32) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return c0, c1, c2, c3


def draws(size: int) -> int:
    """How many counters ``size`` numbers use up.

    >>> draws(4), draws(5)
    (1, 2)
    """
    return -(-size // 4)


def uniform(key: Array, counter: Array, size: int) -> Array:
    """``size`` float32 numbers, uniform in [0, 1) with 24 random bits each.

    Args:
        key: uint64, shape ``(1,)``.
        counter: uint64, shape ``(1,)``; the first counter to use.
        size: how many; they use up the counters up to ``counter + draws(size)``.

    >>> import numpy as np
    >>> key, counter = np.array([7], dtype=np.uint64), np.array([0], dtype=np.uint64)
    >>> bool(abs(uniform(key, counter, 10_000).mean() - 0.5) < 0.01)
    True
    """
    xp = namespace(key)
    words = philox(key, counter + xp.arange(draws(size), dtype="uint64"))
    bits = xp.stack(words, axis=1).reshape(-1)[:size] >> 8
    return bits.astype("float32") * 2.0**-24
