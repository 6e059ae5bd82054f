"""
A user's tests of the shop with a sync engine.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from os import environ
from typing import Any

import pytest
from sqlmodel import Session, SQLModel, select

import crossapp_tt.models as tables
from crossapp_core.testing import Kit
from tests.kit.projects.tables import Purchase, bundle

shop: Any = import_module(f"tests.kit.projects.{environ['SHOP']}")
PATH = "/hooks/inngest" if environ["SHOP"] == "flask_shop" else "/api/inngest"


@pytest.fixture(autouse=True)
def database() -> Iterator[None]:
    """
    Empty tables.
    """
    SQLModel.metadata.create_all(shop.engine)
    with Session(shop.engine) as session:
        session.add(bundle())
        session.commit()
    yield
    SQLModel.metadata.drop_all(shop.engine)
    shop.engine.dispose()


def buy(purchase_id: str = "p1", email: str = "ada@example.com", user_id: str | None = None) -> str:
    """
    Sell the bundle.
    """
    with Session(shop.engine) as session:
        session.add(Purchase(id=purchase_id, email=email, user_id=user_id, product_id="bundle"))
        session.commit()
    return purchase_id


def ledger() -> tables.CrossAppSync:
    """
    The only row of the ledger.
    """
    with Session(shop.engine) as session:
        return session.exec(select(tables.CrossAppSync)).one()


def test_bundle_opens_the_course(crossapp: Kit) -> None:
    """
    A sale reaches the school, and its answer the ledger, by the time of the test.
    """
    tested = crossapp.app(shop.app, shop.bridge, path=PATH)
    school = crossapp.peer("ai-hero")
    crossapp.clock.set(datetime(2030, 1, 1, tzinfo=UTC))

    tested.emit("purchase/created", {"purchaseId": buy()})
    crossapp.settle()

    assert [row.status for row in school.entitlements] == ["pending"]
    assert (ledger().status, ledger().synced_at) == ("synced", datetime(2030, 1, 1, tzinfo=UTC))


def test_refund_locks_it(crossapp: Kit) -> None:
    """
    A linked buyer gets in, and out again.
    """
    tested = crossapp.app(shop.app, shop.bridge, path=PATH)
    school = crossapp.peer("ai-hero")
    school.link("ada", "ada-at-school")
    tested.emit("purchase/created", {"purchaseId": buy(user_id="ada")})
    crossapp.settle()
    assert [(row.status, row.user_id) for row in school.entitlements] == [("active", "ada-at-school")]

    with Session(shop.engine) as session:
        session.get_one(Purchase, "p1").status = "Refunded"
        session.commit()
    tested.emit("purchase/refunded", {"purchaseId": "p1"})
    crossapp.settle()

    assert school.entitlements[0].status == ledger().status == "revoked"
