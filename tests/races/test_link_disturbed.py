"""
What another transaction may do to each statement of each operation on links, and how many there are.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import Session, SQLModel, col, select

from crossapp_ah.models import AccountLink, Entitlement
from crossapp_ah.operations import claims
from crossapp_ah.operations.claims import Claim
from crossapp_core.errors import StorageError
from crossapp_core.models import AccountLinkToken
from crossapp_core.operations import links, owed_links, shared_sign_ins
from crossapp_core.operations.link_rows import Pair
from crossapp_core.operations.links import Confirmation
from crossapp_core.outcomes import Due, Outcome
from tests.ah.school import COURSE, SHOP, link
from tests.databases import Database
from tests.hosts import NOW
from tests.races.link_workers import LINKER, ONE_EACH, Arena, Cast, linked, login, merged
from tests.races.stacks import Stack
from tests.races.test_disturbed import DISTURBANCES, Disturber
from tests.races.workers import Worker

pytestmark = pytest.mark.no_cover  # what is tried at each statement takes long enough without tracing

EACH = pytest.mark.parametrize("stack", ONE_EACH, ids=str, indirect=True)

Case = Callable[[Arena, Session, Cast], Outcome]


def confirm(arena: Arena, session: Session, cast: Cast) -> Outcome:
    expiry = NOW + timedelta(minutes=10)
    request = Confirmation(Pair(cast.ada, SHOP, cast.one), "ada@example.com", f"token-{cast.ada}", expiry)
    return links.link(session, LINKER, request, now=NOW)


def unlink(arena: Arena, session: Session, cast: Cast) -> Outcome:
    return links.unlink(session, LINKER, Pair(cast.ada, SHOP, cast.one), now=NOW)


def merge(arena: Arena, session: Session, cast: Cast) -> Outcome:
    return links.merge(session, LINKER, merged(cast.ada, cast.one), now=NOW)


def sign_in(arena: Arena, session: Session, cast: Cast) -> Outcome:
    return shared_sign_ins.link(session, LINKER, login(cast), now=NOW)


def claim(arena: Arena, session: Session, cast: Cast) -> Outcome:
    return claims.claim(session, arena.granter, Claim({"linked_app": SHOP, "linked_user_id": cast.one}, NOW), now=NOW)


CASES: dict[str, Case] = {
    "confirm": confirm,
    "confirm_again": confirm,
    "unlink": unlink,
    "merge": merge,
    "merge_with_rival": merge,
    "sign_in": sign_in,
    "claim": claim,
}


def prepare(arena: Arena, cast: Cast, case: str) -> None:
    """
    Write what is there before an operation.
    """
    arena.school.add(*cast.rows)
    match case:
        case "confirm_again":
            arena.school.add(linked(cast, 4))
        case "unlink" | "claim":
            arena.school.add(linked(cast))
            arena.wait_for([(cast.purchase, cast), (f"{cast.purchase}-other", cast)])
        case "merge_with_rival":
            arena.school.add(link(cast.ada, cast.two))


def rows(arena: Arena, cast: Cast) -> list[dict[str, Any]]:
    """
    All that is written of a cast, without what names it.
    """
    with arena.database.session() as session:
        found: list[SQLModel] = [
            *session.exec(select(AccountLink).where(col(AccountLink.user_id) == cast.ada)),
            *session.exec(select(AccountLinkToken).where(col(AccountLinkToken.jti) == f"token-{cast.ada}")),
            *session.exec(select(Entitlement).where(col(Entitlement.source_user_id) == cast.one)),
        ]
    ids = {"id", "user_id", "linked_user_id", "lost_to_id", "jti", "source_purchase_id", "source_user_id"}
    known = [{**row.model_dump(exclude=ids), "kind": type(row).__name__} for row in found]
    return sorted(known, key=str)


@EACH
@pytest.mark.parametrize("case", CASES)
def test_each_statement(stack: Stack, database: Database, case: str) -> None:
    """
    Disturbed once or four times at any statement, the operation does what it does undisturbed, and once; disturbed
    five times, it has done nothing, and may be tried again.
    """
    arena, operation = Arena.of(stack, database, rounds=0), CASES[case]

    def do(session: Session, cast: Cast) -> tuple[bool, int]:
        outcome = operation(arena, session, cast)
        return outcome.changed, len(outcome.messages)

    def cast_of(*about: object) -> Cast:
        cast = Cast.of(0, "-".join(map(str, about)))
        prepare(arena, cast, case)
        return cast

    with Worker(stack, database) as worker:
        disturber = Disturber(worker)
        said = worker.try_to(do, undisturbed := cast_of("undisturbed"))
        effect, statements = rows(arena, undisturbed), disturber.count
        untouched = rows(arena, cast_of("untouched"))
        assert said[0]
        assert effect != untouched
        assert statements >= 2

        for statement in range(1, statements + 1):
            for number, disturbance in enumerate(DISTURBANCES[stack.driver.database].values()):
                for times in (1, 4) if number == 0 else (1,):
                    cast, worker.retries = cast_of(statement, number, times), 0
                    with disturber.at(statement, disturbance, times=times):
                        assert worker.try_to(do, cast) == said
                    assert worker.retries == times
                    assert rows(arena, cast) == effect
            cast = cast_of(statement, "forever")
            first = next(iter(DISTURBANCES[stack.driver.database].values()))
            with disturber.at(statement, first, times=5), pytest.raises(StorageError) as caught:
                worker.try_to(do, cast)
            assert caught.value.retryable
            assert rows(arena, cast) == untouched


@EACH
def test_many_rows(stack: Stack, database: Database) -> None:
    """
    The number of statements doesn't grow with the tables.
    """
    arena = Arena.of(stack, database, rounds=0)
    with Worker(stack, database) as worker:
        disturber = Disturber(worker)

        def counts(size: str) -> dict[str, int]:
            found = {}
            for case, operation in CASES.items():
                prepare(arena, cast := Cast.of(0, f"{size}-{case}"), case)
                worker.do(in_session, arena, operation, cast)
                found[case] = disturber.count
            return found

        fill(arena, 0, 10)
        few = counts("few")
        fill(arena, 10, 1000)
        assert counts("many") == few
    assert max(few.values()) <= 10


@EACH
def test_claim_of_many(stack: Stack, database: Database) -> None:
    """
    What waits for one user is unlocked in as many statements for each batch, however many are in it, and in no more
    batches than it fills.
    """
    arena = Arena.of(stack, database, rounds=3)
    few, many, _ = arena.casts
    arena.school.add(*map(linked, arena.casts))
    arena.wait_for((f"pur-few-{number}", few) for number in range(10))
    arena.wait_for((f"pur-many-{number:04}", many) for number in range(1000))
    with Worker(stack, database) as worker:
        disturber = Disturber(worker)

        def batches(cast: Cast) -> list[tuple[int, int]]:
            made, after = [], None
            while True:
                request = Claim({"linked_app": SHOP, "linked_user_id": cast.one}, NOW, after)
                outcome = worker.do(claims.claim, arena.granter, request, now=NOW)
                made.append((len(outcome.messages), disturber.count))
                if len(outcome.ids) < claims.BATCH:
                    return made
                data = outcome.messages[-1].event.model_dump()
                after = data["source_purchase_id"], data["product_id"]

        [(claimed, statements)] = batches(few)
        *full, last = batches(many)
    assert (claimed, full) == (10, [(claims.BATCH, statements)] * 10)
    assert (last[0], last[1] < statements) == (0, True)
    assert {(row.status, row.user_id) for row in arena.school.rows} == {("active", few.ada), ("active", many.ada)}


@EACH
def test_announce_again(stack: Stack, database: Database) -> None:
    """
    What is owed is found in one statement and numbered in another, however much there is; only the address of each
    user is asked for one by one.
    """
    arena = Arena.of(stack, database, rounds=0)
    fill(arena, 0, 1000)
    counts = []
    with Worker(stack, database) as worker:
        seen: list[str] = []
        event.listen(worker.engine, "before_cursor_execute", lambda _, __, statement, *___: seen.append(statement))
        for limit in (2, 100):
            seen.clear()
            assert len(worker.do(owed_links.announce_again, LINKER, Due(SHOP, limit), now=NOW).messages) == limit
            counts.append(len(seen) - limit)
    assert counts[0] == counts[1] <= 3


def in_session(session: Session, arena: Arena, operation: Case, cast: Cast) -> Outcome:
    """
    An operation with its arguments in the order that a worker wants.
    """
    return operation(arena, session, cast)


def fill(arena: Arena, start: int, stop: int) -> None:
    """
    Write what so many others leave in all tables.
    """
    source: dict[str, Any] = {"source_app": SHOP, "product_id": COURSE, "status": "pending", "source_version": 1}
    with arena.database.session() as session:
        for id_ in (f"other_{number}" for number in range(start, stop)):
            session.add(link(id_, id_, next_attempt_at=NOW))
            session.add(AccountLinkToken(jti=id_, used_at=NOW, expires_at=NOW))
            session.add(Entitlement(id=id_, source_purchase_id=id_, source_user_id=id_, **source))
