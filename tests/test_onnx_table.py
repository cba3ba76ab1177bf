"""The table of ONNX operators, and the page that lists it."""

from __future__ import annotations

import pytest

onnx = pytest.importorskip("onnx")

from docs import onnx_operators  # noqa: E402
from graphnet.onnx.rules import READERS, TABLE, WRITERS  # noqa: E402


def test_the_page_lists_what_the_table_has():
    page = onnx_operators.TARGET.read_text(encoding="utf-8")
    assert onnx_operators.page(page) == page, "run python -m docs.onnx_operators"


def test_an_operator_has_one_way_to_be_read():
    ways = {}
    for rule in TABLE:
        if rule.read is not None:
            ways.setdefault((rule.domain, rule.name), set()).add(rule.read)
    assert {name: found for name, found in ways.items() if len(found) > 1} == {}
    assert set(ways) == set(READERS)


def test_an_operator_of_ours_is_written_in_one_way():
    written = [rule.operator for rule in TABLE if rule.write is not None]
    assert sorted(map(str, written)) == sorted(map(str, WRITERS))


@pytest.mark.parametrize("rule", TABLE, ids=lambda rule: rule.name)
def test_a_rule_names_an_operator_of_the_standard_or_one_of_ours(rule):
    assert (rule.operator is None) == (rule.write is None)
    if rule.read is not None:
        assert onnx.defs.has(rule.name, rule.domain)
    else:
        assert rule.operator.__name__ == rule.name
