from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import Database, open_database
from tests.races.stacks import STACKS, Stack


@pytest.fixture(params=STACKS, ids=str)
def stack(request: pytest.FixtureRequest) -> Stack:
    """
    Each driver and isolation level in turn.
    """
    assert isinstance(request.param, Stack)
    return request.param


@pytest.fixture
def database(stack: Stack, tmp_path: Path) -> Iterator[Database]:
    """
    An empty database with all tables, of the kind that the stack is for.
    """
    with open_database(stack.driver.database, tmp_path) as database:
        yield database
