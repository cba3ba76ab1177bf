"""The training loop of a classifier."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from graphnet.data import Batches, Dataset
from graphnet.executor import Executor
from graphnet.optim import Optimizer
from graphnet.training.history import EpochRecord, History, Metrics, score
from graphnet.values import GraphError
from graphnet.weights import read_weights, write_weights
from ops.arrays import Array
from ops.fields import POSITIVE, expect_count, expect_number
from ops.operator import Spec

if TYPE_CHECKING:
    from graphnet.training.progress import TrainingProgress

__all__ = ["Trainer"]

Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]

#: Name of the array that counts updates and epochs in a checkpoint.
PROGRESS = "trainer/progress"

#: Prefix of the optimizer's arrays in a checkpoint, which keeps them apart from parameters.
SLOT = "optimizer/"


class Trainer:
    """Trains, evaluates and applies a classifier.

    Args:
        net: the executor of a graph that takes ``image`` and ``label``.
        optimizer: one of :mod:`graphnet.optim`.
        image, label: the names of the inputs.
        logits, loss: the names of the outputs.

    Attributes:
        history: a record for each epoch of all calls of :meth:`fit`.

    Raises:
        GraphError: the graph lacks an input or output of these names.

    >>> import graphnet as gn
    >>> digits = gn.data.load_digits()
    >>> net = gn.Executor(gn.models.deep_convnet((1, 8, 8), filters=(8,), pools=(0,)))
    >>> trainer = Trainer(net, gn.optim.Adam(1e-2))
    >>> history = trainer.fit(digits.train, epochs=4, quiet=True)
    >>> trainer.evaluate(digits.test).accuracy > 0.8
    True
    """

    def __init__(
        self,
        net: Executor,
        optimizer: Optimizer,
        *,
        image: str = "image",
        label: str = "label",
        logits: str = "logits",
        loss: str = "loss",
    ) -> None:
        for name, there in ((image, net.graph.inputs), (label, net.graph.inputs)):
            if name not in there:
                raise GraphError(f"expected an input among {list(there)}, received {name!r}")
        if logits not in net.graph.outputs:
            raise GraphError(
                f"expected logits among {list(net.graph.outputs)}, received {logits!r}"
            )
        self.net = net
        self.step = net.training_step(optimizer, loss)
        self.optimizer = optimizer
        self.image, self.label, self.logits, self.loss = image, label, logits, loss
        self.history = History()
        self.epochs = 0

    def fit(
        self,
        train: Dataset,
        validation: Dataset | None = None,
        *,
        epochs: int = 10,
        batch_size: int = 100,
        seed: int = 0,
        augment: Transform | None = None,
        time_limit: float | None = None,
        keep_best: bool = True,
        quiet: bool = False,
    ) -> History:
        """Train for some epochs, and end with the best parameters that were met.

        Args:
            train: the examples to learn from.
            validation: the examples that decide which epoch was best; the training
                accuracy decides when None.
            epochs: how often to go over ``train``.
            batch_size: examples per update.
            seed: of order and augmentation.
            augment: changes each batch of images at random; see :mod:`graphnet.data`.
            time_limit: seconds after which no further batch is begun; none by default.
            keep_best: put back, at the end, the parameters, the running statistics and the
                optimizer's memory of the best epoch, from where a next call goes on.
            quiet: print nothing.

        Returns:
            The history of all epochs so far; ``history.stopped`` says why training ended
            early: the time limit, or a loss that is no number any more.

        Raises:
            ValueError: ``epochs`` or ``time_limit`` is out of range.
            FeedError, ShapeError: the images do not fit the network.
        """
        for dataset in (train, validation):
            if dataset is not None and not isinstance(dataset, Dataset):
                raise TypeError(
                    f"expected a graphnet.data.Dataset, received {type(dataset).__name__}"
                )
        if not len(train):
            raise ValueError(f"expected examples to train on, but {train.name!r} has none")
        expect_count(self, "epochs", epochs)
        if time_limit is not None:
            expect_number(self, "time_limit", time_limit, POSITIVE)
        batches = Batches(train, batch_size, seed=seed, augment=augment)
        deadline = math.inf if time_limit is None else time.perf_counter() + time_limit
        best: tuple[tuple[float, float], dict[str, np.ndarray]] | None = None
        self.history.stopped = None
        last = self.epochs + epochs
        from graphnet.training.progress import TrainingProgress  # rich takes long to import

        with TrainingProgress(last, len(batches), quiet=quiet) as progress:
            while self.epochs < last and self.history.stopped is None:
                record = self._epoch(batches, validation, progress, deadline)
                if record is None:
                    break
                self.history.records.append(record)
                progress.epoch(record)
                if best is None or score(record) > best[0]:
                    best = (score(record), self._snapshot() if keep_best else {})
        if best is not None and keep_best:
            self._restore({**best[1], PROGRESS: self._counts(int(best[1][PROGRESS][0]))})
        return self.history

    def _epoch(
        self,
        batches: Batches,
        validation: Dataset | None,
        progress: TrainingProgress,
        deadline: float,
    ) -> EpochRecord | None:
        """One epoch, or what the time limit leaves of it; None if that is nothing."""
        start = time.perf_counter()
        # sums stay on the device, and come over once an epoch
        loss: Any = 0.0
        correct: Any = 0
        seen = 0
        for number, (images, labels) in enumerate(batches.epoch(self.epochs), start=1):
            if time.perf_counter() >= deadline:
                self.history.stopped = "time limit"
                break
            outputs = self.step(**{self.image: images, self.label: labels})
            loss = loss + outputs[self.loss] * len(labels)
            correct = correct + self._correct(outputs[self.logits], labels)
            seen += len(labels)
            if progress.is_live:
                progress.batch(number, self._number(loss) / seen)
        if not seen:
            return None
        self.epochs += 1
        train_loss = self._number(loss) / seen
        if not math.isfinite(train_loss):
            self.history.stopped = f"the loss became {train_loss}"
        measured = self.evaluate(validation) if validation is not None else None
        return EpochRecord(
            epoch=self.epochs,
            step=self.step.count,
            lr=self.optimizer.rate(self.step.count),
            train_loss=train_loss,
            train_accuracy=self._number(correct) / seen,
            validation_loss=None if measured is None else measured.loss,
            validation_accuracy=None if measured is None else measured.accuracy,
            seconds=time.perf_counter() - start,
        )

    def evaluate(self, dataset: Dataset, batch_size: int = 500) -> Metrics:
        """Mean loss and accuracy of the inference form.

        Raises:
            ValueError: the dataset is empty.
            FeedError, ShapeError: the images do not fit the network.
        """
        if not len(dataset):
            raise ValueError(f"expected examples to evaluate on, but {dataset.name!r} has none")
        loss: Any = 0.0
        correct: Any = 0
        for images, labels in Batches(dataset, batch_size, shuffle=False):
            feeds: dict[str, Any] = {self.image: images, self.label: labels}
            outputs = self.net.forward(outputs=(self.logits, self.loss), **feeds)
            loss = loss + outputs[self.loss] * len(labels)
            correct = correct + self._correct(outputs[self.logits], labels)
        return Metrics(self._number(loss) / len(dataset), self._number(correct) / len(dataset))

    def predict(self, images: np.ndarray, batch_size: int = 500) -> np.ndarray:
        """The class with the largest logit for each image, as int64 ``(N,)`` on the host.

        Raises:
            FeedError, ShapeError: the images do not fit the network.
        """
        expect_count(self, "batch_size", batch_size)
        answers = [np.zeros(0, dtype=np.int64)]
        for start in range(0, len(images), batch_size):
            part: dict[str, Any] = {self.image: images[start : start + batch_size]}
            logits = self.net.forward(outputs=(self.logits,), **part)[self.logits]
            answers.append(self.net.to_host(logits.argmax(axis=1)))
        return np.concatenate(answers)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint: parameters, states, the optimizer's memory, and how far it is."""
        write_weights(path, self._snapshot())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read a checkpoint of the same network and optimizer, to go on exactly from there.

        Raises:
            WeightsError: the file is damaged or does not fit; nothing has changed then.
        """
        own = self._snapshot()
        expected = {name: Spec(a.shape, a.dtype.name) for name, a in own.items()}
        self._restore(read_weights(path, expected))

    def _counts(self, steps: int) -> np.ndarray:
        return np.array([steps, self.epochs], dtype=np.int64)

    def _snapshot(self) -> dict[str, np.ndarray]:
        """Everything that training goes on from, as host arrays."""
        slots = {SLOT + name: self.net.to_host(array) for name, array in self.step.slots.items()}
        return {**self.net.snapshot(), **slots, PROGRESS: self._counts(self.step.count)}

    def _restore(self, arrays: dict[str, np.ndarray]) -> None:
        own = {**self.net.parameters, **self.net.states}
        self.net.assign({name: arrays[name] for name in own})
        for name, slot in self.step.slots.items():
            slot[...] = self.net.backend.from_host(arrays[SLOT + name])
        self.step.count, self.epochs = (int(count) for count in arrays[PROGRESS])

    def _correct(self, logits: Array, labels: np.ndarray) -> Array:
        """How many of the largest logits are at the label, as an array of the backend."""
        return (logits.argmax(axis=1) == self.net.backend.from_host(labels)).sum()

    def _number(self, array: Any) -> float:
        """A host number from a scalar of the backend."""
        return float(self.net.to_host(array)) if self.net.backend.owns(array) else float(array)
