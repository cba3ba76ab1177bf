"""Training steps on a GPU beside PyTorch, in one run on one card.

The three networks of the CPU benchmark, and ResNet-50 on 3x224x224 images.  A step is forward,
reverse and SGD with momentum on feeds that lie on the card.  PyTorch runs it eager, eager with
channels last and mixed precision, and compiled in three modes; graphnet computes in the precision
it is told.  Gradients are checked to agree, in float32 without TF32, before anything is timed.
Engines take turns; what is shown is the median of times between two events on the card.

With ``--cifar FOLDER`` a network is trained on CIFAR-10 instead, until it reaches an accuracy.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import graphnet as gn
from benchmarks.cpu import GRADIENT_TOLERANCE, LR, MOMENTUM, initial_weights
from benchmarks.peers import torch_module
from benchmarks.speed_run import read, speed_run
from benchmarks.timing import write_json
from graphnet.backends import Backend, get_backend
from graphnet.draw import render_table
from graphnet.executor.precision import PRECISIONS
from graphnet.models.classifier import classifier
from ops import Add, BatchNorm, Conv, GlobalAvgPool, Linear, MaxPool, ReLU

#: Filters and bottlenecks of the stages of ResNet-50.
STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
#: What ``torch.compile`` is told; None for eager, and whether precision is mixed.
MODES: dict[str, tuple[str | None, bool]] = {
    "eager": (None, False),
    "channels-last AMP": (None, True),
    "compile": ("default", True),
    "reduce-overhead": ("reduce-overhead", True),
    "max-autotune": ("max-autotune", True),
}


def resnet50() -> gn.Graph:
    """ResNet-50; He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2016."""

    def body(image: gn.Value) -> gn.Value:
        x = ReLU()(BatchNorm()(Conv(64, 7, stride=2, padding=3, bias=False)(image)))
        x = MaxPool(3, stride=2, padding=1)(x)
        for stage, (filters, blocks) in enumerate(STAGES):
            for block in range(blocks):
                x = _bottleneck(x, filters, 2 if stage and not block else 1)
        logits: gn.Value = Linear(1000)(GlobalAvgPool()(x))
        return logits

    return classifier(body, (3, 224, 224))


def _bottleneck(x: gn.Value, filters: int, stride: int) -> gn.Value:
    shortcut = x
    if x.shape[1] != 4 * filters:
        shortcut = BatchNorm()(Conv(4 * filters, 1, stride=stride, bias=False)(x))
    y = ReLU()(BatchNorm()(Conv(filters, 1, bias=False)(x)))
    y = ReLU()(BatchNorm()(Conv(filters, 3, stride=stride, padding=1, bias=False)(y)))
    y = BatchNorm()(Conv(4 * filters, 1, bias=False)(y))
    out: gn.Value = ReLU()(Add()(y, shortcut))
    return out


#: The graph of each network.
NETWORKS: dict[str, Callable[[], gn.Graph]] = {
    "three-layer": gn.models.three_layer_convnet,
    "six-layer": gn.models.deep_convnet,
    "ResNet-18": gn.models.resnet,
    "ResNet-50": resnet50,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each (median)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--precision", choices=PRECISIONS, default="float16", help="of graphnet")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument(
        "--cifar", type=Path, metavar="FOLDER", help="train on CIFAR-10's binary files instead"
    )
    parser.add_argument("--accuracy", type=float, default=0.93, help="on the test images")
    parser.add_argument("--epochs", type=int, default=24, help="the most of them")


def run(options: argparse.Namespace) -> None:
    """Time all engines; print a table of medians and ratios."""
    try:
        backend = get_backend("cupy")
    except gn.BackendError as error:
        raise SystemExit(f"no card to measure: {error}") from None
    if options.cifar is not None:
        _run_on_cifar(backend, options)
        return
    try:
        import torch
    except ImportError:
        raise SystemExit("expected PyTorch built for CUDA beside graphnet") from None
    if not torch.cuda.is_available():
        raise SystemExit(f"expected PyTorch built for CUDA, found {torch.__version__}")
    rows = []
    for name in options.networks:
        figures = _step_times(name, options)
        best = min(options.modes, key=figures.__getitem__)
        rows.append({"work": f"training step, {name}, batch {options.batch}", "unit": "ms",
                     "figures": figures, "best": best,
                     "ratio": figures[best] / figures["graphnet"]})  # fmt: skip
        print(rows[-1], flush=True)
    table = [
        (r["work"], f"{r['figures']['graphnet']:.3g}", f"{r['figures'][r['best']]:.3g}", r["best"],
         f"{r['ratio']:.2f}")
        for r in rows
    ]  # fmt: skip
    title = f"medians of {options.rounds}, {backend.describe()}"
    columns = ("work", "graphnet", "best of PyTorch", "which", "ratio")
    print(render_table(columns, table, title=title))
    if options.json:
        versions = {"torch": torch.__version__, "card": backend.describe()}
        write_json(options.json, {"benchmark": "gpu", "versions": versions, "rows": rows})


def _run_on_cifar(backend: Backend, options: argparse.Namespace) -> None:
    """Time the way to an accuracy; the program fails where it is not reached."""
    figures = speed_run(
        *read(options.cifar), backend, accuracy=options.accuracy, epochs=options.epochs,
        precision=options.precision,
    )  # fmt: skip
    print(
        f"{figures['accuracy']:.2%} after {figures['epochs']} epochs and "
        f"{figures['seconds']:.1f} s of training, {figures['prepared']:.1f} s before it, "
        f"in {options.precision} on {backend.describe()}"
    )
    if options.json:
        figures |= {"precision": options.precision, "versions": {"card": backend.describe()}}
        write_json(options.json, {"benchmark": "gpu --cifar", **figures})
    if not figures["reached"]:
        raise SystemExit(f"{options.accuracy:.2%} was not reached")


def _step_times(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of a training step by each engine, which agree on the gradients."""
    import torch

    graph = NETWORKS[name]()
    weights = initial_weights(graph)
    rng = np.random.default_rng(0)
    shape = (options.batch, *graph.inputs["image"].shape[1:])
    (classes,) = graph.outputs["logits"].shape[1:]
    feeds = {
        "image": rng.normal(size=shape).astype("float32"),
        "label": rng.integers(0, classes, options.batch),
    }
    net = gn.Executor(graph, backend="cupy")
    net.assign(weights)
    net.forward(training=True, **feeds)
    gradients = {key: net.to_host(array) for key, array in net.backward("loss").items()}
    _expect_equal_gradients(name, graph, weights, feeds, gradients)
    net = gn.Executor(graph, backend="cupy", precision=options.precision)
    net.assign(weights)
    there = {key: net.backend.from_host(array) for key, array in feeds.items()}
    step = net.training_step(gn.optim.SGD(LR, momentum=MOMENTUM))
    functions: dict[str, Callable[[], Any]] = {"graphnet": lambda: step(**there)}
    for mode in options.modes:
        functions[mode] = _torch_step(graph, weights, feeds, mode)
    torch.cuda.synchronize()
    return _alternate(functions, options.rounds)


