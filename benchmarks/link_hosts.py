"""
A school on one database whose people link their accounts: an operation as one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, func, insert, literal, literal_column, select

from benchmarks.rows import analyse, numbers
from crossapp_ah.models import AccountLink, Entitlement
from crossapp_ah.operations import claims
from crossapp_ah.operations.claims import Claim
from crossapp_core.columns import table_of
from crossapp_core.database import Database as Transactions
from crossapp_core.events import AccountLinked, EntitlementGranted
from crossapp_core.flavours import run_sync
from crossapp_core.models import AccountLinkToken
from crossapp_core.operations import links
from crossapp_core.operations.link_rows import Pair
from crossapp_core.operations.links import Confirmation
from crossapp_core.ports import Linker
from tests.ah.school import COURSE, SHOP, school
from tests.databases import Database
from tests.hosts import NOW

SCHOOL = "ai-hero"
LINK_NAMES = {"link": "link by a token", "claim": "claim", "unlink": "unlink", "merge": "merge a link of the peer"}
"""What is done to a person's link, in this order, and what it is called."""
WAITING = 10
"""How many rows wait for one user among many."""
LATER = NOW + timedelta(minutes=10)
_DIGITS = 4  # of the number in the id of a purchase, so that their order is that of the ids


class LinkHosts:
    """
    The school.
    """

    def __init__(self, database: Database) -> None:
        self._school = school(database)
        self._linker = Linker(SCHOOL, AccountLink, AccountLinkToken, frozenset({SHOP}))
        self._transactions = Transactions(database.engine)

    def prepare(self, ids: Iterable[str], *, waiting: int) -> None:
        """
        Have granted so much to each of the accounts in the shop, which waits.
        """
        self._school.add(*(held(id_, number) for id_ in ids for number in range(waiting)))

    def link(self, id_: str) -> None:
        """
        Link a person's accounts, since they have confirmed it.
        """
        request = Confirmation(_pair(id_), f"{id_}@example.com", f"token-{id_}", LATER)
        run_sync(self._transactions.transact(links.link, self._linker, request, now=NOW))

    def claim(self, id_: str) -> None:
        """
        Unlock what waits for them.
        """
        run_sync(self._transactions.transact(claims.claim, self._school.granter, _claim(id_), now=NOW))

    def unlink(self, id_: str) -> None:
        """
        Unlink their accounts.
        """
        run_sync(self._transactions.transact(links.unlink, self._linker, _pair(id_), now=NOW))

    def merge(self, id_: str) -> None:
        """
        Hear from the shop that they are linked once more.
        """
        fact = AccountLinked(
            source_app=SHOP,
            user_id=f"shop-{id_}",
            linked_app=SCHOOL,
            linked_user_id=f"school-{id_}",
            email=f"{id_}@example.com",
            link_method="explicit",
            linked_at=NOW,
            version=5,
        )
        run_sync(self._transactions.transact(links.merge, self._linker, fact, now=NOW))

    def claim_all(self, id_: str) -> int:
        """
        Unlock all that waits for somebody, in batches; how many.
        """
        request, batches = _claim(id_), 0
        while True:
            outcome = run_sync(self._transactions.transact(claims.claim, self._school.granter, request, now=NOW))
            batches += 1
            if len(outcome.ids) < claims.BATCH:
                return batches
            last = outcome.messages[-1].event
            assert isinstance(last, EntitlementGranted)
            request = replace(request, after=(last.source_purchase_id, last.product_id))

    def find_missed(self) -> None:
        """
        Find what should have been claimed, as each minute.
        """
        run_sync(self._transactions.transact(claims.waiting, self._school.granter, claims.BATCH, now=NOW))


def held(id_: str, number: int) -> Entitlement:
    """
    What waits for somebody, before they are linked.
    """
    return Entitlement(
        id=f"ent_{id_}_{number}",
        product_id=COURSE,
        status="pending",
        pending_for_email=f"{id_}@example.com",
        source_app=SHOP,
        source_purchase_id=f"pur_{id_}_{number:0{_DIGITS}}",
        source_user_id=f"shop-{id_}",
        source_version=1,
    )


def wait(engine: Engine, rows: int) -> None:
    """
    Have so many others wait, for one purchase each.
    """
    table = table_of(Entitlement)
    number: ColumnElement[int] = literal_column("numbers.n")
    varying = {"id": "ent_", "sourcePurchaseId": "pur_", "sourceUserId": "buyer_", "pendingForEmail": "a@"}
    fixed = {"productId": COURSE, "status": "pending", "sourceApp": SHOP, "sourceVersion": 1}
    values: list[ColumnElement[Any]] = [
        *(func.concat(prefix, number) for prefix in varying.values()),
        *map(literal, fixed.values()),
    ]
    with engine.begin() as connection:
        copies = select(*values).select_from(numbers(engine, rows))
        connection.execute(insert(table).from_select([*varying, *fixed], copies))
    analyse(engine, Entitlement, AccountLink)


def _pair(id_: str) -> Pair:
    return Pair(f"school-{id_}", SHOP, f"shop-{id_}")


def _claim(id_: str) -> Claim:
    return Claim({"linked_app": SHOP, "linked_user_id": f"shop-{id_}"}, NOW)
