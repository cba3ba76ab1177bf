"""What the pictures of a graph write on its nodes."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any

__all__ = ["KINDS", "lines_of", "plain"]

KINDS = ("input", "operator", "output")

#: Everything that XML 1.0 forbids, with or without escaping.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f]")


def lines_of(node: Hashable, attributes: Mapping[str, Any]) -> tuple[list[str], str]:
    """The lines on a node, its name when it has none, and its kind.

    Raises:
        ValueError: the kind is none of :data:`KINDS`.

    >>> lines_of("conv_1", {"label": ["conv_1", "Conv"]})
    (['conv_1', 'Conv'], 'operator')
    """
    kind = attributes.get("kind", "operator")
    if kind not in KINDS:
        raise ValueError(f"node {node!r}: expected kind {', '.join(KINDS)}, received {kind!r}")
    label = attributes.get("label", [node])
    lines = [label] if isinstance(label, str) else label
    return [plain(line) for line in lines], kind


def plain(text: object) -> str:
    """The text on one line, with a replacement mark for what no document may hold.

    >>> plain("a\\nb\\x00")
    'a b�'
    """
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", re.sub(r"[\t\n\r]", " ", str(text)))
