"""The operator reference is complete, and what the docstrings say now."""

from __future__ import annotations

import re

import pytest

from docs import operator_reference
from graphnet.testing.records import RECORDS

PAGE = operator_reference.TARGET.read_text(encoding="utf-8")


def test_the_page_is_what_the_docstrings_say():
    assert operator_reference.reference() == PAGE, "run python -m docs.operator_reference"


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.operator.__name__)
def test_every_operator_has_an_entry_with_formula_shapes_source_and_example(record):
    name = record.operator.__name__
    found = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no entry"
    entry = found[1]
    assert "**Shapes**" in entry
    assert re.search(r"^Source: \S", entry, re.MULTILINE)
    assert ">>> " in entry
