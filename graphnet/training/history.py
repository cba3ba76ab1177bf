"""What each epoch of a training came to."""

from __future__ import annotations

import csv
import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["EpochRecord", "History", "Metrics"]


@dataclass(frozen=True)
class Metrics:
    """Mean loss and share of correct answers over some examples."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class EpochRecord:
    """One epoch; training figures are means over its batches, before each update.

    Attributes:
        epoch: counted from 1.
        step: updates made so far.
        lr: learning rate of the last update.
        seconds: wall time of the epoch, validation included.
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float


@dataclass
class History:
    """The records of all epochs, and which of them was the best.

    Attributes:
        stopped: why training ended before the last epoch; None if it did not.
    """

    records: list[EpochRecord] = field(default_factory=list)
    stopped: str | None = None

    @property
    def best(self) -> EpochRecord | None:
        """The epoch with the highest validation accuracy; among equals, the lowest loss.

        Without validation the training figures decide; None before the first epoch.
        """
        return max(self.records, key=score) if self.records else None

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write one line per epoch; what was not measured stays empty."""
        names = [f.name for f in dataclasses.fields(EpochRecord)]
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(dataclasses.asdict(record) for record in self.records)


def score(record: EpochRecord) -> tuple[float, float]:
    """What decides which epoch is the best: accuracy, then a low loss."""
    if record.validation_accuracy is None or record.validation_loss is None:
        return record.train_accuracy, -record.train_loss
    return record.validation_accuracy, -record.validation_loss
