"""Images kept as bytes: the same batches on NumPy and on the card, and what is done to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphnet.data import Batches, Dataset, PixelBatches, read_cifar10
from graphnet.data.pixels import statistics
from tests.cards import CountingCupy, cupy_works
from tests.emulator import EmulatedBackend

same_card = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(params=["emulated", pytest.param("cupy", marks=pytest.mark.gpu)])
def card(request):
    """The backend of the card, emulated or real."""
    if request.param == "emulated":
        request.getfixturevalue("emulated")
        return EmulatedBackend()
    if not cupy_works():
        pytest.skip("no CUDA device")
    return CountingCupy()


def drawn(examples, channels, height, width, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (examples, channels, height, width), dtype="uint8")
    return images, rng.integers(0, 10, examples).astype("uint8")


@given(
    shape=st.tuples(*[st.integers(1, n) for n in (9, 3, 7, 8)]),
    batch_size=st.integers(1, 5),
    padding=st.integers(0, 4),
    flip=st.booleans(),
    shuffle=st.booleans(),
    seed=st.sampled_from((0, 1, 2**40 + 3, 2**63 - 1)),
    epoch=st.sampled_from((0, 1, 2**31 - 1)),
    dtype=st.sampled_from(("float32", "float16")),
)
@same_card
def test_the_card_gives_what_the_host_gives_bit_for_bit(
    card, shape, batch_size, padding, flip, shuffle, seed, epoch, dtype
):
    options = {
        "padding": padding, "flip": flip, "shuffle": shuffle, "seed": seed, "dtype": dtype,
    }  # fmt: skip
    pixels = drawn(*shape)
    there = PixelBatches(pixels, batch_size, card, **options)
    here = PixelBatches(pixels, batch_size, **options)
    assert len(there) == len(here) == -(-shape[0] // batch_size)
    pairs = list(zip(there.epoch(epoch), here.epoch(epoch), strict=True))
    assert len(pairs) == len(here)
    for found, wanted in pairs:
        for array, right in zip(found, wanted, strict=True):
            host = card.to_host(array)
            assert host.dtype == right.dtype
            np.testing.assert_array_equal(host, right)


def test_an_epoch_moves_nothing_over_but_its_order(card):
    batches = PixelBatches(drawn(20, 3, 8, 8), 4, card, padding=2, flip=True)
    before = card.transfers.to_device
    for _ in batches:
        pass
    assert card.transfers.to_device == before + 1
    assert card.transfers.to_host == 0


def test_without_changes_batches_are_those_of_a_standardized_dataset():
    images, labels = drawn(30, 3, 5, 6)
    mean, std = statistics(images)
    values = (images.astype("float32") - mean) / std
    dataset = Dataset(values, labels.astype("int64"), tuple("0123456789"), "noise")
    wanted = Batches(dataset, 7, seed=5)
    for epoch in range(2):
        batches = PixelBatches((images, labels), 7, seed=5)
        pairs = zip(batches.epoch(epoch), wanted.epoch(epoch), strict=True)
        for (x, y), (right, label) in pairs:
            np.testing.assert_array_equal(x, right)
            np.testing.assert_array_equal(y, label)


def test_each_image_is_cut_from_its_padding_and_half_are_mirrored():
    examples, border = 4000, 2
    # each pixel tells its place; 0 and 1 as scales leave the bytes as they are
    images = np.arange(1, 13, dtype="uint8").reshape(1, 1, 3, 4).repeat(examples, 0)
    batches = PixelBatches(
        (images, np.zeros(examples, "int64")), examples, padding=border, flip=True,
        mean=[0], std=[1],
    )  # fmt: skip
    (x, _) = next(iter(batches))
    padded = np.pad(images[0, 0].astype("float32"), border)
    counts = {}
    for image in x[:, 0]:
        found = [
            (down, right, mirrored)
            for down in range(2 * border + 1)
            for right in range(2 * border + 1)
            for mirrored in (False, True)
            if (
                image[:, :: -1 if mirrored else 1] == padded[down : down + 3, right : right + 4]
            ).all()
        ]
        assert len(found) == 1, image
        counts[found[0]] = counts.get(found[0], 0) + 1
    assert len(counts) == 50
    # 80 each, of which 5 standard deviations are 45
    assert all(35 < count < 125 for count in counts.values()), counts


def test_epochs_follow_each_other_and_differ():
    batches = PixelBatches(drawn(6, 1, 4, 4), 6, padding=1)
    first, second = (next(iter(batches))[0] for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, next(batches.epoch(0))[0])
    np.testing.assert_array_equal(second, next(batches.epoch(1))[0])


def test_drop_last_leaves_whole_batches_only():
    batches = PixelBatches(drawn(7, 1, 2, 2), 3, drop_last=True)
    assert [len(labels) for _, labels in batches] == [3, 3] and len(batches) == 2


def test_on_the_strict_backend_batches_are_its_arrays():
    batches = PixelBatches(drawn(5, 1, 3, 3), 2, "strict", padding=1)
    for images, labels in batches:
        assert batches.backend.owns(images) and batches.backend.owns(labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "a batch_size of at least 1"),
        ({"padding": -1}, "a padding of at least 0"),
        ({"seed": 2**63}, "a seed of at most"),
        ({"dtype": "float64"}, "float32 or float16, received 'float64'"),
        ({"batch_size": 9, "drop_last": True}, "a batch_size of at most 4"),
        ({"mean": [0.0, 1.0]}, "expected mean for 1 channels"),
        ({"std": [0.0]}, "expected positive std for 1 channels"),
        ({"pixels": (np.zeros((4, 1, 2, 2)), np.zeros(4, int))}, "uint8 .N, C, H, W."),
        ({"pixels": (np.zeros((4, 1, 2, 2), "uint8"), np.zeros(3, int))}, "one for each of 4"),
        ({"pixels": (np.zeros((4, 1, 2, 2), "uint8"), np.zeros(4))}, "integer labels"),
    ],
)
def test_arguments_out_of_range_are_refused(change, message):
    options = {"pixels": drawn(4, 1, 2, 2), "batch_size": 2, **change}
    with pytest.raises(ValueError, match=message):
        PixelBatches(**options)


@pytest.mark.parametrize("number", [-1, 2**31])
def test_an_epoch_out_of_range_is_refused(number):
    with pytest.raises(ValueError, match="expected an epoch"):
        PixelBatches(drawn(4, 1, 2, 2), 2).epoch(number)


def test_the_bytes_of_cifar_are_those_that_are_scaled(tmp_path):
    rng = np.random.default_rng(0)
    records = rng.integers(0, 256, (10_000, 3073), dtype="uint8")
    records[:, 0] %= 10
    for number in range(1, 6):
        records.tofile(tmp_path / f"data_batch_{number}.bin")
    records.tofile(tmp_path / "test_batch.bin")
    (images, labels), (test, _) = read_cifar10(tmp_path)
    assert images.shape == (50_000, 3, 32, 32) and test.shape == (10_000, 3, 32, 32)
    np.testing.assert_array_equal(images[0].ravel(), records[0, 1:])
    assert labels[0] == records[0, 0]
