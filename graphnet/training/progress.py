"""Showing how training goes: a live bar on a terminal, one plain line an epoch elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from graphnet.training.history import EpochRecord

__all__ = ["TrainingProgress"]


class TrainingProgress:
    """Shows batches and epochs while used as a context.

    Args:
        epochs: how many there will be.
        batches: in one epoch.
        console: where to; standard output when None, nothing when ``quiet``.
        quiet: show nothing.
    """

    def __init__(
        self, epochs: int, batches: int, *, console: Console | None = None, quiet: bool = False
    ) -> None:
        self.epochs = epochs
        self.console = console or Console(quiet=quiet)
        self.live = Progress(
            TextColumn("epoch {task.fields[epoch]:>3}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal,
        )
        self.task = self.live.add_task("", total=batches, epoch=1, loss="-")

    def __enter__(self) -> TrainingProgress:
        self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.live.stop()

    @property
    def is_live(self) -> bool:
        """Whether a bar is drawn, so that single batches are worth reporting."""
        return not self.live.disable

    def batch(self, number: int, loss: float) -> None:
        """Report a batch, counted from 1."""
        self.live.update(self.task, completed=number, loss=f"{loss:.4f}")

    def epoch(self, record: EpochRecord) -> None:
        """Report a finished epoch as one line."""
        width = len(str(self.epochs))
        line = (
            f"epoch {record.epoch:>{width}}/{self.epochs}  "
            f"loss {record.train_loss:.4f}  accuracy {record.train_accuracy:.4f}"
        )
        if record.validation_accuracy is not None:
            line += f"  validation accuracy {record.validation_accuracy:.4f}"
        self.console.print(f"{line}  {record.seconds:.1f} s", highlight=False, soft_wrap=True)
        self.live.update(self.task, completed=0, epoch=record.epoch + 1)
