"""Makes the kernels that its arguments name by the real cuDNN, for an H100 that is not here.

The last line of its output is JSON: for each argument the engines of the kernel's plans.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import types
import warnings
from typing import Any

import numpy as np

import graphnet.kernels.cudnn as provider
import ops
from graphnet.backends.bfloat16 import register_bfloat16
from graphnet.kernels.cudnn import choice, library
from graphnet.kernels.cudnn.computation import Plan
from graphnet.kernels.kept import VARIABLE
from graphnet.kernels.wide import Wide, inner
from ops import Spec
from ops.fused import BatchNormReLU, ConvReLU
from tests.deviceless import H100


class Described:
    """The frontend, whose graphs are for a card that is described."""

    def __init__(self, frontend: Any) -> None:
        self._frontend = frontend
        self._card = frontend.create_device_properties(H100)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frontend, name)

    def create_handle(self) -> int:
        return 0

    def pygraph(self, *, handle: int, **given: Any) -> Any:
        return self._frontend.pygraph(
            **given, device_property=self._card, sm_version=90, sm_count=132
        )


def main(cases: list[str]) -> None:
    """Print what becomes of each case."""
    warnings.simplefilter("ignore")
    register_bfloat16()
    frontend = library.load_frontend()
    device = types.SimpleNamespace(xp=np, processors=132)
    found = library.Library(Described(frontend), device, "H100", lambda: None)
    library.find_library = lambda: found
    os.environ[VARIABLE] = tempfile.mkdtemp()
    # nothing can be timed: the first engine that builds is the one
    choice._seconds = lambda found, plan, bind: 0.0 if plan else 1.0
    choice.CANDIDATES = 1
    names = {name: getattr(ops, name) for name in ops.__all__}
    names |= {kind.__name__: kind for kind in (BatchNormReLU, ConvReLU, Wide)}
    results = {case: _made(eval(case, names)) for case in cases}
    print(json.dumps(results))


def _made(case: Any) -> Any:
    operator, dtype, shape, *others = case
    options = others.pop() if others and isinstance(others[-1], dict) else {}
    specs = [Spec(shape, dtype), *(None if s is None else Spec(s, dtype) for s in others)]
    if not others:
        # what is learned beside narrow images is in float32
        wide = Spec(shape, "float32" if isinstance(operator, Wide) else dtype)
        learned = inner(operator).parameters(wide), inner(operator).states(wide)
        specs += [Spec(p.shape, p.dtype) for group in learned for p in group.values()]
    kernel = provider.prepare(operator, tuple(specs), **options)
    if kernel is None:
        return None
    plans = {name.strip("_"): plan for name, plan in vars(kernel).items() if isinstance(plan, Plan)}
    return {name: plan.method for name, plan in plans.items()}


if __name__ == "__main__":
    main(sys.argv[1:])
