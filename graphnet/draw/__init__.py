"""Pictures and tables of graphs and runs: plain data in, text or a file out."""

from __future__ import annotations

from graphnet.draw.curves import save_curves
from graphnet.draw.dot import to_dot
from graphnet.draw.svg import draw_svg
from graphnet.draw.table import human, render_table

__all__ = ["draw_svg", "human", "render_table", "save_curves", "to_dot"]
