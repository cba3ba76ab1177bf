"""Regions against loops over bins, points and the four entries about each."""

from __future__ import annotations

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.deformable import between
from graphnet.testing.strategies import random_array, seeds
from ops.roi_align import RoIAlign


@st.composite
def cases(draw):
    """No point lies next to an entry, where slopes jump; that costs a case in ten."""
    batch, channels, count = (draw(st.sampled_from((1, 2))) for _ in range(3))
    count = draw(st.sampled_from((count, count, count, 0)))
    size = draw(st.sampled_from((2, 1, (2, 1), (1, 3))))
    scale = draw(st.sampled_from((1.0, 0.5)))
    operator = RoIAlign(size, draw(st.sampled_from((2, 1, 3))), scale, draw(st.booleans()))
    image, seed = draw(st.sampled_from(((4, 4), (3, 5), (1, 4)))), draw(seeds)
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-2, 4, (count, 2))
    # boxes of less than 1 and of more, of which the larger ones reach over the image
    lengths = rng.choice((0.4, 2.3, 4.7), (count, 2)) * rng.uniform(0.8, 1.2, (count, 2))
    boxes = np.concatenate([corner, corner + lengths], axis=1) / scale
    for row, column in points(operator, boxes):
        assume(min(abs(v - round(v)) for v in (row, column)) > 1e-3)
    x = random_array((batch, channels, *image), seed)
    return Case(operator, (x, boxes, rng.integers(0, batch, count)), seed)


def points(operator, boxes):
    """Row and column of every point, box after box and bin after bin."""
    high, wide = operator.size if isinstance(operator.size, tuple) else (operator.size,) * 2
    s = operator.samples
    for box in boxes.tolist():
        left, top, right, bottom = (v * operator.scale - 0.5 * operator.aligned for v in box)
        height, width = bottom - top, right - left
        if not operator.aligned:
            height, width = max(height, 1.0), max(width, 1.0)
        for i, j, k, m in np.ndindex(high, wide, s, s):
            row = top + (i + (k + 0.5) / s) * height / high
            yield row, left + (j + (m + 0.5) / s) * width / wide


def roi_align(operator, x, boxes, examples):
    high, wide = operator.size if isinstance(operator.size, tuple) else (operator.size,) * 2
    y = np.zeros((len(boxes), x.shape[1], high, wide))
    rows, columns = x.shape[2:]
    found = points(operator, boxes)
    for r, i, j in np.ndindex(len(boxes), high, wide):
        for _ in range(operator.samples**2):
            row, column = next(found)
            if not (-1 <= row <= rows and -1 <= column <= columns):
                continue
            row, column = min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)
            for c in range(x.shape[1]):
                seen = between(x[int(examples[r]), c], row, column)
                y[r, c, i, j] += seen / operator.samples**2
    return y


RECORDS = [Record(RoIAlign, cases(), roi_align, linear=("x",))]
