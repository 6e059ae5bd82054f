"""
A user's tests of the shop with an async engine, under whichever plugin runs them.
"""

from os import environ

import pytest
from sqlmodel import SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from crossapp_core.testing import Kit
from crossapp_tt.models import CrossAppSync
from tests.kit.projects.async_shop import app, bridge, engine
from tests.kit.projects.tables import Purchase, bundle

pytestmark = getattr(pytest.mark, environ["RUNNER"])


@pytest.fixture
def anyio_backend() -> str:
    """
    The only event loop that SQLAlchemy knows.
    """
    return "asyncio"


async def sell() -> str:
    """
    Sell the bundle.
    """
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add_all([bundle(), Purchase(id="p1", email="ada@example.com", product_id="bundle")])
        await session.commit()
    return "p1"


@pytest.mark.parametrize("turn", [1, 2])
async def test_bundle_opens_the_course(crossapp: Kit, turn: int) -> None:
    """
    A sale reaches the school, and its answer the ledger; in a second event loop too.
    """
    shop = crossapp.app(app, bridge)
    school = crossapp.peer("ai-hero")

    shop.emit("purchase/created", {"purchaseId": await sell()})
    await crossapp.asettle()

    assert [row.status for row in school.entitlements] == ["pending"]
    async with AsyncSession(engine) as session:
        assert (await session.exec(select(CrossAppSync))).one().status == "synced"
    await engine.dispose()
