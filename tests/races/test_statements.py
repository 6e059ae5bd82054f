"""
How many statements an operation takes.
"""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import Session

from crossapp_ah.models import Entitlement
from crossapp_core.outcomes import Outcome
from crossapp_tt.models import CrossAppSync
from tests.ah.school import BUYER, COURSE, SHOP, link
from tests.databases import NAMES, Database
from tests.hosts import NOW, ShopPurchase
from tests.races.stacks import USUAL, Stack
from tests.races.test_disturbed import CASES, Apps, Case, Disturber
from tests.races.workers import Worker
from tests.tt.shop import BUNDLE, SCHOOL

# one driver of each database: the statements are the same on all
STACKS = [next(stack for stack in USUAL if stack.driver.database == name) for name in NAMES]


@pytest.mark.parametrize("stack", STACKS, ids=str, indirect=True)
def test_many_rows(stack: Stack, database: Database) -> None:
    """
    The number of statements doesn't grow with the tables.
    """
    apps = Apps.on(database)
    with Worker(stack, database) as worker:
        disturber = Disturber(worker)

        def counts(size: str) -> dict[str, int]:
            found = {}
            for case, operation in CASES.items():
                purchase_id = f"pur_{size}_{case}"
                apps.prepare(purchase_id, case)
                worker.do(in_session, apps, operation, purchase_id)
                found[case] = disturber.count
            return found

        fill(apps, 0, 10)
        few = counts("few")
        fill(apps, 10, 1000)
        assert counts("many") == few
    assert max(few.values()) <= 8


def in_session(session: Session, apps: Apps, operation: Case, purchase_id: str) -> Outcome:
    """
    An operation with its arguments in the order that a worker wants.
    """
    return operation(apps, session, purchase_id)


def fill(apps: Apps, start: int, stop: int) -> None:
    """
    Write what so many other buyers leave in all tables.
    """
    owner: dict[str, Any] = {"user_id": "ada", "email": "ada@example.com", "product_id": BUNDLE, "status": "Valid"}
    times: dict[str, Any] = {"created_at": NOW, "next_attempt_at": NOW}
    course: dict[str, Any] = {"target_app": SCHOOL, "target_product_id": COURSE, "version": 1}
    source: dict[str, Any] = {"source_app": SHOP, "product_id": COURSE, "status": "pending", "source_version": 1}
    with apps.shop.database.session() as session:
        for id_ in (f"other_{number}" for number in range(start, stop)):
            session.add(ShopPurchase(id=id_, **owner))
            session.add(Entitlement(id=id_, source_purchase_id=id_, source_user_id=BUYER, **source))
            session.add(CrossAppSync(id=id_, purchase_id=id_, **course, **times))
            session.add(link(id_, id_))
