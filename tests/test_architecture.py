"""The house keeps its floors: no import runs upward, none in a circle, none undeclared."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parent.parent

#: From the ground up.  A room, which is a module or a package, imports from floors below it.
FLOORS = (
    {"ops.arrays", "ops.dimension", "ops.fields", "ops.initializers"},
    {"ops.operator"},
    # what families share
    {
        "ops.bilinear", "ops.broadcasting", "ops.pointwise", "ops.random", "ops.recurrent",
        "ops.scatter", "ops.special", "ops.windows",
    },
    # families that need no other
    {
        "ops.activation", "ops.adaptive_pooling", "ops.attention", "ops.bitwise", "ops.cast",
        "ops.comparison", "ops.convolution", "ops.cumulative", "ops.deformable", "ops.determinant",
        "ops.dynamic", "ops.einsum", "ops.elementwise", "ops.fold", "ops.fourier",
        "ops.grid_sample", "ops.gru", "ops.hard", "ops.linear", "ops.linear_attention",
        "ops.local_response", "ops.loss", "ops.lp_normalization", "ops.lstm", "ops.modulo",
        "ops.normalization", "ops.pooling", "ops.quantization", "ops.ranking", "ops.rectifier",
        "ops.reduction", "ops.resize", "ops.rnn", "ops.roi_align", "ops.rotary", "ops.shape",
        "ops.softmax", "ops.special_values", "ops.tapers", "ops.trigonometry", "ops.unary",
    },
    # families that build on another
    {
        "ops.batch_norm", "ops.binary_cross_entropy", "ops.conv_transpose", "ops.cross_entropy",
        "ops.depth", "ops.dropout", "ops.extremum", "ops.indexing", "ops.joining", "ops.product",
        "ops.sequence", "ops.slicing", "ops.triangle",
    },
    # chains of families
    {"ops.embedding", "ops.fused", "ops.scattering", "ops.unpooling"},
    {"ops"},
    # rooms that know operators and arrays, and no graph
    {
        "graphnet.backends", "graphnet.draw", "graphnet.memory", "graphnet.optim", "graphnet.store",
        "graphnet.weights",
    },
    {"graphnet.kernels"},
    {"graphnet.data", "graphnet.values"},
    {"graphnet.graph"},
    {"graphnet.passes"},
    {"graphnet.plan"},
    {
        "graphnet.capture", "graphnet.debug", "graphnet.explain", "graphnet.feeds",
        "graphnet.recompute",
    },
    {"graphnet.run"},
    {"graphnet.program"},
    {"graphnet.out_of_memory"},
    {"graphnet.executor"},
    {"graphnet.blocks"},
    {"graphnet.models", "graphnet.onnx", "graphnet.testing", "graphnet.training"},
    {"graphnet.onnx_backend"},
    {"graphnet"},
    {"graphnet.cli", "graphnet.pytest_plugin"},
    {"graphnet.__main__"},
)  # fmt: skip

#: What a distribution is called when it is imported, where that differs.
IMPORT_NAMES = {
    "lazy-loader": "lazy_loader",
    "cupy-cuda12x": "cupy",
    "cupy-cuda13x": "cupy",
    "nvidia-cudnn-frontend": "cudnn",
    "pillow": "PIL",
    "protobuf": "google",
}

#: Where the optional libraries may be imported.
HOMES = {
    "PIL": "graphnet.data",
    "cudnn": "graphnet.kernels",
    "cupy": "graphnet.backends",
    "google": "graphnet.onnx",
    "hypothesis": "graphnet.testing",
    "llvmlite": "graphnet.kernels",
    "matplotlib": "graphnet.draw",
    "ml_dtypes": "graphnet.backends",
    "numba": "graphnet.kernels",
    "onnx": "graphnet.onnx",
    "pytest": "graphnet.pytest_plugin",
}


def modules() -> dict[str, ast.Module]:
    found = {}
    for package in ("ops", "graphnet"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


MODULES = modules()


def imports(name: str) -> Iterator[str]:
    """The modules that a module names in its imports, inside functions too."""
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{name} has a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def is_ours(name: str) -> bool:
    return name.partition(".")[0] in ("ops", "graphnet")


def room(name: str) -> str:
    """The module itself or, of a module inside a package of graphnet, the package."""
    return ".".join(name.split(".")[:2])


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room(name) in rooms)


def test_every_room_has_exactly_one_floor_and_every_floor_only_rooms_that_exist():
    placed = [room for rooms in FLOORS for room in rooms]
    assert sorted(placed) == sorted({room(name) for name in MODULES})


@pytest.mark.parametrize("name", MODULES)
def test_no_import_runs_upward_or_sideways(name):
    for target in filter(is_ours, imports(name)):
        assert target in MODULES, f"{name} imports {target}, which does not exist"
        assert room(target) == room(name) or floor(target) < floor(name), (
            f"{name} on floor {floor(name)} imports {target} on floor {floor(target)}"
        )


def test_ops_never_imports_graphnet():
    for name in MODULES:
        if room(name).startswith("ops"):
            assert not [target for target in imports(name) if target.startswith("graphnet")]


def test_no_circle_of_imports():
    graph = nx.DiGraph()
    for name in MODULES:
        graph.add_edges_from((name, target) for target in imports(name) if is_ours(target))
    assert list(nx.simple_cycles(graph)) == []


def declared() -> tuple[set[str], set[str]]:
    """The import names of the required and of the optional dependencies."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(requirements: list[str]) -> set[str]:
        found = (re.match(r"[\w-]+", requirement)[0] for requirement in requirements)
        return {IMPORT_NAMES.get(name, name) for name in found}

    extras = project["optional-dependencies"].values()
    return names(project["dependencies"]), names([name for extra in extras for name in extra])


@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_imported_that_is_not_declared(name):
    required, optional = declared()
    for target in imports(name):
        library = target.partition(".")[0]
        if is_ours(target) or library in sys.stdlib_module_names or library in required:
            continue
        assert library in optional, f"{name} imports {library}, which pyproject.toml lacks"
        home = HOMES.get(library)
        # graphnet.onnx_backend is at home where graphnet.onnx is, which reads bfloat16 too
        homes = {home, "graphnet.onnx"} if library == "ml_dtypes" else {home}
        assert home and room(name).removesuffix("_backend") in homes, (
            f"{name} imports {library}, which belongs in {home}"
        )


def test_operators_need_numpy_and_what_loads_them_late():
    required = {
        target.partition(".")[0]
        for name in MODULES
        if room(name).startswith("ops")
        for target in imports(name)
    }
    assert required - sys.stdlib_module_names - {"ops"} == {"lazy_loader", "numpy"}


def test_a_family_is_loaded_when_it_is_first_asked_for():
    code = (
        "import sys, graphnet, ops; late = ('ops.lstm', 'graphnet.models', 'graphnet.testing'); "
        "assert not set(late) & set(sys.modules); "
        "ops.LSTM, graphnet.models.resnet, graphnet.testing.prove; "
        "assert set(late) <= set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_required_dependency_is_used():
    used = {target.partition(".")[0] for name in MODULES for target in imports(name)}
    required, _ = declared()
    # a library that is loaded as a file, and not imported
    assert required - {"onednn-cpu-gomp"} <= used


def test_importing_graphnet_loads_no_optional_library():
    code = f"import sys, graphnet; print(sorted({set(HOMES)} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_for(name):
    docstring = ast.get_docstring(MODULES[name])
    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":"))
