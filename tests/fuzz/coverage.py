"""``python -m tests.fuzz.coverage [options] CORPUS``: files that atheris damages, led by coverage.

New inputs go into the first folder, and options are libFuzzer's, such as ``-max_total_time=600``.
Half of the damage is done to the parts of a model, which bytes damaged at random seldom reach.
"""

from __future__ import annotations

import random
import sys

import atheris

with atheris.instrument_imports(include=["graphnet.onnx", "ops"]):
    from tests.fuzz.damage import damaged
    from tests.fuzz.seeds import corpus
    from tests.fuzz.target import read

SEEDS = corpus()


def damage(data: bytes, limit: int, seed: int) -> bytes:
    """A damaged file of at most ``limit`` bytes."""
    rng = random.Random(seed)
    if rng.random() < 0.5:
        return bytes(atheris.Mutate(data, limit))
    return damaged(data, SEEDS, rng)[:limit]


if __name__ == "__main__":
    atheris.Setup(sys.argv, read, custom_mutator=damage)
    atheris.Fuzz()
