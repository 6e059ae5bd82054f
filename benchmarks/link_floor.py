"""
The least that an operation on links takes: the same statements and locks in SQLAlchemy Core, which decide nothing.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, Insert, Select, Table, insert, or_, select, update
from sqlalchemy.dialects import mysql, postgresql

from benchmarks.floor import HELD, LINKS
from benchmarks.link_hosts import LATER
from crossapp_ah.operations import claims
from crossapp_core.columns import table_of
from crossapp_core.models import AccountLinkToken
from tests.ah.school import SHOP
from tests.hosts import NOW

TOKENS = table_of(AccountLinkToken)
_KEY = ("userId", "linkedApp", "linkedUserId")


class LinkFloor:
    """
    Writes what the operations of the same names write.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def link(self, id_: str) -> None:
        """
        Use a token and link the accounts.
        """
        jti = f"token-{id_}"
        linked = {
            "linkedEmail": f"{id_}@example.com",
            "linkedAt": NOW,
            "unlinkedAt": None,
            "version": 3,
            "nextAttemptAt": LATER,
        }
        with self._engine.begin() as connection:
            connection.execute(select(TOKENS).where(TOKENS.c.jti == jti).with_for_update()).all()
            connection.execute(insert(TOKENS).values(jti=jti, usedAt=NOW, expiresAt=LATER))
            row = self._new_row(connection, id_)
            _lock_standing(connection, id_)
            connection.execute(update(LINKS).where(LINKS.c.id == row).values(linked))

    def claim(self, id_: str) -> None:
        """
        Unlock what waits.
        """
        theirs = HELD.c.sourceApp == SHOP, HELD.c.sourceUserId == f"shop-{id_}"
        is_open = or_(HELD.c.status == "pending", (HELD.c.status == "active") & (HELD.c.claimedAt == NOW))
        names = ("id", "sourcePurchaseId", "productId", "status", "sourceVersion")
        order = HELD.c.sourcePurchaseId.concat(""), HELD.c.productId
        waiting = select(*(HELD.c[name] for name in names)).where(*theirs, is_open).order_by(*order)
        stands = LINKS.c.linkedApp == SHOP, LINKS.c.linkedUserId == f"shop-{id_}", LINKS.c.active == 1
        with self._engine.begin() as connection:
            link = connection.execute(select(LINKS).where(*stands).with_for_update(read=True)).one()
            rows = connection.execute(waiting.limit(claims.BATCH).with_for_update()).all()
            holder = {"userId": link.userId, "status": "active", "claimedAt": NOW}
            connection.execute(update(HELD).where(HELD.c.id.in_([row.id for row in rows])).values(holder))

    def unlink(self, id_: str) -> None:
        """
        Unlink the accounts.
        """
        unlinked = {"unlinkedAt": NOW, "version": 4, "nextAttemptAt": LATER}
        with self._engine.begin() as connection:
            row = connection.execute(_pair(id_).with_for_update()).one()
            connection.execute(update(LINKS).where(LINKS.c.id == row.id).values(unlinked))

    def merge(self, id_: str) -> None:
        """
        Link them once more, as the shop has.
        """
        known = {"acknowledgedVersion": 5}
        linked = {"linkedEmail": f"{id_}@example.com", "unlinkedAt": None, "version": 5, "nextAttemptAt": None}
        with self._engine.begin() as connection:
            row = self._new_row(connection, id_)
            connection.execute(update(LINKS).where(LINKS.c.id == row).values(known))
            _lock_standing(connection, id_)
            connection.execute(update(LINKS).where(LINKS.c.id == row).values(linked))

    def _new_row(self, connection: Connection, id_: str) -> str:
        row = {
            "id": f"link_{id_}",
            "userId": f"school-{id_}",
            "linkedApp": SHOP,
            "linkedUserId": f"shop-{id_}",
            "linkMethod": "explicit",
            "linkedAt": NOW,
            "unlinkedAt": NOW,
            "version": 0,
            "acknowledgedVersion": 0,
            "retryCount": 0,
        }
        connection.execute(self._insert_or_nothing(LINKS, row))
        return str(connection.execute(_pair(id_).with_for_update()).one().id)

    def _insert_or_nothing(self, table: Table, row: dict[str, Any]) -> Insert:
        if self._engine.dialect.name == "postgresql":
            return postgresql.insert(table).values(row).on_conflict_do_nothing(index_elements=_KEY)
        return mysql.insert(table).values(row).on_duplicate_key_update({_KEY[0]: table.c[_KEY[0]]})


def _pair(id_: str) -> Select[Any]:
    accounts = LINKS.c.userId == f"school-{id_}", LINKS.c.linkedApp == SHOP, LINKS.c.linkedUserId == f"shop-{id_}"
    return select(LINKS).where(*accounts)


def _lock_standing(connection: Connection, id_: str) -> None:
    for mine in (LINKS.c.userId == f"school-{id_}", LINKS.c.linkedUserId == f"shop-{id_}"):
        stands = mine, LINKS.c.linkedApp == SHOP, LINKS.c.active == 1
        connection.execute(select(LINKS).where(*stands).with_for_update()).all()
