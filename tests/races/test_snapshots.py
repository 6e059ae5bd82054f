"""
Snapshots that are older than what another worker has written since.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlmodel import Session, select

from crossapp_ah.operations import entitlements
from crossapp_core.outcomes import Outcome
from tests.ah.school import SHOP, link, refund, sale, school
from tests.databases import Database
from tests.hosts import NOW, ShopPurchase
from tests.races.stacks import STACKS, Stack
from tests.races.workers import Worker
from tests.rivals import at_once

# on SQLite nobody can write meanwhile
SERVERS = [stack for stack in STACKS if stack.driver.database != "sqlite"]


@pytest.mark.parametrize("stack", SERVERS, ids=str, indirect=True)
def test_whole_purchase(stack: Stack, database: Database) -> None:
    """
    A sketch peer's revoke of a whole purchase finds the component that was granted after its snapshot was taken.
    """
    school_ = school(database)
    school_.granter = replace(school_.granter, sketches=frozenset({SHOP}))
    school_.add(link())
    school_.grant(sale(1, product_id="prod_10"))
    attempts: list[None] = []

    def grant_elsewhere() -> None:
        with Worker(stack, database) as other:
            other.do(entitlements.grant, school_.granter, sale(1), now=NOW)

    def revoke(session: Session) -> Outcome:
        session.exec(select(ShopPurchase)).all()  # takes the snapshot
        if not attempts:
            at_once(grant_elsewhere)
        attempts.append(None)
        return entitlements.revoke(session, school_.granter, refund(2, product_id=None), now=NOW)

    with Worker(stack, database) as worker:
        assert worker.do(revoke).changed
        assert worker.failures == []
    rows = [(row.product_id, row.status, row.source_version) for row in school_.rows]
    assert rows == [("", "revoked", 2), ("prod_10", "revoked", 2), ("prod_9", "revoked", 2)]
