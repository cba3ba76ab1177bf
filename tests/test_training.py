"""The trainer: history, the best parameters, limits and checkpoints."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import graphnet as gn
from graphnet.data import Dataset

DIGITS = gn.data.load_digits()
TRAIN = DIGITS.train.subset(range(200))


def small(seed=0, **fields):
    return gn.Executor(
        gn.models.deep_convnet((1, 8, 8), filters=(8,), pools=(0,), **fields), seed=seed
    )


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@dataclasses.dataclass(frozen=True)
class Ruin(gn.optim.Schedule):
    """A learning rate that ruins the network after some steps."""

    after: int

    def __call__(self, step):
        return 5e-3 if step <= self.after else 5.0


def test_history_has_a_record_per_epoch_and_the_loss_falls():
    trainer = gn.Trainer(small(), gn.optim.Adam(5e-3))
    history = trainer.fit(TRAIN, DIGITS.validation, epochs=4, batch_size=50, quiet=True)
    assert [r.epoch for r in history.records] == [1, 2, 3, 4]
    assert [r.step for r in history.records] == [4, 8, 12, 16]
    assert history.records[-1].train_loss < history.records[0].train_loss
    assert history.stopped is None
    assert trainer.fit(TRAIN, epochs=1, quiet=True).records[-1].epoch == 5


def test_fit_ends_with_the_parameters_and_statistics_of_the_best_epoch():
    trainer = gn.Trainer(small(), gn.optim.SGD(Ruin(after=8), momentum=0.9))
    history = trainer.fit(TRAIN, DIGITS.validation, epochs=4, batch_size=50, quiet=True)
    best = history.best
    assert best.epoch <= 2
    measured = trainer.evaluate(DIGITS.validation)
    assert measured.accuracy == best.validation_accuracy
    assert measured.loss == pytest.approx(best.validation_loss, rel=1e-6)


def test_keep_best_false_keeps_the_last_epoch():
    trainer = gn.Trainer(small(), gn.optim.SGD(Ruin(after=8), momentum=0.9))
    history = trainer.fit(
        TRAIN, DIGITS.validation, epochs=4, batch_size=50, keep_best=False, quiet=True
    )
    assert trainer.evaluate(DIGITS.validation).accuracy == history.records[-1].validation_accuracy


def test_a_time_limit_ends_training_and_says_so():
    trainer = gn.Trainer(small(), gn.optim.Adam())
    history = trainer.fit(TRAIN, epochs=10_000, time_limit=0.5, quiet=True)
    assert history.stopped == "time limit"
    assert sum(r.seconds for r in history.records) < 5


def test_a_loss_that_is_no_number_ends_training_and_says_so():
    trainer = gn.Trainer(small(batchnorm=False), gn.optim.SGD(1e30))
    with np.errstate(all="ignore"):
        history = trainer.fit(TRAIN, epochs=50, batch_size=20, quiet=True)
    assert "the loss became" in history.stopped
    assert len(history.records) < 50


@pytest.mark.parametrize(
    "optimizer",
    [
        gn.optim.SGD(1e-2, momentum=0.9, nesterov=True),
        gn.optim.RMSProp(1e-3),
        gn.optim.Adam(gn.optim.Cosine(1e-2, 12)),
        gn.optim.AdamW(1e-3),
    ],
    ids=lambda o: type(o).__name__,
)
def test_a_checkpoint_goes_on_exactly_where_it_was_saved(tmp_path, optimizer):
    fit = {"epochs": 2, "batch_size": 64, "keep_best": False, "quiet": True}
    whole = gn.Trainer(small(dropout=0.2), optimizer)
    whole.fit(TRAIN, **fit)
    whole.save(tmp_path / "half.safetensors")
    whole.fit(TRAIN, **fit)
    resumed = gn.Trainer(small(seed=5, dropout=0.2), optimizer)
    resumed.load(tmp_path / "half.safetensors")
    resumed.fit(TRAIN, **fit)
    assert same(whole.net.snapshot(), resumed.net.snapshot())


def test_a_checkpoint_of_another_optimizer_is_refused_and_nothing_changes(tmp_path):
    gn.Trainer(small(), gn.optim.Adam()).save(tmp_path / "adam.safetensors")
    other = gn.Trainer(small(seed=1), gn.optim.SGD(0.1))
    before = other.net.snapshot()
    with pytest.raises(gn.WeightsError, match=r"not expected .*conv_1\.weight"):
        other.load(tmp_path / "adam.safetensors")
    assert same(before, other.net.snapshot())


def test_predict_agrees_with_evaluate_and_takes_any_number_of_images():
    trainer = gn.Trainer(small(), gn.optim.Adam(5e-3))
    trainer.fit(TRAIN, epochs=2, quiet=True)
    predicted = trainer.predict(DIGITS.test.images, batch_size=77)
    assert predicted.dtype == np.int64
    assert (predicted == DIGITS.test.labels).mean() == trainer.evaluate(DIGITS.test).accuracy
    assert trainer.predict(DIGITS.test.images[:0]).shape == (0,)


def test_history_is_written_as_csv(tmp_path):
    trainer = gn.Trainer(small(), gn.optim.Adam())
    trainer.fit(TRAIN, epochs=2, quiet=True).to_csv(tmp_path / "history.csv")
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,step,lr,train_loss")
    assert len(lines) == 3
    assert ",," in lines[1], "what was not measured stays empty"


def test_wrong_names_and_numbers_are_refused():
    net = small()
    with pytest.raises(gn.GraphError, match="'picture'"):
        gn.Trainer(net, gn.optim.Adam(), image="picture")
    with pytest.raises(gn.GraphError, match="'scores'"):
        gn.Trainer(net, gn.optim.Adam(), logits="scores")
    trainer = gn.Trainer(net, gn.optim.Adam())
    with pytest.raises(ValueError, match="epochs of at least 1"):
        trainer.fit(TRAIN, epochs=0)
    with pytest.raises(ValueError, match="above 0 for time_limit"):
        trainer.fit(TRAIN, time_limit=float("nan"))
    with pytest.raises(ValueError, match="has none"):
        trainer.evaluate(TRAIN.subset([]))


def test_images_that_do_not_fit_are_refused_before_training():
    wide = Dataset(np.zeros((4, 1, 9, 9), "float32"), np.arange(4), tuple("abcd"), "wide")
    trainer = gn.Trainer(small(), gn.optim.Adam())
    before = trainer.net.snapshot()
    with pytest.raises(gn.FeedError, match=r"\(N, 1, 8, 8\).*\(4, 1, 9, 9\)"):
        trainer.fit(wide, quiet=True)
    assert same(before, trainer.net.snapshot())


def test_a_label_beyond_the_classes_is_refused_with_its_node():
    many = dataclasses.replace(
        TRAIN, labels=TRAIN.labels + 5, classes=tuple(str(i) for i in range(15))
    )
    trainer = gn.Trainer(small(), gn.optim.Adam())
    with pytest.raises(gn.FeedError, match=r"softmax_cross_entropy_1 .* 0 <= v < 10"):
        trainer.fit(many, quiet=True)
