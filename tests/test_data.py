"""Datasets, their files, their splits and their batches."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnet import data
from graphnet.data import (
    Batches,
    Compose,
    Dataset,
    Flip,
    Shift,
    Splits,
    cifar,
    load_cifar10,
    load_digits,
    load_idx_folder,
    read_idx,
)
from graphnet.data.dataset import stratify
from graphnet.data.pixels import standardize

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def numbered(labels: list[int], classes: int = 10) -> Dataset:
    """A dataset whose image number i has the value i everywhere."""
    values = np.arange(len(labels), dtype="float32")
    images = np.broadcast_to(values[:, None, None, None], (len(labels), 1, 2, 2)).copy()
    return Dataset(images, np.array(labels, "int64"), tuple("abcdefghij"[:classes]), "numbered")


def numbers(images: Any) -> list[int]:
    return [int(v) for v in images[:, 0, 0, 0]]


# ---- dataset ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        ([[1.0]], np.zeros(1, "int64"), TypeError, "images as a NumPy array, received list"),
        (
            np.zeros((1, 1, 2, 2)),
            np.zeros(1, "int64"),
            ValueError,
            "images float32 .*received float64",
        ),
        (np.zeros((1, 2, 2), "float32"), np.zeros(1, "int64"), ValueError, r"\(N, C, H, W\)"),
        (
            np.zeros((1, 1, 2, 2), "float32"),
            np.zeros(1, "uint8"),
            ValueError,
            "labels int64 .*uint8",
        ),
        (np.zeros((1, 1, 2, 2), "float32"), np.zeros((1, 1), "int64"), ValueError, r"\(N,\)"),
        (
            np.zeros((2, 1, 2, 2), "float32"),
            np.zeros(3, "int64"),
            ValueError,
            "2 images and 3 labels",
        ),
        (
            np.zeros((2, 1, 2, 2), "float32"),
            np.array([0, 2]),
            ValueError,
            "0 to 1, received 2 at index 1",
        ),
        (
            np.zeros((2, 1, 2, 2), "float32"),
            np.array([-1, 0]),
            ValueError,
            "received -1 at index 0",
        ),
    ],
)
def test_a_dataset_refuses_arrays_that_do_not_fit(
    images: Any, labels: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^pets: expected .*{message}"):
        Dataset(images, labels, ("cat", "dog"), "pets")


def test_a_dataset_refuses_class_names_that_are_no_strings() -> None:
    with pytest.raises(TypeError, match="class names as strings, received 0"):
        Dataset(np.zeros((0, 1, 2, 2), "float32"), np.zeros(0, "int64"), (0, 1), "pets")  # type: ignore[arg-type]


def test_a_subset_is_a_copy_in_the_order_asked_for() -> None:
    dataset = numbered([0, 1, 2, 3])
    part = dataset.subset([3, 0, 3])
    assert (numbers(part.images), part.labels.tolist()) == ([3, 0, 3], [3, 0, 3])
    assert not np.shares_memory(dataset.subset(range(4)).images, dataset.images)
    assert len(dataset.subset([])) == 0


@pytest.mark.parametrize("indices", [[4], [-1], [0, 99]])
def test_a_subset_refuses_indices_outside(indices: list[int]) -> None:
    with pytest.raises(IndexError, match="indices from 0 to 3, received"):
        numbered([0, 1, 2, 3]).subset(indices)


@pytest.mark.parametrize("indices", [[0.5], [[0]], [True, False]])
def test_a_subset_refuses_what_is_no_list_of_integers(indices: Any) -> None:
    with pytest.raises(TypeError, match="flat list of integer indices, received"):
        numbered([0, 1, 2, 3]).subset(indices)


labelled = st.lists(st.integers(0, 4), min_size=0, max_size=60)


@given(labelled, st.data(), st.integers(0, 2**31))
def test_a_split_is_a_partition_of_the_sizes_asked_for(
    labels: list[int], draw: st.DataObject, seed: int
) -> None:
    first = draw.draw(st.integers(0, len(labels)))
    second = draw.draw(st.integers(0, len(labels) - first))
    parts = numbered(labels).split(first, second, seed=seed)
    assert [len(part) for part in parts] == [first, second, len(labels) - first - second]
    found = [n for part in parts for n in numbers(part.images)]
    assert sorted(found) == list(range(len(labels)))
    assert all(
        labels[n] == y
        for part in parts
        for n, y in zip(numbers(part.images), part.labels, strict=True)
    )


@given(labelled, st.data(), st.integers(0, 2**31))
def test_a_part_takes_of_each_class_its_share(
    labels: list[int], draw: st.DataObject, seed: int
) -> None:
    count = draw.draw(st.integers(0, len(labels)))
    part, rest = stratify(np.array(labels, "int64"), (count,), seed)
    for label in set(labels):
        share = count * labels.count(label) / len(labels)
        taken = sum(labels[i] == label for i in part)
        assert math.floor(share) <= taken <= math.ceil(share)
        assert taken + sum(labels[i] == label for i in rest) == labels.count(label)


def test_fractions_are_rounded_down_and_counts_are_exact() -> None:
    parts = numbered([0, 1] * 50).split(0.29, 10, 0.005, seed=0)
    assert [len(part) for part in parts] == [29, 10, 0, 61]


def test_the_same_seed_gives_the_same_split_and_another_another() -> None:
    dataset = numbered([0, 1] * 50)
    first, again, other = (numbers(dataset.split(30, seed=s)[0].images) for s in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("sizes", "seed", "error", "message"),
    [
        ((3, 2), 0, ValueError, r"at most 4 examples in all, received 3 \+ 2 = 5"),
        ((-1,), 0, ValueError, "at least 0, received -1"),
        ((1.5,), 0, ValueError, "fraction from 0 to 1, received 1.5"),
        ((math.nan,), 0, ValueError, "fraction from 0 to 1, received nan"),
        (("half",), 0, TypeError, "integer, received 'half'"),
        ((True,), 0, TypeError, "integer, received True"),
        ((1,), -1, ValueError, "seed of at least 0, received -1"),
        ((1,), 0.5, TypeError, "seed as an integer, received 0.5"),
    ],
)
def test_a_split_refuses_sizes_that_do_not_fit(
    sizes: Any, seed: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        numbered([0, 1, 0, 1]).split(*sizes, seed=seed)


# ---- scaling ----------------------------------------------------------------------------


def test_pixels_are_scaled_per_channel_by_the_training_part_alone() -> None:
    rng = np.random.default_rng(0)
    train, held_out, test = (
        rng.integers(0, high, (n, 3, 4, 4), dtype=np.uint8)
        for n, high in ((50, 256), (5, 9), (7, 99))
    )
    train[:, 2] = 17  # a channel without contrast
    zeros = [np.zeros(n, "uint8") for n in (50, 5, 7)]
    splits = standardize(
        "noise", ("noise",), (train, zeros[0]), (held_out, zeros[1]), (test, zeros[2])
    )
    mean = train.astype("float64").mean(axis=(0, 2, 3), keepdims=True)
    std = train.astype("float64").std(axis=(0, 2, 3), keepdims=True)
    std[0, 2] = 1.0
    for part, pixels in ((splits.train, train), (splits.validation, held_out), (splits.test, test)):
        np.testing.assert_allclose(part.images, (pixels - mean) / std, rtol=1e-4, atol=1e-5)


def test_scaling_refuses_an_empty_training_part() -> None:
    none = np.zeros((0, 1, 2, 2), "uint8"), np.zeros(0, "uint8")
    with pytest.raises(ValueError, match="at least one training example, received none"):
        standardize("none", ("a",), none, none, none)


# ---- digits -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> Splits:
    return load_digits()


def test_digits_are_those_of_the_repository(digits: Splits) -> None:
    # examples per class of optdigits.tes, as optdigits.names gives them
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    parts = (digits.train, digits.validation, digits.test)
    assert [len(part) for part in parts] == [1257, 180, 360]
    labels = np.concatenate([part.labels for part in parts])
    assert np.bincount(labels).tolist() == counts
    for part, size in ((digits.test, 360), (digits.validation, 180)):
        shares = np.array(counts) * size / 1797
        assert np.abs(np.bincount(part.labels) - shares).max() < 2
    assert digits.train.images.shape[1:] == (1, 8, 8)


def test_digits_are_scaled_over_the_training_part(digits: Splits) -> None:
    values = digits.train.images.astype("float64")
    assert abs(values.mean()) < 1e-6
    assert abs(values.std() - 1) < 1e-6
    assert len(np.unique(values)) == 17


def test_digits_are_always_the_same(digits: Splits) -> None:
    again = load_digits()
    np.testing.assert_array_equal(digits.test.images, again.test.images)
    np.testing.assert_array_equal(digits.test.labels, again.test.labels)


def test_digits_equal_those_of_scikit_learn(digits: Splits) -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    theirs = sklearn.load_digits()
    # equal up to one affine map of the values
    ours = np.concatenate([part.images for part in (digits.train, digits.validation, digits.test)])
    low, high = ours.min(), ours.max()
    ours = np.rint((ours - low) / (high - low) * 16).astype(int).reshape(-1, 64)
    labels = np.concatenate([p.labels for p in (digits.train, digits.validation, digits.test)])
    assert sorted(map(tuple, np.c_[ours, labels])) == sorted(
        map(tuple, np.c_[theirs.data.astype(int), theirs.target])
    )


def test_the_digits_file_is_the_one_described() -> None:
    folder = Path(data.__file__).parent
    checksum = hashlib.sha256((folder / "digits.npz").read_bytes()).hexdigest()
    assert checksum in (folder / "DIGITS.md").read_text()


# ---- idx --------------------------------------------------------------------------------

TYPES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array: Any) -> bytes:
    """The bytes of an IDX file, after the description on the page of MNIST."""
    kind = TYPES[array.dtype.str[1:]]
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    values: bytes = array.astype(array.dtype.newbyteorder(">")).tobytes()
    return header + values


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["array", "array.gz"])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 3), (1, 1, 1, 1)])
def test_idx_files_give_back_their_array(
    tmp_path: Path, name: str, dtype: str, shape: tuple[int, ...]
) -> None:
    array = np.random.default_rng(0).integers(0, 127, shape).astype(dtype)
    found = read_idx(write(tmp_path / name, idx(array)))
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype
    assert found.dtype.isnative
    assert found.flags.writeable


WHOLE = idx(np.arange(12, dtype="uint8").reshape(3, 4))


@pytest.mark.parametrize("name", ["array", "array.gz"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected the magic number .*received nothing"),
        (WHOLE[:3], "expected the magic number .*received 00 00 08$"),
        (b"PK\3\4" + WHOLE[4:], "expected the magic number .*received 50 4b 03 04"),
        (b"\0\0\x0a\1" + WHOLE[4:], "expected the magic number .*received 00 00 0a 01"),
        (b"\0\0\x08\0" + WHOLE[4:], "expected 1 to 32 axes, received 0"),
        (b"\0\0\x08\xff" + WHOLE[4:], "expected 1 to 32 axes, received 255"),
        (WHOLE[:9], "expected 8 bytes of sizes, received 5"),
        (WHOLE[:-1], r"expected 12 bytes of values for the sizes \(3, 4\), received (11|a file)"),
        (WHOLE + b"\0", r"expected 12 bytes of values for the sizes \(3, 4\), received more"),
        (b"\0\0\x08\3" + b"\xff" * 12 + b"\0" * 9, "expected 79228162458924105385300197375 bytes"),
        (b"\0\0\x08\4" + b"\0" * 4 + b"\xff" * 12, r"expected 0 bytes of values for the sizes \(0"),
    ],
)
def test_malformed_idx_files_are_named_and_explained(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError, match=message) as error:
        read_idx(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: WHOLE,  # never compressed
        lambda packed: packed[:-6],  # the checksum is cut off
        lambda packed: packed[:15],
        lambda packed: packed[:-8] + b"\0\0\0\0" + packed[-4:],  # the checksum is wrong
        lambda packed: packed[:10] + b"\xff" * 8 + packed[18:],  # not deflated
        lambda packed: packed + b"garbage",
    ],
)
def test_damaged_gzip_files_are_named_and_explained(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "array.gz"
    path.write_bytes(damage(gzip.compress(WHOLE)))
    with pytest.raises(ValueError, match="expected a whole gzip file, received") as error:
        read_idx(path)
    assert str(error.value).startswith(str(path))


def test_a_gzip_bomb_is_read_no_further_than_its_header_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    read = gzip.GzipFile.read

    def watched(self: gzip.GzipFile, size: int | None = -1) -> bytes:
        asked.append(-1 if size is None else size)
        return read(self, size)

    path = write(tmp_path / "bomb.gz", WHOLE + b"\0" * 10_000_000)
    monkeypatch.setattr(gzip.GzipFile, "read", watched)
    with pytest.raises(ValueError, match=r"expected 12 bytes .*received more"):
        read_idx(path)
    assert asked == [4, 8, 13]


def test_a_small_gzip_file_cannot_promise_a_large_array(tmp_path: Path) -> None:
    path = write(tmp_path / "liar.gz", b"\0\0\x08\2" + struct.pack(">2I", 2**16, 2**16))
    with pytest.raises(ValueError, match=r"expected 4294967296 bytes .*holds at most"):
        read_idx(path)


def mnist_like(folder: Path, spelling: str = "-idx", suffix: str = ".gz", **changes: Any) -> Path:
    """The four files of an MNIST-like folder, some of their arrays replaced."""
    rng = np.random.default_rng(0)
    files = {
        "train-images-idx3-ubyte": rng.integers(0, 256, (40, 6, 5), dtype="uint8"),
        "train-labels-idx1-ubyte": np.arange(40, dtype="uint8") % 10,
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (20, 6, 5), dtype="uint8"),
        "t10k-labels-idx1-ubyte": np.arange(20, dtype="uint8") % 10,
    }
    for name, array in files.items():
        array = changes.get(name.partition("-idx")[0].replace("-", "_"), array)
        write(folder / (name.replace("-idx", spelling) + suffix), idx(array))
    return folder


@pytest.mark.parametrize("spelling", ["-idx", ".idx"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_idx_folder_becomes_splits(tmp_path: Path, spelling: str, suffix: str) -> None:
    splits = load_idx_folder(mnist_like(tmp_path, spelling, suffix), validation=10)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [30, 10, 20]
    assert splits.train.images.shape == (30, 1, 6, 5)
    assert np.bincount(splits.validation.labels).tolist() == [1] * 10
    assert splits.test.labels.tolist() == [*range(10)] * 2
    assert abs(splits.train.images.mean()) < 1e-5
    assert abs(splits.train.images.std() - 1) < 1e-5
    assert splits.train.name == "fashion-mnist"
    assert (splits.train.classes[0], splits.train.classes[9]) == ("T-shirt/top", "Ankle boot")


def test_the_classes_of_other_idx_folders_are_numbered(tmp_path: Path) -> None:
    splits = load_idx_folder(mnist_like(tmp_path), name="mnist", validation=0)
    assert splits.test.classes == tuple("0123456789")
    assert len(splits.validation) == 0


def test_missing_idx_files_are_named_with_a_place_to_get_them(tmp_path: Path) -> None:
    (mnist_like(tmp_path) / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError) as error:
        load_idx_folder(tmp_path)
    assert "t10k-labels-idx1-ubyte[.gz]" in str(error.value)
    assert "train-images" not in str(error.value)
    assert "dataset-fashion-mnist" in str(error.value)
    assert str(DEBIAN) in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": np.zeros(39, "u1")}, "train-labels.*expected 40 labels.*received 39"),
        (
            {"train_images": np.zeros((40, 30), "u1")},
            r"uint8 \(N, H, W\), received uint8 \(40, 30\)",
        ),
        ({"t10k_images": np.zeros((20, 6, 5), "f4")}, r"uint8 \(N, H, W\), received float32"),
        ({"t10k_images": np.zeros((20, 5, 6), "u1")}, "training and test images of one size"),
        ({"t10k_labels": np.full(20, 10, "u1")}, "labels from 0 to 9, received 10"),
    ],
)
def test_idx_files_that_do_not_fit_together_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load_idx_folder(mnist_like(tmp_path, **changes), validation=10)


def test_more_validation_than_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at most 40 examples in all, received 5000"):
        load_idx_folder(mnist_like(tmp_path))


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_fashion_mnist_as_debian_packs_it() -> None:
    splits = load_idx_folder(DEBIAN)
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [55000, 5000, 10000]
    assert splits.train.images.shape[1:] == (1, 28, 28)
    # the classes of Fashion-MNIST are equally large
    assert np.bincount(splits.train.labels).tolist() == [5500] * 10
    assert np.bincount(splits.test.labels).tolist() == [1000] * 10


# ---- cifar ------------------------------------------------------------------------------


@pytest.fixture
def cifar_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six files of 20 records; in image k all red is k, all green 2 k, all blue 255 - k."""
    monkeypatch.setattr(cifar, "RECORDS", 20)
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    for number, name in enumerate(names):
        records = []
        for k in range(20 * number, 20 * number + 20):
            planes = bytes([k]) * 1024 + bytes([2 * k]) * 1024 + bytes([255 - k]) * 1024
            records.append(bytes([k % 10]) + planes)
        (tmp_path / name).write_bytes(b"".join(records))
    return tmp_path


