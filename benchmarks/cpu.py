"""Training and inference beside PyTorch, ONNX Runtime and OpenVINO, in one run on one machine.

Three networks on 3x32x32 images: the three-layer net, six convolutions with BatchNorm, ResNet-18.
All engines take turns in one process, with as many threads as there are cores; what is shown is
the median.  A training step is forward, reverse and SGD with momentum; PyTorch runs it in three
modes, eager, channels-last and torch.compile, with its fused optimizer.  Outputs and gradients
are checked to agree before anything is timed.  Memory is that of a process of its own: the
highest resident set in three steps, above what it was before, when the libraries were loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import graphnet as gn
from benchmarks.peers import onnx_model, torch_module
from benchmarks.timing import alternate, machine, write_json
from graphnet.draw import render_table

#: Name, batch of a training step, batch of inference, and the graph.
NETWORKS: dict[str, tuple[int, int, Callable[[], gn.Graph]]] = {
    "three-layer": (128, 64, gn.models.three_layer_convnet),
    "six-layer": (128, 64, gn.models.deep_convnet),
    "ResNet-18": (64, 64, gn.models.resnet),
}
MODES = ("eager", "channels-last", "compile")
LR, MOMENTUM = 0.01, 0.9
#: Largest difference of outputs, relative to the largest entry.
TOLERANCE = 1e-3
#: Largest distance of gradients, relative to their norm.  A ReLU or a max pool whose inputs lie
#: within rounding of a tie sends a gradient one way or the other, so two engines that differ by
#: 1e-6 in an activation may differ by 1e-2 in a gradient; a wrong term is off by far more.
GRADIENT_TOLERANCE = 3e-2
#: Of each engine whose memory is measured.
PROCESSES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each (median)")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=("training", "inference", "memory", "overhead"),
        default=["training", "inference", "memory", "overhead"],
    )
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> None:
    """Time all engines; print a table of medians and ratios."""
    if options.memory_of:
        print(json.dumps(_peak_of(*options.memory_of.split(":"))))
        return
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    rows: list[dict[str, Any]] = []
    for name in options.networks:
        if "training" in options.parts:
            rows.append(_training(name, options.rounds))
            _show(rows[-1])
        if "inference" in options.parts:
            for batch in (NETWORKS[name][1], 1):
                rows.append(_inference(name, batch, options.rounds))
                _show(rows[-1])
        if "memory" in options.parts:
            rows.append(_memory(name))
            _show(rows[-1])
    if "overhead" in options.parts:
        for row in (_overhead(), _import_time(options.rounds)):
            rows.append(row)
            _show(row)
    table = [
        (
            row["work"],
            *(f"{row['figures'].get(k, float('nan')):.3g}" for k in ("graphnet", row["best"])),
            row["best"],
            row["unit"],
            f"{row['ratio']:.2f}",
        )
        for row in rows
    ]
    columns = ("work", "graphnet", "best peer", "which", "unit", "ratio")
    title = f"medians of {options.rounds}, {machine()['processor']}, {os.cpu_count()} cores"
    print(render_table(columns, table, title=title))
    if options.json:
        write_json(options.json, {"benchmark": "cpu", "versions": _versions(), "rows": rows})


def _show(row: dict[str, Any]) -> None:
    figures = ", ".join(f"{name} {value:.3g}" for name, value in row["figures"].items())
    print(f"{row['work']}: {figures} {row['unit']}", flush=True)


def _row(work: str, figures: dict[str, float], unit: str) -> dict[str, Any]:
    best = min((name for name in figures if name != "graphnet"), key=figures.__getitem__)
    ratio = figures[best] / figures["graphnet"]
    return {"work": work, "unit": unit, "figures": figures, "best": best, "ratio": ratio}


def _feeds(batch: int, graph: gn.Graph) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (batch, *graph.inputs["image"].shape[1:])
    image = rng.normal(size=shape).astype("float32")
    return {"image": image, "label": rng.integers(0, 10, batch)}


def _expect_close(work: str, found: np.ndarray, wanted: np.ndarray) -> None:
    difference = np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-12)
    if not difference <= TOLERANCE:
        raise SystemExit(f"{work}: results differ by {difference:.1e} of the largest")


def initial_weights(graph: gn.Graph) -> dict[str, np.ndarray]:
    """Weights of He's size: with small ones gradients drown in rounding."""
    rng = np.random.default_rng(1)
    net = gn.Executor(graph)
    weights = net.snapshot()
    for name, array in weights.items():
        if array.ndim > 1:
            fan_in = array[0].size
            weights[name] = (rng.normal(size=array.shape) * (2 / fan_in) ** 0.5).astype("float32")
    return weights


