"""Labelled images: where they come from and how they reach a network.

- ``dataset``: images with their labels, and stratified splits.
- ``digits``: 1,797 handwritten digits that come with the package.
- ``idx``: files of MNIST and Fashion-MNIST.
- ``cifar``: the binary files of CIFAR-10.
- ``folder``: a folder of images for each class.
- ``pixels``: scaling to mean 0 and standard deviation 1.
- ``batches``: seeded mini-batches, epoch by epoch.
- ``augment``: random changes of training images.
- ``pixel_batches``: images kept as bytes where a network computes, cropped and mirrored there.
"""

from graphnet.data.augment import Compose, Flip, Shift
from graphnet.data.batches import Batches
from graphnet.data.cifar import load_cifar10, read_cifar10
from graphnet.data.dataset import Dataset, Splits
from graphnet.data.digits import load_digits
from graphnet.data.folder import load_image_folder
from graphnet.data.idx import load_idx_folder, read_idx
from graphnet.data.pixel_batches import PixelBatches

__all__ = [
    "Batches",
    "Compose",
    "Dataset",
    "Flip",
    "PixelBatches",
    "Shift",
    "Splits",
    "load_cifar10",
    "load_digits",
    "load_idx_folder",
    "load_image_folder",
    "read_cifar10",
    "read_idx",
]
