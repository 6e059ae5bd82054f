from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.databases import NAMES, Database, open_database

# a busy machine is no failure
hypothesis.settings.register_profile("crossapp", deadline=None)
hypothesis.settings.load_profile("crossapp")


@pytest.fixture(params=NAMES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """
    An empty database with all tables, on each server in turn.
    """
    with open_database(request.param, tmp_path) as database:
        yield database
