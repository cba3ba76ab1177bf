"""Build a wheel, install it in an empty environment, and train there.

Run by ``make test``: what works in a checkout can still be missing from the package.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]

TRAIN = """
import sys
import graphnet, ops
assert "site-packages" in graphnet.__file__ and "site-packages" in ops.__file__, graphnet.__file__
from graphnet.cli import main
sys.exit(main(["train", "digits", "--epochs", "2", "--out", "run"]))
"""


def main() -> None:
    """Raise where a step fails."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, str(ROOT)], check=True)
        (wheel,) = place.glob("*.whl")
        venv.create(place / "venv", with_pip=True)
        scripts = place / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
        python = scripts / "python"
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel],
            check=True,
        )
        # from another folder and without the user's own packages, so that only the wheel is found
        trained = subprocess.run(
            [python, "-I", "-c", TRAIN], cwd=place, check=True, capture_output=True, text=True
        )
        last = trained.stdout.splitlines()[-1]
        accuracy = float(last.removeprefix("test accuracy "))
        if not accuracy > 0.9:
            raise SystemExit(f"the installed wheel trains to {last!r}, expected above 0.9")
        files = sorted(path.name for path in (place / "run").iterdir())
        wanted = ["graph.svg", "history.csv", "weights.safetensors"]
        if files != wanted:  # no curves.png: matplotlib is not installed there
            raise SystemExit(f"the run folder holds {files}, expected {wanted}")
        print(f"{wheel.name}: installed, imported, trained for 2 epochs, {last}")


if __name__ == "__main__":
    main()
