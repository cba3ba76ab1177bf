"""Which arrays of another's weights fit a network, by name, and what does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from graphnet.weights.files import WeightsError
from graphnet.weights.stored import Source, Stored, open_stored
from ops.operator import Spec, show

__all__ = ["WeightsReport", "match_weights", "pytorch_names"]

#: How PyTorch calls the learned arrays of its normalizations.
PYTORCH = {"gamma": "weight", "beta": "bias"}

#: An array that PyTorch's batch normalization has beside these, and ours does without.
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class WeightsReport:
    """What became of the arrays of another's weights.

    Attributes:
        loaded: the names in the network of those that fit.
        missing: what the network expects and the source lacks.
        extra: what the source has and the network does not know, by the source's names.
        misshapen: what is there in another shape, or in a dtype that is not converted: expected
            and received.
    """

    loaded: tuple[str, ...]
    missing: Mapping[str, str]
    extra: Mapping[str, str]
    misshapen: Mapping[str, tuple[str, str]]

    @property
    def fits(self) -> bool:
        """Whether nothing is missing, extra or misshapen."""
        return not (self.missing or self.extra or self.misshapen)

    def __str__(self) -> str:
        lines = [f"loaded {len(self.loaded)} arrays"]
        lines += [f"missing {name} {spec}" for name, spec in self.missing.items()]
        lines += [f"extra {name} {spec}" for name, spec in self.extra.items()]
        lines += [
            f"{name}: expected {expected}, received {received}"
            for name, (expected, received) in self.misshapen.items()
        ]
        return "\n  ".join(lines)


def match_weights(
    source: Source,
    expected: Mapping[str, Spec],
    *,
    optional: Iterable[str] = (),
    rename: Mapping[str, str | None] | None = None,
) -> tuple[dict[str, np.ndarray], WeightsReport]:
    """The arrays of a source that fit what is ``expected``, and a report.

    Floating arrays are rounded to the floating dtype that is expected, integers converted to the
    integer one; nothing else is.

    Args:
        source: a safetensors or ``.npz`` file, or a mapping from names to arrays.
        expected: shapes and dtypes by name.
        optional: names among them that are not missing where they are not there.
        rename: from the source's names to those expected; None for one to leave out. Other names
            stay as they are.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: the source is damaged, or two of its names become one.
    """
    rename = rename or {}
    found: dict[str, np.ndarray] = {}
    extra: dict[str, str] = {}
    misshapen: dict[str, tuple[str, str]] = {}
    origin: dict[str, str] = {}
    with open_stored(source) as stored:
        for theirs, array in stored.items():
            name = rename.get(theirs, theirs)
            if name is None:
                continue
            if name in origin:
                raise WeightsError(f"both {origin[name]!r} and {theirs!r} are to be {name!r}")
            origin[name] = theirs
            if name not in expected:
                extra[theirs] = str(array)
            elif array.shape != expected[name].shape or not _converts(array, expected[name]):
                misshapen[name] = (show(expected[name]), str(array))
            else:
                found[name] = _converted(name, array, expected[name])
    allowed = set(optional)
    missing = {
        name: show(spec)
        for name, spec in expected.items()
        if name not in origin and name not in allowed
    }
    return found, WeightsReport(tuple(found), missing, extra, misshapen)


def pytorch_names(names: Iterable[str]) -> dict[str, str | None]:
    """How PyTorch calls what it names otherwise: a ``rename`` for its state dicts.

    Its normalizations have ``weight`` and ``bias`` where ours have ``gamma`` and ``beta``; the
    counter that batch normalization has beside them is left out.

    >>> pytorch_names(["conv1.weight", "bn1.gamma", "bn1.beta", "bn1.running_mean"])
    {'bn1.weight': 'bn1.gamma', 'bn1.num_batches_tracked': None, 'bn1.bias': 'bn1.beta'}
    """
    found: dict[str, str | None] = {}
    for name in names:
        owner, _, role = name.rpartition(".")
        if role in PYTORCH:
            found[f"{owner}.{PYTORCH[role]}"] = name
        if role == "gamma":
            found[f"{owner}.{COUNTER}"] = None
    return found


def _converts(array: Stored, spec: Spec) -> bool:
    kinds = {"bfloat16": "f"}
    kind = kinds.get(array.dtype)
    if kind is None:
        try:
            kind = np.dtype(array.dtype).kind
        except TypeError:  # a dtype that NumPy lacks
            return False
    wanted = np.dtype(spec.dtype).kind
    return kind == wanted or (kind in "iu" and wanted in "iu")


def _converted(name: str, stored: Stored, spec: Spec) -> np.ndarray:
    array = stored.read()
    with np.errstate(over="ignore"):
        converted = array.astype(spec.dtype)
    # no float32 is 1e300, and no int32 is 2**40; a float that is merely rounded is meant
    lost = np.isinf(converted) & ~np.isinf(array) if spec.is_floating else converted != array
    if lost.any():
        raise WeightsError(f"{name}: {array[lost][0]} is beyond the range of {spec.dtype}")
    return converted
