"""
What another transaction may do to each statement of each operation: a deadlock, a serialisation failure, a lock that
isn't got in time. All is done again, and the effect is that of once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import Session, SQLModel, col, select

from crossapp_ah.models import Entitlement
from crossapp_ah.operations import entitlements
from crossapp_core.errors import StorageError
from crossapp_core.outcomes import Outcome
from crossapp_tt.models import CrossAppSync
from crossapp_tt.operations import acknowledgements, purchases
from crossapp_tt.ports import Reference
from tests.ah.school import BUYER, School, link, refund, sale, school
from tests.databases import Database
from tests.hosts import NOW, ShopPurchase
from tests.races.stacks import USUAL, Stack
from tests.races.workers import Worker
from tests.tt.shop import BUNDLE, FIRST, Shop, granted

pytestmark = pytest.mark.no_cover  # what is tried at each statement takes long enough without tracing

_POSTGRESQL = "DO $$ BEGIN RAISE EXCEPTION 'disturbed' USING ERRCODE = '{}'; END $$"
_MARIADB = "SIGNAL SQLSTATE '{}' SET MYSQL_ERRNO = {}, MESSAGE_TEXT = 'disturbed'"


def says(statement: str) -> Callable[[Any], None]:
    """
    Let the server itself say it, so that the driver raises what it raises.
    """
    return lambda cursor: cursor.execute(statement)


def is_busy(cursor: Any) -> None:
    """
    What both of SQLite's drivers raise if the file is locked.
    """
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    raise error


DISTURBANCES: dict[str, dict[str, Callable[[Any], None]]] = {
    "sqlite": {"busy": is_busy},
    "postgresql": {
        "deadlock": says(_POSTGRESQL.format("40P01")),
        "serialisation": says(_POSTGRESQL.format("40001")),
        "lock timeout": says(_POSTGRESQL.format("55P03")),
    },
    "mariadb": {
        "deadlock": says(_MARIADB.format("40001", 1213)),
        "snapshot": says(_MARIADB.format("HY000", 1020)),
        "lock timeout": says(_MARIADB.format("HY000", 1205)),
    },
}

Case = Callable[["Apps", Session, str], Outcome]


@dataclass
class Apps:
    """
    A school and a shop in one database.
    """

    school: School
    shop: Shop

    @classmethod
    def on(cls, database: Database) -> Apps:
        """
        Both, and a link.
        """
        apps = cls(school(database), Shop(database))
        apps.school.add(link())
        return apps

    def prepare(self, purchase_id: str, case: str) -> None:
        """
        Write what is there before an operation.
        """
        owner: dict[str, Any] = {"user_id": "ada", "email": "ada@example.com", "product_id": BUNDLE}
        lost = sale(1, purchase_id=purchase_id, buyer_user_id="nobody")
        with self.shop.database.session() as session:
            session.add(ShopPurchase(id=purchase_id, **owner))
            session.flush()
            if case in ("record_refund", "apply"):
                purchases.record(session, self.shop.seller, purchase_id, now=NOW)
            if case == "record_refund":
                session.get_one(ShopPurchase, purchase_id).status = "Refunded"
            if case in ("grant_newer", "revoke", "look_again"):
                outcome = entitlements.grant(session, self.school.granter, lost, now=NOW)
                session.get_one(Entitlement, outcome.ids[0]).source_user_id = BUYER

    def rows(self, purchase_id: str) -> list[dict[str, Any]]:
        """
        All rows of a purchase, without what names it.
        """
        with self.shop.database.session() as session:
            found: list[SQLModel] = [
                *session.exec(select(Entitlement).where(col(Entitlement.source_purchase_id) == purchase_id)),
                *session.exec(select(CrossAppSync).where(col(CrossAppSync.purchase_id) == purchase_id)),
            ]
            return [row.model_dump(exclude={"id", "purchase_id", "source_purchase_id"}) for row in found]


def grant(apps: Apps, session: Session, id_: str) -> Outcome:
    return entitlements.grant(session, apps.school.granter, sale(2, purchase_id=id_), now=NOW)


def revoke(apps: Apps, session: Session, id_: str) -> Outcome:
    return entitlements.revoke(session, apps.school.granter, refund(3, purchase_id=id_), now=NOW)


def look_again(apps: Apps, session: Session, id_: str) -> Outcome:
    return entitlements.look_again(session, apps.school.granter, sale(1, purchase_id=id_), now=NOW)


def record_sale(apps: Apps, session: Session, id_: str) -> Outcome:
    return purchases.record_sale(session, apps.shop.seller, Reference(id_), now=NOW)


def record_refund(apps: Apps, session: Session, id_: str) -> Outcome:
    return purchases.record_refund(session, apps.shop.seller, Reference(id_), now=NOW)


def apply(apps: Apps, session: Session, id_: str) -> Outcome:
    return acknowledgements.apply(session, apps.shop.seller, granted(source_purchase_id=id_), now=NOW)


def apply_to_lost_row(apps: Apps, session: Session, id_: str) -> Outcome:
    ack = granted(FIRST + 5, source_purchase_id=id_)
    return acknowledgements.apply(session, apps.shop.seller, ack, now=NOW)


CASES: dict[str, Case] = {
    "grant": grant,
    "grant_newer": grant,
    "revoke": revoke,
    "revoke_unknown": revoke,
    "look_again": look_again,
    "record_sale": record_sale,
    "record_refund": record_refund,
    "apply": apply,
    "apply_to_lost_row": apply_to_lost_row,
}


class Disturber:
    """
    Counts the statements of each transaction, and disturbs one of them.
    """

    def __init__(self, worker: Worker) -> None:
        self.count = 0
        self._at = self._times = 0
        self._disturbance: Callable[[Any], None] = is_busy
        event.listen(worker.engine, "begin", self._begin)
        event.listen(worker.engine, "do_execute", self._execute)

    @contextmanager
    def at(self, statement: int, disturbance: Callable[[Any], None], *, times: int) -> Iterator[None]:
        """
        Disturb that statement of each transaction, so many times.
        """
        self._at, self._times, self._disturbance = statement, times, disturbance
        yield
        assert self._times == 0
        self._at = 0

    def _begin(self, _: object) -> None:
        self.count = 0

    def _execute(self, cursor: Any, *_: object) -> None:
        self.count += 1
        if self.count == self._at and self._times:
            self._times -= 1
            self._disturbance(cursor)


@pytest.mark.parametrize("stack", USUAL, ids=str, indirect=True)
@pytest.mark.parametrize("case", CASES)
def test_each_statement(stack: Stack, database: Database, case: str) -> None:
    """
    Disturbed once or four times at any statement, the operation does what it does undisturbed, and once; disturbed
    five times, it has done nothing, and may be tried again.
    """
    apps, operation = Apps.on(database), CASES[case]

    def do(session: Session, purchase_id: str) -> tuple[bool, int]:
        outcome = operation(apps, session, purchase_id)
        return outcome.changed, len(outcome.messages)

    def prepare(*about: object) -> str:
        purchase_id = "pur_" + "_".join(map(str, about))
        apps.prepare(purchase_id, case)
        return purchase_id

    with Worker(stack, database) as worker:
        disturber = Disturber(worker)
        said = worker.try_to(do, prepare("undisturbed"))
        rows, statements = apps.rows("pur_undisturbed"), disturber.count
        untouched = apps.rows(prepare("untouched"))
        assert said[0]
        assert rows != untouched
        assert statements >= 2

        for statement in range(1, statements + 1):
            for number, disturbance in enumerate(DISTURBANCES[stack.driver.database].values()):
                for times in (1, 4) if number == 0 else (1,):
                    purchase_id, worker.retries = prepare(statement, number, times), 0
                    with disturber.at(statement, disturbance, times=times):
                        assert worker.try_to(do, purchase_id) == said
                    assert worker.retries == times
                    assert apps.rows(purchase_id) == rows
            purchase_id = prepare(statement, "for ever")
            first = next(iter(DISTURBANCES[stack.driver.database].values()))
            with disturber.at(statement, first, times=5), pytest.raises(StorageError) as caught:
                worker.try_to(do, purchase_id)
            assert caught.value.retryable
            assert apps.rows(purchase_id) == untouched