def test_cifar_records_are_a_label_and_three_planes(cifar_folder: Path) -> None:
    splits = load_cifar10(cifar_folder, validation=10)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [90, 10, 20]
    assert splits.test.images.shape == (20, 3, 32, 32)
    assert splits.test.labels.tolist() == [*range(10)] * 2
    assert np.bincount(splits.validation.labels).tolist() == [1] * 10
    assert splits.train.classes[3] == "cat"
    red, green, blue = np.moveaxis(splits.test.images, 1, 0)
    # red grows with the record, green alike, blue falls alike, as all are scaled to std 1
    assert (np.diff(red[:, 0, 0]) > 0).all()
    np.testing.assert_allclose(green, red, atol=1e-5)
    np.testing.assert_allclose(blue, -red, atol=1e-5)
    np.testing.assert_allclose(splits.train.images.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(splits.train.images.std(axis=(0, 2, 3)), 1, atol=1e-5)


@pytest.mark.parametrize("change", [-1, 1, -3073, 3073])
def test_a_cifar_file_of_the_wrong_size_is_refused(cifar_folder: Path, change: int) -> None:
    path = cifar_folder / "data_batch_3.bin"
    content = path.read_bytes()
    path.write_bytes(content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(
        ValueError, match=f"data_batch_3.bin: expected 61460 bytes .*received {61460 + change}"
    ):
        load_cifar10(cifar_folder, validation=10)


def test_a_cifar_label_above_nine_is_refused(cifar_folder: Path) -> None:
    path = cifar_folder / "test_batch.bin"
    content = bytearray(path.read_bytes())
    content[2 * 3073] = 10
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"test_batch.bin: .*0 to 9, received 10 in record 2"):
        load_cifar10(cifar_folder, validation=10)


def test_missing_cifar_files_are_named(cifar_folder: Path) -> None:
    (cifar_folder / "data_batch_2.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected data_batch_2\.bin, received") as error:
        load_cifar10(cifar_folder)
    assert "pickles" not in str(error.value)


def test_the_pickled_cifar_is_never_read(tmp_path: Path) -> None:
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(
        FileNotFoundError, match=r"pickles can run code .*binary version .*is needed"
    ):
        load_cifar10(tmp_path)


# ---- batches ----------------------------------------------------------------------------


def drawn(batches: Iterator[tuple[Any, Any]]) -> list[int]:
    return [n for images, _ in batches for n in numbers(images)]


@given(st.integers(0, 20), st.integers(1, 25), st.booleans())
def test_an_epoch_meets_every_example_once(examples: int, batch_size: int, shuffle: bool) -> None:
    dataset = numbered([n % 3 for n in range(examples)])
    batches = Batches(dataset, batch_size, shuffle=shuffle)
    found = list(batches.epoch(0))
    assert len(found) == len(batches) == math.ceil(examples / batch_size)
    sizes = [len(labels) for _, labels in found]
    assert all(size == batch_size for size in sizes[:-1])
    assert sorted(drawn(iter(found))) == list(range(examples))
    for images, labels in found:
        assert [n % 3 for n in numbers(images)] == labels.tolist()
        assert images.flags.c_contiguous
        assert labels.flags.c_contiguous
        assert (images.dtype, labels.dtype) == (np.float32, np.int64)
        assert not np.shares_memory(images, dataset.images)


@given(st.integers(1, 20), st.integers(1, 20))
def test_drop_last_leaves_whole_batches_only(examples: int, batch_size: int) -> None:
    dataset = numbered([0] * examples)
    if batch_size > examples:
        with pytest.raises(ValueError, match=f"at most {examples} .*received {batch_size}"):
            Batches(dataset, batch_size, drop_last=True)
        return
    batches = Batches(dataset, batch_size, drop_last=True)
    assert [len(labels) for _, labels in batches] == [batch_size] * (examples // batch_size)
    assert len(batches) == examples // batch_size


def test_order_follows_from_seed_and_epoch_alone() -> None:
    dataset = numbered([0] * 50)
    first, second = Batches(dataset, 8, seed=3), Batches(dataset, 8, seed=3)
    epochs = [drawn(first.epoch(k)) for k in range(3)]
    assert [drawn(iter(second)) for _ in range(3)] == epochs  # iterating counts the epochs
    assert drawn(second.epoch(1)) == epochs[1]
    assert drawn(iter(second)) == drawn(first.epoch(3))  # asking for an epoch does not
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert drawn(Batches(dataset, 8, seed=4).epoch(0)) not in epochs
    assert drawn(Batches(dataset, 5, seed=3).epoch(0)) == epochs[0]
    assert drawn(Batches(dataset, 8, shuffle=False).epoch(7)) == list(range(50))


def test_augmentation_is_repeatable_and_leaves_the_dataset_alone() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(20, 3, 6, 6)).astype("float32")
    dataset = Dataset(images.copy(), np.zeros(20, "int64"), ("a",), "noise")
    batches = Batches(dataset, 8, augment=Compose(Shift(2), Flip()))
    first = np.concatenate([x for x, _ in batches.epoch(0)])
    again = np.concatenate([x for x, _ in batches.epoch(0)])
    plain = np.concatenate([x for x, _ in Batches(dataset, 8).epoch(0)])
    np.testing.assert_array_equal(first, again)
    assert (first != plain).any()
    assert all(x.flags.c_contiguous for x, _ in batches.epoch(1))
    np.testing.assert_array_equal(dataset.images, images)


def test_an_augmentation_that_changes_shape_or_dtype_is_refused() -> None:
    for augment in (lambda x, rng: x[:, :, 1:], lambda x, rng: x.astype("float64")):
        with pytest.raises(ValueError, match=r"to keep float32 \(2, 1, 2, 2\), received"):
            next(Batches(numbered([0, 0]), 2, augment=augment).epoch(0))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"batch_size": 0}, ValueError),
        ({"batch_size": 2.0}, TypeError),
        ({"seed": -1}, ValueError),
        ({"seed": None}, TypeError),
        ({"augment": "flip"}, TypeError),
    ],
)
def test_batches_refuse_arguments_out_of_range(
    changes: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"expected .*, received"):
        Batches(numbered([0, 0]), **{"batch_size": 2, **changes})