def _torch_step(
    graph: gn.Graph, weights: dict[str, np.ndarray], feeds: dict[str, np.ndarray], mode: str
) -> tuple[Any, Callable[[], Any]]:
    import torch

    module = torch_module(graph, weights, "logits").train()
    image, label = (torch.from_numpy(feeds[name].copy()) for name in ("image", "label"))
    if mode == "channels-last":
        module = module.to(memory_format=torch.channels_last)
        image = image.contiguous(memory_format=torch.channels_last)
    run = torch.compile(module) if mode == "compile" else module
    optimizer = torch.optim.SGD(module.parameters(), lr=LR, momentum=MOMENTUM, fused=True)

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(run(image), label)
        loss.backward()
        optimizer.step()
        return loss

    return module, step


def _training(name: str, rounds: int) -> dict[str, Any]:
    import torch

    batch, _, make = NETWORKS[name]
    graph = make()
    weights, feeds = initial_weights(graph), _feeds(batch, graph)
    net = gn.Executor(graph)
    net.assign(weights)
    net.forward(training=True, **feeds)
    gradients = net.backward("loss")
    step = net.training_step(gn.optim.SGD(LR, momentum=MOMENTUM))
    functions: dict[str, Callable[[], Any]] = {"graphnet": lambda: step(**feeds)}
    for mode in MODES:
        module, function = _torch_step(graph, weights, feeds, mode)
        loss = torch.nn.functional.cross_entropy(
            module(torch.from_numpy(feeds["image"])), torch.from_numpy(feeds["label"])
        )
        loss.backward()
        for key, parameter in module.named_parameters():
            own = key.replace("__", ".")
            if key.startswith("_"):
                continue
            wanted = parameter.grad.numpy()
            distance = np.linalg.norm(gradients[own] - wanted) / np.linalg.norm(wanted)
            if not distance <= GRADIENT_TOLERANCE:
                raise SystemExit(f"{name}: gradients of {own} are {distance:.1e} apart")
        functions[mode] = function
    seconds = alternate(functions, rounds)
    figures = {key: value * 1e3 for key, value in seconds.items()}
    return _row(f"training step, {name}, batch {batch}", figures, "ms")


