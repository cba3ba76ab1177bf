"""What arguments of the command line may be, each refused with a sentence."""

from __future__ import annotations

import argparse

__all__ = ["number", "positive_integer", "positive_number", "seed_number"]


def number(text: str) -> float:
    """An argument that is a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, received {text!r}") from None


def seed_number(text: str) -> int:
    """An argument that is an integer of at least 0."""
    value = _integer(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected at least 0, received {text}")
    return value


def positive_integer(text: str) -> int:
    """An argument that is an integer of at least 1."""
    value = _integer(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, received {text}")
    return value


def positive_number(text: str) -> float:
    """An argument that is a finite number above 0."""
    value = number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, received {text}")
    return value


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected an integer, received {text!r}") from None
