"""The sources of the card's kernels are CUDA C that NVRTC compiles."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graphnet.kernels.cuda import device
from graphnet.kernels.cuda.elementwise import written
from graphnet.kernels.cuda.formulas import FORMULAS, LARGEST, Formula, literal
from graphnet.kernels.cuda.kernel import INTEGERS, UNITS
from graphnet.kernels.cuda.losses import CURVES
from graphnet.kernels.cuda.resize import Table, resize_source
from graphnet.kernels.cuda.strided_source import map_source, stored, sum_source
from ops import ELU, GELU, Clip, ReLU
from tests.nvrtc import CompileError, compiled

SOURCES = sorted(path.name for path in Path(device.__file__).parent.glob("*.cu"))


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e300)
@example(3.4028235677973366e38)  # beyond the middle between the largest float and the next
@example(-1e-46)
@example(1e-45)
def test_numbers_in_sources_are_floats_that_the_compiler_takes(value):
    text = literal(value)
    with np.errstate(over="ignore", under="ignore"):
        wanted = np.float32(value)
    if np.isinf(wanted):
        assert text == ("(INFINITE)" if value > 0 else "(-INFINITE)")
        return
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?f", text) and ("." in text or "e" in text)
    assert np.float32(float(text[:-1])) == wanted
    assert abs(float(text[:-1])) <= LARGEST and bool(float(text[:-1])) == bool(wanted)


def texts():
    """Every source there is: files, and a chain of all formulas."""
    yield from ((name, device.source(name)) for name in SOURCES)
    every = [f if isinstance(f, Formula) else f(kind()) for kind, f in FORMULAS.items()]
    every.append(FORMULAS[GELU](GELU("tanh")))
    # beyond what a float holds
    every += [FORMULAS[Clip](Clip(-1e300, 1e-300)), FORMULAS[ELU](ELU(1e300))]
    yield "chain", written(tuple(every), frozenset((0, 1)))
    yield "single", written((FORMULAS[ReLU],))
    for size in (8, 1 << 40):
        for unit in UNITS.values():
            yield f"copy {unit}", map_source({"x": unit}, unit, 4, size, "*target = x;")
        kinds = {"v": "T", "b": "float"}
        for kind in ("T", "float"):
            then = stored("v * b + factor", adds=True)
            yield f"map {kind}", map_source(kinds, kind, 2, size, then)
            then = stored("(float)(total * factor)", adds=False)
            yield f"sum {kind}", sum_source(kinds, kind, (4, 2), size, "v * b", then)
    table = Table((0, 2, 3), (0, 1, 1), (0.5, 0.25, 1.0))
    yield "resize", resize_source((table, table, table), last=True, size=8)
    yield "resize", resize_source((table,), last=False, size=1 << 40)
    broadcasting = [f for f in FORMULAS.values() if isinstance(f, Formula) and f.other]
    curves = [expression for kind, curve in CURVES.items() for expression in curve(kind())]
    for formula in broadcasting:
        curves += [formula.result, formula.slope, formula.other]
    for expression in curves:
        kinds = dict.fromkeys("vbxtd", "float")
        yield "formula", map_source(kinds, "float", 1, 8, f"store(target, {expression});")


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-DHALF",),
        ("-DBFLOAT16",),
        ("-DHALF", "-DWIDE", "-DGROUPED"),
        ("-DBFLOAT16", "-DWIDE", "-DGROUPED", "-DLAST"),
        ("-DLANES=1", "-DRMS", INTEGERS["uint8"], "-DUNIT=Word"),
    ],
)
def test_every_kernel_compiles_for_the_card(architecture, options):
    for name, text in texts():
        target = f"--gpu-architecture={architecture}"
        try:
            binary = compiled(text, name, [*device.OPTIONS, *options, target])
        except CompileError as error:
            pytest.fail(f"{name}: {error}")
        kernels = re.findall(r"^KERNEL (\w+)", text, flags=re.M)
        assert kernels and all(b".text." + kernel.encode() in binary for kernel in kernels)


def test_a_source_that_is_no_cuda_is_refused():
    with pytest.raises(CompileError, match="undefined"):
        compiled("__global__ void wrong() { undefined = 1; }", "wrong", [])
