from __future__ import annotations

import pytest

from tests.databases import Database
from tests.tt.shop import Shop


@pytest.fixture
def shop(database: Database) -> Shop:
    """
    A shop on each of the databases in turn.
    """
    return Shop(database)
