"""
Bugs that are planted into the libraries, one at a time: `python -m tests.simulation.planted` tells which invariant each
breaks, and after how many steps.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from crossapp_ah.operations import claims, entitlements
from crossapp_ah.operations import rows as entitlement_rows
from crossapp_ah.operations.rows import message, revoked
from crossapp_ah.testing import make_school
from crossapp_core.columns import column_of, table_of
from crossapp_core.locking import lock
from crossapp_core.operations import link_rows, links, owed
from crossapp_core.outcomes import Outcome
from crossapp_core.testing.simulation import BrokenError, Failure, World, try_history
from crossapp_core.wire import Event
from crossapp_tt.catalog import Component
from crossapp_tt.operations import acknowledgements, buyers, outbox
from crossapp_tt.operations.rows import key_of
from crossapp_tt.testing import make_shop

Plant = Callable[[pytest.MonkeyPatch], None]


def version_check(patch: pytest.MonkeyPatch) -> None:
    """
    The granter does whatever it is told last.
    """
    patch.setattr(entitlements, "version_of", lambda row: 0)


def tombstone(patch: pytest.MonkeyPatch) -> None:
    """
    A revoke of what was never seen leaves no row.
    """
    revoke = entitlements.revoke

    def forgetful(session: Any, granter: Any, request: Any, /, *, now: Any) -> Outcome:
        key = entitlement_rows.key_of(session, granter, request, request.product_id)
        if key is None or lock(session, granter.entitlements, key) is not None:
            return revoke(session, granter, request, now=now)
        return Outcome(messages=(message(request, revoked(request, request.product_id, None, request.version)),))

    patch.setattr(entitlements, "revoke", forgetful)


def attempt_in_the_id(patch: pytest.MonkeyPatch) -> None:
    """
    What is sent again has the same id.
    """
    event_id = Event.event_id
    patch.setattr(Event, "event_id", lambda self, attempt=0, answers=None: event_id(self, answers=answers))


def version_of_the_ack(patch: pytest.MonkeyPatch) -> None:
    """
    The seller takes an ack for one of what it wants now.
    """
    apply = acknowledgements.apply

    def gullible(session: Any, seller: Any, ack: Any, /, *, now: Any) -> Outcome:
        component = Component(ack.source_app or "", ack.product_id or "")
        row = lock(session, seller.ledger, key_of(ack.source_purchase_id, component))
        taken = ack if row is None else ack.model_copy(update={"version": row.version})
        return apply(session, seller, taken, now=now)

    patch.setattr(acknowledgements, "apply", gullible)


def unique_constraint(patch: pytest.MonkeyPatch) -> None:
    """
    The granter's table lets in two rows for one source.
    """
    numbers = count()

    def insert(session: Any, model: Any, key: Mapping[str, object], values: Mapping[str, object]) -> Any:
        row = model(**key, **{**values, "id": f"ent-{next(numbers)}"})
        session.add(row)
        session.flush()
        return row

    from crossapp_ah.testing import Entitlement

    table = table_of(Entitlement)
    kept = {each for each in table.constraints if not hasattr(each, "columns") or len(each.columns) != 3}
    patch.setattr(table, "constraints", kept)
    patch.setattr(entitlements, "lock_or_create", insert)


def sending_failed_rows(patch: pytest.MonkeyPatch) -> None:
    """
    What has failed is not sent again.
    """

    def take(session: Any, table: Any, *conditions: Any, **options: Any) -> Any:
        return owed.take(session, table, *conditions, column_of(table, "status") != "failed", **options)

    patch.setattr(outbox, "owed", SimpleNamespace(**{**vars(owed), "take": take}))


def asking_again(patch: pytest.MonkeyPatch) -> None:
    """
    The seller never asks who holds what a linked buyer has.
    """
    patch.setattr(buyers, "ask_again", lambda *_, **__: None)
    patch.setattr(buyers, "is_linked", lambda *_: False)


def own_link(patch: pytest.MonkeyPatch) -> None:
    """
    The granter opens for whoever has the buyer's address.
    """

    def by_address(session: Any, granter: Any, request: Any) -> str | None:
        user = granter.users.by_verified_email(session, request.buyer_email or "")
        return None if user is None else str(user.id)

    patch.setattr(entitlements, "_local_user", by_address)


def second_look_of_the_claim(patch: pytest.MonkeyPatch) -> None:
    """
    A claim doesn't look whether its link still stands.
    """

    def any_link(session: Any, model: Any, key: Mapping[str, object], **options: Any) -> Any:
        return lock(session, model, {name: value for name, value in key.items() if name != "active"}, **options)

    patch.setattr(claims, "lock", any_link)


def claim_by_cron(patch: pytest.MonkeyPatch) -> None:
    """
    What a link should have claimed and didn't is never found.
    """
    patch.setattr(claims, "waiting", lambda *_, **__: Outcome())


def acknowledgement_of_links(patch: pytest.MonkeyPatch) -> None:
    """
    A link counts as known to the peer as soon as it was announced.
    """
    renumber = link_rows.renumber

    def known(linker: Any, row: Any, version: int, *, now: Any) -> None:
        row.acknowledged_version = version
        renumber(linker, row, version, now=now)

    patch.setattr(links, "renumber", known)


def settling_of_conflicts(patch: pytest.MonkeyPatch) -> None:
    """
    Of two links that exclude each other the one that came last stands.
    """
    patch.setattr(links, "beats", lambda one, other: False)


def number_of_an_explicit_link(patch: pytest.MonkeyPatch) -> None:
    """
    A link that a person confirmed has the number of any other.
    """
    patch.setattr(links, "explicit_after", lambda version: version + 1 + version % 2)


@dataclass(frozen=True)
class Expected:
    """
    How a bug shows.
    """

    invariants: set[int]
    """Of which one is broken; 0 is that all comes to rest."""
    by: str
    """What is enough to show it."""
    first: int = 0
    """The first history of those that shows it; the others needn't be lived through each time."""


