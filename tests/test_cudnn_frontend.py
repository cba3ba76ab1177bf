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


def test_every_kernel_has_engines_on_an_h100():
    found = ask([*SERVED, *ATTENTION])
    assert list(found) == [*SERVED, *ATTENTION]
    refused = [case for case, plans in found.items() if plans is None]
    assert not refused
    for case, plans in found.items():
        others = {"backward"} if case in ATTENTION else {"data", "weights"}
        assert set(plans) == {"forward", *others}
        assert all(method.startswith("eng") for method in plans.values())


def test_the_stand_in_takes_the_arguments_that_the_frontend_takes():
    frontend = pytest.importorskip(
        "cudnn", reason="nvidia-cudnn-frontend is not installed: its names cannot be compared"
    )
    for name, (required, optional, _) in SIGNATURES.items():
        text = inspect.getdoc(getattr(frontend.pygraph, name)) or ""
        for argument in required | optional:
            assert f" {argument}: " in text, f"{name} has no argument {argument}"
