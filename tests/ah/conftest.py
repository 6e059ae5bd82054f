from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from crossapp_core.testing import LocalInngest
from tests.ah.school import COURSE, School, school
from tests.ah.served import ServedSchool
from tests.databases import Database, open_database
from tests.hosts import SchoolProduct


@pytest.fixture(name="school")
def a_school(database: Database) -> School:
    """
    A school on each of the databases in turn.
    """
    return school(database)


@pytest.fixture
def local() -> Iterator[LocalInngest]:
    """
    Environments that are gone after the test.
    """
    with LocalInngest() as local:
        yield local


@pytest.fixture
async def served(local: LocalInngest, tmp_path: Path) -> AsyncIterator[ServedSchool]:
    """
    A school that is served to its Inngest, on SQLite.
    """
    with open_database("sqlite", tmp_path) as database:
        school = await _open(local, database)
        yield school
        await school.close()


@pytest.fixture
async def anywhere(local: LocalInngest, database: Database) -> AsyncIterator[ServedSchool]:
    """
    A school that is served to its Inngest, on each of the databases in turn.
    """
    school = await _open(local, database)
    yield school
    await school.close()


async def _open(local: LocalInngest, database: Database) -> ServedSchool:
    school = ServedSchool(local, database)
    school.add(SchoolProduct(id=COURSE))
    await school.open()
    return school
