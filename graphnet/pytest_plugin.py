"""A pytest plugin: a test of an operator of yours is one line.

    def test_scale_keeps_its_promises(check_operator):
        check_operator(Scale(3.0))

``pytest --operator-examples 2000 --operator-seed 7`` sets how many cases are drawn, and how.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

__all__ = ["check_operator", "pytest_addoption"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that the fixture reads."""
    group = parser.getgroup("graphnet", "proof of operators")
    group.addoption(
        "--operator-examples",
        type=int,
        default=50,
        help="cases that the fixture check_operator draws (default: 50)",
    )
    group.addoption(
        "--operator-seed", type=int, default=0, help="makes its draws repeat (default: 0)"
    )


@pytest.fixture
def check_operator(pytestconfig: pytest.Config) -> Callable[..., None]:
    """:func:`graphnet.testing.check_operator`, with the numbers of the command line."""
    from graphnet.testing import check_operator  # needs Hypothesis, which only a test of it does

    return functools.partial(
        check_operator,
        max_examples=pytestconfig.getoption("operator_examples"),
        seed=pytestconfig.getoption("operator_seed"),
    )
