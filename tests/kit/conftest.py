from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import open_database
from tests.kit.deployed import School, Shop, open_school, open_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """
    A seller, made for production.
    """
    with open_database("sqlite", tmp_path, "shop") as database:
        yield open_shop(database)


@pytest.fixture
def school(tmp_path: Path) -> Iterator[School]:
    """
    A granter, made for production.
    """
    with open_database("sqlite", tmp_path, "school") as database:
        yield open_school(database)
