from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
from sqlalchemy import update
from sqlmodel import Field, Session, SQLModel, col, select

import crossapp_ah as ah
from benchmarks.rows import analyse
from crossapp_ah.models import Entitlement
from crossapp_ah.operations import entitlements, hooks
from crossapp_ah.ports import Granter
from tests.ah.school import SHOP, link, refund, sale, school
from tests.databases import Database
from tests.hosts import NOW
from tests.races.stacks import STACKS, USUAL, Stack
from tests.races.workers import Work, Worker, race
from tests.rivals import impatient_session

pytestmark = pytest.mark.no_cover  # tracing each line would make a race another one, and take many minutes

_USUAL = [stack for stack in USUAL if stack.driver.name in ("aiosqlite", "psycopg", "asyncmy")]
_LEVELS = [
    stack
    for stack in STACKS
    if (stack.driver.name, stack.isolation) in {("psycopg", "REPEATABLE READ"), ("asyncmy", "READ COMMITTED")}
]
EACH = pytest.mark.parametrize("stack", [*_USUAL, *_LEVELS], ids=str, indirect=True)

ROUNDS = 15


class HookLog(SQLModel, table=True):
    """
    What hooks have done, as far as it was committed.
    """

    __tablename__ = "race_hook_log"

    id: int | None = Field(default=None, primary_key=True)
    hook: str = Field(max_length=16)
    user_id: str = Field(max_length=64)


def enroll(session: Session, access: ah.Access) -> None:
    """
    Give a role.
    """
    session.add(HookLog(hook="active", user_id=access.user_id))


def expel(session: Session, access: ah.Access) -> None:
    """
    Take it.
    """
    session.add(HookLog(hook="revoked", user_id=access.user_id))


def opened(database: Database) -> Granter:
    """
    A school where each of many users has bought the course twice, and has the role.
    """
    made = school(database, on_active=enroll, on_revoked=expel)
    rows = []
    for number in range(ROUNDS):
        made.add(link(f"user-{number}", f"buyer-{number}"))
        rows += [
            Entitlement(
                id=f"{number}-{part}",
                user_id=f"user-{number}",
                product_id="prod_9",
                status="active",
                source_app=SHOP,
                source_purchase_id=f"{number}-{part}",
                source_user_id=f"buyer-{number}",
                source_version=1,
                applied_version=1,
                applied_user_id=f"user-{number}",
            )
            for part in ("one", "two")
        ]
    made.add(*rows)
    return made.granter


def refunding(granter: Granter, purchase_id: str) -> Work:
    """
    Refund a purchase and run the hooks, as the function does.
    """

    def work(worker: Worker) -> None:
        worker.do(entitlements.revoke, granter, refund(purchase_id=purchase_id), now=NOW)
        worker.do(hooks.apply, granter, purchase_id, now=NOW)

    return work


def buying(granter: Granter, number: int) -> Work:
    """
    Buy the course once more and run the hooks, as the function does.
    """

    def work(worker: Worker) -> None:
        request = sale(purchase_id=f"{number}-three", buyer_user_id=f"buyer-{number}")
        [id_] = worker.do(entitlements.grant, granter, request, now=NOW).ids
        worker.do(hooks.apply, granter, id_, now=NOW)

    return work


def log_of(database: Database) -> dict[str, list[str]]:
    """
    Which hooks ran for whom, in their order.
    """
    with database.session() as session:
        entries = session.exec(select(HookLog).order_by(col(HookLog.id))).all()
    found: dict[str, list[str]] = {f"user-{number}": [] for number in range(ROUNDS)}
    for entry in entries:
        found[entry.user_id].append(entry.hook)
    return found


class TestBothRefunded:
    @EACH
    def test_closed_once(self, stack: Stack, database: Database) -> None:
        """
        Two purchases that are refunded at once by two workers take the role exactly once: when the last one goes.
        """
        granter = opened(database)
        rounds = [
            (refunding(granter, f"{number}-one"), refunding(granter, f"{number}-two")) for number in range(ROUNDS)
        ]
        race(stack, database, rounds)

        assert log_of(database) == {f"user-{number}": ["revoked"] for number in range(ROUNDS)}


class TestRefundedAndBought:
    @EACH
    def test_stays_open(self, stack: Stack, database: Database) -> None:
        """
        What is bought again while the last purchase is refunded is open in the end: no role is taken after it was
        given.
        """
        granter = opened(database)
        with Worker(stack, database) as worker:
            for number in range(ROUNDS):
                refunding(granter, f"{number}-one")(worker)
        rounds = [(refunding(granter, f"{number}-two"), buying(granter, number)) for number in range(ROUNDS)]
        race(stack, database, rounds)

        endings = Counter(tuple(log) for log in log_of(database).values())
        assert set(endings) <= {("active",), ("revoked", "active"), ("active", "active")}, endings


class TestLocks:
    @pytest.mark.parametrize("stack", _USUAL[1:], ids=str, indirect=True)
    def test_nobody_elses(self, stack: Stack, database: Database) -> None:
        """
        Hooks that run for one user, on a table that is full of what others hold, leave theirs unlocked.
        """
        granter = opened(database)
        with database.session() as session:
            session.add_all(
                Entitlement(
                    id=f"other-{number:04}",
                    user_id=f"other-{number % 500}",
                    product_id="prod_9",
                    status="active",
                    source_app=SHOP,
                    source_purchase_id=f"other-{number:04}",
                    source_version=1,
                    applied_version=1,
                    applied_user_id=f"other-{number % 500}",
                )
                for number in range(4000)
            )
        analyse(database.engine, Entitlement)
        theirs = [f"other-{number:04}" for number in range(0, 4000, 100)]
        change = update(Entitlement).where(col(Entitlement.id).in_(theirs)).values(retry_count=1)
        with Worker(stack, database) as worker:
            worker.do(entitlements.revoke, granter, refund(purchase_id="7-one"), now=NOW)
        with database.session() as session, impatient_session(database) as another:
            assert hooks.apply(session, granter, "7-one", now=NOW).changed
            assert another.connection().execute(change).rowcount == len(theirs)


class TestOneRowTwice:
    @EACH
    def test_once(self, stack: Stack, database: Database) -> None:
        """
        Two workers that run the hooks of one entitlement at once run them once.
        """
        granter = opened(database)
        with Worker(stack, database) as worker:
            for number in range(ROUNDS):
                request = sale(2, purchase_id=f"{number}-one", buyer_user_id=f"buyer-{number}")
                worker.do(entitlements.grant, granter, request, now=NOW)

        def run(worker: Worker, *, id_: str) -> None:
            worker.do(hooks.apply, granter, id_, now=NOW)

        both = [partial(run, id_=f"{number}-one") for number in range(ROUNDS)]
        race(stack, database, [(work, work) for work in both])

        assert log_of(database) == {f"user-{number}": ["active"] for number in range(ROUNDS)}
