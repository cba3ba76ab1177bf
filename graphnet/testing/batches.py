"""Shapes whose first axis, the batch, is empty now and then, and pairs of shapes that broadcast.

Hypothesis draws the ends of a range of integers often.  An empty or scalar array puts an
operator through little, so these are drawn from lists instead, in which they are rare.
"""

from __future__ import annotations

from hypothesis import strategies as st

#: The number of examples; an empty batch comes last, so that failures shrink to one example.
batch_sizes = st.sampled_from((1, 2, 3, 1, 2, 3, 1, 2, 3, 0))
sizes = st.sampled_from((1, 2, 3, 4))


@st.composite
def batched(draw, min_rank: int = 1, max_rank: int = 4):
    """A batch ahead of axes of 1 to 4; a scalar is as rare as an empty batch."""
    ranks = range(max(min_rank, 1), max_rank + 1)
    rank = draw(st.sampled_from([*ranks] * 3 + [min_rank]))
    return (draw(batch_sizes), *(draw(sizes) for _ in range(rank - 1))) if rank else ()


@st.composite
def broadcastable(draw, max_rank: int = 4):
    """Two shapes of any rank that broadcast to one, in which either may be stretched."""
    out = draw(batched(min_rank=0, max_rank=max_rank))

    def narrowed():
        shape = tuple(draw(st.sampled_from((n, 1))) for n in out)
        return shape[draw(st.sampled_from(range(len(shape) + 1))) :]

    narrow = narrowed()
    return draw(st.sampled_from([(out, narrow), (narrow, out), (narrowed(), narrow)]))