def _expect_equal_gradients(
    name: str,
    graph: gn.Graph,
    weights: dict[str, np.ndarray],
    feeds: Mapping[str, np.ndarray],
    gradients: Mapping[str, np.ndarray],
) -> None:
    import torch

    module = torch_module(graph, weights, "logits").cuda().train()
    image, label = (torch.from_numpy(feeds[key]).cuda() for key in ("image", "label"))
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        torch.nn.functional.cross_entropy(module(image), label).backward()
    for key, parameter in module.named_parameters():
        own, wanted = gradients[key.replace("__", ".")], parameter.grad.cpu().numpy()
        distance = np.linalg.norm(own - wanted) / np.linalg.norm(wanted)
        if not distance <= GRADIENT_TOLERANCE:
            raise SystemExit(f"{name}: gradients of {key} are {distance:.1e} apart")


def _torch_step(
    graph: gn.Graph, weights: dict[str, np.ndarray], feeds: Mapping[str, np.ndarray], mode: str
) -> Callable[[], Any]:
    import torch

    compiled, mixed = MODES[mode]
    module = torch_module(graph, weights, "logits").cuda().train()
    image, label = (torch.from_numpy(feeds[key]).cuda() for key in ("image", "label"))
    if mixed:
        module = module.to(memory_format=torch.channels_last)
        image = image.contiguous(memory_format=torch.channels_last)
    network = torch.compile(module, mode=compiled) if compiled else module
    optimizer = torch.optim.SGD(module.parameters(), lr=LR, momentum=MOMENTUM, fused=True)
    scaler = torch.amp.GradScaler("cuda", enabled=mixed)

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.float16, enabled=mixed):
            loss = torch.nn.functional.cross_entropy(network(image), label)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    return step


def _alternate(functions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median milliseconds between events around each function; they take turns."""
    import torch

    for function in functions.values():
        for _ in range(3):  # compiles, chooses methods, captures
            function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            function()
            # CuPy and PyTorch both work on the default stream
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            for _ in range(5):
                function()
            end.record()
            end.synchronize()
            times[name].append(begin.elapsed_time(end) / 5)
    return {name: statistics.median(found) for name, found in times.items()}
