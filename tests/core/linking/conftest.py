from __future__ import annotations

import pytest

from tests.core.linking.side import ADA, EVE, Member, Side
from tests.databases import Database


@pytest.fixture
def side(database: Database) -> Side:
    """
    An app with two members, on each of the databases in turn.
    """
    made = Side(database)
    made.add(
        Member(id=ADA, email="Ada@Example.com ", email_verified=True, name="Ada"),
        Member(id=EVE, email="eve@example.com", name="Eve"),
    )
    return made
