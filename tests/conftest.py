from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.authorities import trust_one
from tests.databases import NAMES, Database, open_database

trust_one()

# a busy machine is no failure; in CI the examples are the same each time, as hypothesis' own profile for it has them
usual = hypothesis.settings.get_profile("ci" if os.environ.get("CI") else "default")
hypothesis.settings.register_profile("crossapp", usual, deadline=None)
hypothesis.settings.load_profile("crossapp")


HERE = Path(__file__).parent
UNTRACED = ("benchmarks", "browser", "crashes", "docs", "examples", "packaging", "races", "repo", "typing")
"""What does the same many times, or runs other programs: it reaches no line of its own, and tracing takes time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Leave out of the coverage what takes long and shows none.
    """
    for item in items:
        if item.path.is_relative_to(HERE) and item.path.relative_to(HERE).parts[0] in UNTRACED:
            item.add_marker(pytest.mark.no_cover)


def pytest_collection_finish() -> None:
    """
    Keep what is there to the end, as the tests themselves, from being looked at by each collection of garbage.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(params=NAMES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """
    An empty database with all tables, on each server in turn.
    """
    with open_database(request.param, tmp_path) as database:
        yield database