def _inference(name: str, batch: int, rounds: int) -> dict[str, Any]:
    import onnxruntime
    import openvino
    import torch

    graph = NETWORKS[name][2]()
    weights = initial_weights(graph)
    image = _feeds(batch, graph)["image"]
    net = gn.Executor(graph)
    net.assign(weights)
    model = onnx_model(graph, weights, "logits", batch)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = os.cpu_count() or 1
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(model=model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    request = compiled.create_infer_request()
    module = torch_module(graph, weights, "logits").eval()
    tensor = torch.from_numpy(image)

    def torch_run() -> Any:
        with torch.inference_mode():
            return module(tensor)

    functions: dict[str, Callable[[], Any]] = {
        "graphnet": lambda: net.forward(outputs=["logits"], image=image)["logits"],
        "onnxruntime": lambda: session.run(None, {"image": image})[0],
        "openvino": lambda: request.infer([image])[0],
        "torch": torch_run,
    }
    wanted = functions["onnxruntime"]()
    for key, function in functions.items():
        _expect_close(f"{name}, {key}", np.asarray(function()), wanted)
    seconds = alternate(functions, rounds)
    figures = {key: value * 1e3 for key, value in seconds.items()}
    return _row(f"inference, {name}, batch {batch}", figures, "ms")


def _memory(name: str) -> dict[str, Any]:
    """Peak memory of a training step above the start, each engine in processes of its own.

    PyTorch's differs by a fifth from one process to the next, so the median of some counts.
    """
    figures = {}
    for engine in ("graphnet", *MODES[:2]):
        command = [sys.executable, "-m", "benchmarks", "cpu", "--memory-of", f"{name}:{engine}"]
        found = []
        for _ in range(PROCESSES):
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            found.append(json.loads(answer.stdout.splitlines()[-1]))
        figures[engine] = statistics.median(found)
    batch = NETWORKS[name][0]
    return _row(f"memory of a training step, {name}, batch {batch}", figures, "MiB")


def _peak_of(name: str, engine: str) -> float:
    batch, _, make = NETWORKS[name]
    graph = make()

    def make_step(size: int) -> Callable[[], Any]:
        weights, feeds = initial_weights(graph), _feeds(size, graph)
        if engine != "graphnet":
            return _torch_step(graph, weights, feeds, engine)[1]
        net = gn.Executor(graph)
        net.assign(weights)
        step = net.training_step(gn.optim.SGD(LR, momentum=MOMENTUM))
        return lambda: step(**feeds)

    make_step(2)()  # loads and compiles
    step = make_step(batch)
    start = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest is counted from now on
    for _ in range(3):
        step()
    return _resident("VmHWM") - start


def _resident(field: str) -> float:
    """A field of the process's status, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise OSError(f"the system does not tell {field}")


def _overhead(nodes: int = 1000) -> dict[str, Any]:
    """Python time a node beyond the kernel: a chain of kernels that do nothing."""
    from graphnet.kernels import PROVIDERS, PlacedKernel, Provider
    from graphnet.kernels.placed import ROWS, Terms
    from ops import Tanh

    class Nothing(PlacedKernel):
        def __init__(self, operator: Any, specs: Any, **options: bool) -> None:
            super().__init__(operator, specs)
            self.terms = Terms(inputs=(ROWS,), outputs=(ROWS,), over=((0, 0),))

        def bind_forward(self, memory: Any) -> Callable[[], object]:
            return int  # what is called does as little as can be

        def bind_backward(self, memory: Any) -> Callable[[], object]:
            return int

    PROVIDERS["nothing"] = Provider("does nothing", Nothing, backends=("numpy",))

    def chain(length: int) -> Callable[[], Any]:
        y = x = gn.Input("x", (1,))
        for _ in range(length):
            y = Tanh()(y)
        net = gn.Executor(gn.Graph(y=y), kernels="nothing")
        feed = np.zeros(1, "float32")
        del x
        return lambda: net.forward(x=feed)

    seconds = alternate({"long": chain(nodes + 1), "short": chain(1)}, 15)
    each = (seconds["long"] - seconds["short"]) / nodes * 1e6
    return _row("Python time a node", {"graphnet": each, "limit": 1.0}, "us")


def _import_time(rounds: int) -> dict[str, Any]:
    """What importing graphnet takes beyond importing numpy, in fresh processes."""

    def fresh(module: str) -> Callable[[], Any]:
        return lambda: subprocess.run([sys.executable, "-c", f"import {module}"], check=True)

    pair = {"graphnet": fresh("graphnet"), "numpy": fresh("numpy")}
    times: dict[str, list[float]] = {name: [] for name in pair}
    for _ in range(max(rounds, 5)):
        for name, function in pair.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    medians = {name: float(np.median(found)) for name, found in times.items()}
    own = medians["graphnet"] - medians["numpy"]
    return _row("import beyond numpy", {"graphnet": own, "limit": 0.25}, "s")


def _versions() -> dict[str, str]:
    import onnxruntime
    import openvino
    import torch

    modules = (torch, onnxruntime, openvino)
    return {module.__name__: str(module.__version__) for module in modules}
