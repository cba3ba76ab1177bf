"""``python -m tests.fuzz``: damage so many files, and report those that are read as none may be."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.damage import damaged
from tests.fuzz.seeds import corpus, standard_cases
from tests.fuzz.target import FindingError, read


def main() -> int:
    """Read damaged files; returns 1 if one is read as none may be."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=1000, help="default 1000")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/fuzz"), help="folder for the files that are found"
    )
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    seeds, rng = [*corpus(), *standard_cases()], random.Random(options.seed)
    present = options.out / "present.onnx"  # what is there after a crash or a hang is the reason
    ends: Counter[str] = Counter()
    slowest = 0.0
    start = time.perf_counter()
    for number in range(options.files):
        data = damaged(rng.choice(seeds), seeds, rng)
        present.write_bytes(data)
        begin = time.process_time()
        try:
            ends["graph" if read(data) else "error"] += 1
        except FindingError as finding:
            ends["finding"] += 1
            (options.out / f"{options.seed}_{number}.onnx").write_bytes(data)
            print(f"file {number}: {finding}", flush=True)
        slowest = max(slowest, time.process_time() - begin)
    present.unlink()
    counts = ", ".join(f"{count:,} {end}s" for end, count in sorted(ends.items()))
    seconds = time.perf_counter() - start
    print(f"{options.files:,} files in {seconds:.0f} s: {counts}; the slowest took {slowest:.2f} s")
    return 1 if ends["finding"] else 0


sys.exit(main())