def test_epochs_are_counted_from_zero() -> None:
    with pytest.raises(ValueError, match="an epoch of at least 0, received -1"):
        Batches(numbered([0, 0]), 2).epoch(-1)


# ---- augmentation -----------------------------------------------------------------------


def moved(image: Any, down: int, right: int) -> Any:
    """One plane moved by loops; what it leaves behind takes its smallest value."""
    height, width = image.shape
    out = np.full_like(image, image.min())
    for i in range(height):
        for j in range(width):
            if 0 <= i - down < height and 0 <= j - right < width:
                out[i, j] = image[i - down, j - right]
    return out


@given(
    st.tuples(st.integers(0, 4), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    st.integers(0, 3),
    st.integers(0, 1000),
)
def test_shift_moves_each_image_whole_and_at_most_so_far(
    shape: tuple[int, ...], pixels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    images = rng.permutation(math.prod(shape)).reshape(shape).astype("float32")
    found = Shift(pixels)(images, rng)
    ways = range(-pixels, pixels + 1)
    for image, result in zip(images, found, strict=True):
        # all channels of an image move together
        assert any(
            all((moved(c, i, j) == r).all() for c, r in zip(image, result, strict=True))
            for i in ways
            for j in ways
        )


def test_shift_reaches_every_distance_about_equally_often() -> None:
    images = np.zeros((2500, 1, 5, 5), "float32")
    images[:, :, 2, 2] = 1
    counts = Shift(2)(images, np.random.default_rng(0)).sum(axis=(0, 1))
    assert counts.sum() == 2500  # the bright pixel never leaves
    assert (np.abs(counts - 100) < 50).all()  # five standard deviations


def test_flip_mirrors_about_half_of_the_images() -> None:
    images = np.arange(1000 * 6, dtype="float32").reshape(1000, 1, 2, 3)
    found = Flip()(images, np.random.default_rng(0))
    mirrored = (found == images[:, :, :, ::-1]).all(axis=(1, 2, 3))
    same = (found == images).all(axis=(1, 2, 3))
    assert (mirrored ^ same).all()
    assert abs(int(mirrored.sum()) - 500) < 80  # five standard deviations


@pytest.mark.parametrize(
    "transform", [Shift(0), Shift(2), Flip(), Compose(Shift(1), Flip())], ids=repr
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_transforms_return_new_arrays_of_the_same_kind(transform: Any, dtype: str) -> None:
    images = np.random.default_rng(0).integers(0, 99, (8, 3, 5, 4)).astype(dtype)
    images.setflags(write=False)
    before = images.copy()
    first, again = (transform(images, np.random.default_rng(7)) for _ in range(2))
    assert (first.shape, first.dtype) == (images.shape, images.dtype)
    assert not np.shares_memory(first, images)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(first, again)


def test_compose_applies_its_transforms_in_order() -> None:
    both = Compose(lambda x, rng: x + 1, lambda x, rng: x * 10)
    assert both(np.ones(1), np.random.default_rng(0)) == 20
    assert Compose(Shift(1), Flip()) == Compose(Shift(1), Flip())


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Shift(-1), ValueError),
        (lambda: Shift(0.5), TypeError),  # type: ignore[arg-type]
        (lambda: Compose(), TypeError),
        (lambda: Compose(Flip(), None), TypeError),  # type: ignore[arg-type]
        (lambda: Shift(1)(np.zeros((2, 3)), np.random.default_rng(0)), ValueError),
        (lambda: Flip()(np.zeros((2, 3)), np.random.default_rng(0)), ValueError),
    ],
)
def test_transforms_refuse_arguments_out_of_range(
    make: Callable[[], Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"expected .*, received"):
        make()
