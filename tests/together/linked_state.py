"""
What the databases of a shop and a school hold, read in between.
"""

from __future__ import annotations

from sqlalchemy import Engine, Row, Table
from sqlmodel import select

from crossapp_ah.models import Entitlement
from crossapp_core.columns import table_of
from crossapp_core.models import AccountLink
from crossapp_tt.models import CrossAppSync
from tests.together.link_invariants import Held, Link, Owed, Pair, Source
from tests.together.linked_hosts import SCHOOL, SHOP, both

ROWS = select(CrossAppSync)
"""All of the ledger."""

_LINKS, _LEDGER, _ENTITLEMENTS = (table_of(each) for each in (AccountLink, CrossAppSync, Entitlement))


def links_in(app: str) -> dict[Pair, Link]:
    """
    What an app holds of each pair.
    """
    found = {}
    for row in _rows(both()[app].engine, _LINKS):
        pair = (row.userId, row.linkedUserId) if app == SHOP else (row.linkedUserId, row.userId)
        found[pair] = Link(
            id=row.id,
            version=row.version,
            active=row.active == 1,
            acknowledged=row.acknowledgedVersion,
            method=row.linkMethod,
            linked_at=row.linkedAt,
            unlinked_at=row.unlinkedAt,
            lost_to=row.lostToId,
            due=row.nextAttemptAt,
        )
    return found


def held() -> dict[Source, Held]:
    """
    What the school holds of each source.
    """
    return {
        (row.sourcePurchaseId, row.productId): Held(row.status, row.sourceVersion, row.userId)
        for row in _rows(both()[SCHOOL].engine, _ENTITLEMENTS)
    }


def ledger() -> dict[Source, Owed]:
    """
    What the shop knows of each source.
    """
    return {
        (row.purchaseId, row.targetProductId): Owed(
            row.status, row.desired, row.version, row.buyerUserId, row.targetUserId, row.nextAttemptAt
        )
        for row in _rows(both()[SHOP].engine, _LEDGER)
    }


def _rows(engine: Engine, table: Table) -> list[Row[tuple[object, ...]]]:
    with engine.connect() as connection:
        return list(connection.execute(table.select()))
