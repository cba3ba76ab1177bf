"""The learning curves of a run as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["save_curves"]

_COLOURS = {"train": "#3b6fd4", "validation": "#d9822b", "test": "#2f9e73"}


def save_curves(history: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Draw loss (left) and accuracy (right) over the epochs.

    Args:
        history: one row an epoch, with ``epoch`` and any of ``train_loss``, ``train_accuracy``,
            ``validation_loss``, ``validation_accuracy`` and further keys ending in ``_loss`` or
            ``_accuracy``; a row that lacks one, or has None, is left out of its curve.
        path: the file; its ending gives the format, such as ``.png`` or ``.svg``.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the history is empty.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("curves need matplotlib: pip install matplotlib") from error
    if not history:
        raise ValueError("expected a history of at least one epoch, received none")
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        _draw(axes, history, quantity)
    figure.savefig(path, dpi=150)


def _draw(axes: Any, history: Sequence[Mapping[str, Any]], quantity: str) -> None:
    keys = dict.fromkeys(key for row in history for key in row if key.endswith(f"_{quantity}"))
    for key in keys:
        rows = [row for row in history if row.get(key) is not None]
        part = key.removesuffix(f"_{quantity}")
        axes.plot(
            [row["epoch"] for row in rows],
            [float(row[key]) for row in rows],
            label=part.replace("_", " "),
            color=_COLOURS.get(part),
            marker="o" if len(rows) <= 20 else None,  # one epoch alone makes no line
            markersize=4,
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel(quantity)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if keys:
        axes.legend(frameon=False)
