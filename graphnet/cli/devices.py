"""``graphnet devices``: which backends and kernels work here."""

from __future__ import annotations

import argparse
from typing import Any

from graphnet.backends import status
from graphnet.draw import render_table
from graphnet.kernels import PROVIDERS

__all__ = ["add_devices"]


def add_devices(commands: Any) -> None:
    """Add ``graphnet devices`` to the commands."""
    devices = commands.add_parser("devices", help="which backends and kernels work here")
    devices.set_defaults(run=_devices)


def _devices(options: argparse.Namespace) -> int:
    rows = [("backend", name, "yes" if works else "no", text) for name, works, text in status()]
    for name, provider in PROVIDERS.items():
        works, text = provider.status()
        details = f"{provider.summary}; {text}" if text else provider.summary
        rows.append(("kernels", name, "yes" if works else "no", details))
    print(render_table(("what", "name", "works", "details"), rows, title="backends and kernels"))
    return 0
