"""cuDNN itself, where it is installed, has engines for the graphs on a card that is only described.

No card is needed, and nothing is computed: see ``tests.deviceless``.
"""

from __future__ import annotations

import inspect

import pytest

from tests.deviceless import ask
from tests.frontend.operations import SIGNATURES

#: An operator, the dtype, the shapes of its inputs or of the first, and what else is said.
SERVED = [
    'Conv(64, 7, stride=2, padding=3, bias=False), "float32", (8, 3, 64, 64)',
    'Conv(10, 3, padding=((0, 1), (2, 0))), "float32", (2, 3, 17, 17)',
    'Conv(32, 3, padding=2, dilation=2, groups=4), "float32", (4, 16, 16, 16)',
    'Conv(32, 5, stride=2), "float32", (4, 16, 33)',
    'Conv(16, 3), "float32", (2, 8, 8, 8, 8)',
    'Conv(64, 3, padding="same", groups=64), "float32", (4, 64, 16, 16)',
    'ConvReLU(64, 3, padding=1), "float32", (4, 32, 16, 16)',
    'ConvReLU(64, 1, bias=False), "float32", (4, 32, 16, 16)',
    'ConvTranspose(16, 4, stride=2, padding=1), "float32", (4, 32, 8, 8)',
    'Conv(64, 3, padding=1), "float16", (8, 32, 16, 16)',
    'ConvReLU(64, 3, padding=1), "float16", (8, 32, 16, 16)',
    'ConvTranspose(16, 4, stride=2, padding=1), "float16", (4, 32, 8, 8)',
    'Conv(64, 3, padding=1), "bfloat16", (8, 32, 16, 16)',
    'ConvReLU(10, 1, stride=2), "bfloat16", (8, 3, 16, 16)',
    'Conv(64, 3, padding=1), "float32", (8, 32, 16, 16), {"tf32": True}',
    'ConvReLU(64, 3, padding=1), "float32", (8, 32, 16, 16), {"tf32": True}',
]
ATTENTION = [
    'ScaledDotProductAttention(8), "float16", (2, 128, 512), (2, 100, 512), (2, 100, 512)',
    'ScaledDotProductAttention(4, True, key_value_heads=2), "float16", (2, 64, 256), '
    "(2, 64, 128), (2, 64, 128)",
    'ScaledDotProductAttention(4), "bfloat16", (2, 64, 64), (2, 64, 64), (2, 64, 64)',
]
#: Products of TF32 have engines for rows of any length, those of half precision for even ones.
PRODUCTS = [
    'Linear(1000), "float32", (128, 1024), {"tf32": True}',
    'Linear(5, bias=False), "float32", (7, 3), {"tf32": True}',
    'Linear(1, axis=-1), "float32", (3, 5, 1), {"tf32": True}',
    'Linear(256), "float16", (7, 128)',
    'Linear(10), "float16", (33, 10)',
    'Linear(30, bias=False, axis=-1), "bfloat16", (2, 9, 12)',
    'MatMul(), "float32", (2, 5, 3, 7), (2, 5, 7, 11), {"tf32": True}',
    'MatMul(), "float16", (5, 3, 6), (5, 6, 10)',
    'MatMul(), "bfloat16", (5, 16, 24), (24, 32)',
]
#: Images of float32 have channels in fours, narrow ones in eights.
NORMALIZED = [
    'BatchNorm(), "float32", (32, 64, 16, 16)',
    'BatchNormReLU(), "float32", (7, 12, 9, 5)',
    'BatchNormReLU(), "float32", (5, 4, 3, 3), (4,), (4,), (4,), (4,), (5, 4, 3, 3)',
    'BatchNorm(), "float32", (256, 128)',
    'BatchNormReLU(), "float32", (3, 24, 6, 5, 4)',
    'Wide(BatchNorm(), "float16"), "float16", (64, 256, 56, 56)',
    'Wide(BatchNormReLU(), "float16"), "float16", (64, 2048, 7, 7)',
    'Wide(BatchNormReLU(), "bfloat16"), "bfloat16", (5, 8, 31)',
]
#: What real cuDNN has no engine for without a card, and nobody but the layer below computes.
REFUSED = [
    'BatchNorm(), "float32", (8, 10, 5, 5)',
    'Wide(BatchNormReLU(), "float16"), "float16", (8, 12, 5, 5)',
    'Linear(5), "float16", (7, 3)',
    'MatMul(), "bfloat16", (2, 3, 5), (2, 5, 7)',
    'Linear(256), "float32", (64, 128)',
]


def test_every_kernel_has_engines_on_an_h100():
    directions = {
        ("forward", "data", "weights"): SERVED,
        ("forward", "first", "second"): PRODUCTS,
        ("forward", "backward"): [*ATTENTION, *NORMALIZED],
    }
    found = ask([case for cases in directions.values() for case in cases])
    for names, cases in directions.items():
        for case in cases:
            assert found[case] is not None, case
            assert set(found[case]) == set(names), case
            assert all(method.startswith("eng") for method in found[case].values())


def test_what_the_stand_in_refuses_has_no_engine_on_an_h100():
    assert set(ask(REFUSED).values()) == {None}


def test_the_stand_in_takes_the_arguments_that_the_frontend_takes():
    frontend = pytest.importorskip(
        "cudnn", reason="nvidia-cudnn-frontend is not installed: its names cannot be compared"
    )
    for name, (required, optional, _) in SIGNATURES.items():
        text = inspect.getdoc(getattr(frontend.pygraph, name)) or ""
        for argument in required | optional:
            assert f" {argument}: " in text, f"{name} has no argument {argument}"