_SALES = "buy refund win transfer"
PLANTS: Mapping[Plant, Expected] = {
    version_check: Expected({1, 2, 4, 5, 6}, f"{_SALES} repeat postpone", 2),
    tombstone: Expected({1, 2, 6}, f"{_SALES} lose postpone", 6),
    attempt_in_the_id: Expected({0}, f"{_SALES} lose trouble", 3),
    version_of_the_ack: Expected({6}, f"{_SALES} repeat postpone", 6),
    unique_constraint: Expected({3}, f"{_SALES} repeat"),
    sending_failed_rows: Expected({0}, "buy withdraw teach"),
    asking_again: Expected({0, 6}, "buy link lose", 10),
    own_link: Expected({5}, "buy"),
    second_look_of_the_claim: Expected({5}, "buy link unlink postpone repeat", 7),
    claim_by_cron: Expected({2}, "buy link lose", 14),
    acknowledgement_of_links: Expected({7}, "link"),
    settling_of_conflicts: Expected({0, 7}, "link part postpone"),
    number_of_an_explicit_link: Expected({7}, "link"),
}


def hunt(plant: Plant, *, most: int, focused: bool) -> tuple[Failure | None, int, int]:
    """
    Look for a history that shows a bug: how it failed, the steps until then, and which history that was.

    Args:
        plant: The bug.
        most: After how many steps to give up.
        focused: Whether to look only among histories of what may show it.
    """
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        world = World(make_shop, make_school, both=(make_shop, make_school))
        only = PLANTS[plant].by.split() if focused else ()
        for number in count(PLANTS[plant].first if focused else 0):
            failure = try_history(world, f"0.{number}", only=only)
            if failure is not None or world.steps > most:
                return failure, world.steps, number
    raise AssertionError


def main(names: list[str]) -> None:
    """
    Tell of each.
    """
    logging.disable(logging.CRITICAL)
    sys.stdout.write(
        "| removed | invariant that failed | steps | history | detail |\n| --- | --- | --- | --- | --- |\n"
    )
    for plant in PLANTS:
        if {*names} - {"--focused"} and plant.__name__ not in names:
            continue
        failure, steps, number = hunt(plant, most=40_000, focused="--focused" in names)
        error = None if failure is None else failure.error
        broken = f"{error.number} {error.NAMES[error.number]}" if isinstance(error, BrokenError) else repr(error)[:80]
        sys.stdout.write(f"| {plant.__name__} | {broken} | {steps} | {number} | {str(error)[:150]} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
