"""
What both databases must say when all has come to rest, by the sales alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlmodel import SQLModel, select

from crossapp_ah.models import AccountLink, Entitlement
from crossapp_tt.models import CrossAppSync
from examples.two_apps.seller.models import Purchase
from tests.crashes.people import COURSES, Sale, Story
from tests.crashes.world import World


def differences(story: Story) -> list[str]:
    """
    All that isn't as it must be; nothing after a good end.
    """
    world = story.world
    return [*_of_purchases(story), *_of_rows(story), *_of_links(story), *_owed(world), *_unended(world)]


def _of_purchases(story: Story) -> Iterator[str]:
    found = Counter(row.checkout_session_id for row in _all(story.world, "shop", Purchase))
    wanted = Counter(sale.checkout for sale in story.sales)
    if found != wanted:
        yield f"the shop has other purchases than were made: {found - wanted} too many, {wanted - found} too few"


def _of_rows(story: Story) -> Iterator[str]:
    checkouts = {row.id: row.checkout_session_id for row in _all(story.world, "shop", Purchase)}
    rows, held = _all(story.world, "shop", CrossAppSync), _all(story.world, "school", Entitlement)
    ledger = _by_sale([(row.purchase_id, row.target_product_id, row) for row in rows], checkouts)
    entitlements = _by_sale([(row.source_purchase_id, row.product_id, row) for row in held], checkouts)
    for sale in story.sales:
        for course in COURSES:
            here, there = ledger.pop((sale.checkout, course), []), entitlements.pop((sale.checkout, course), [])
            if sale.unheard and sale.refunded and not here and not there:
                continue  # the bridge hasn't seen it while it was owned
            if (len(here), len(there)) != (1, 1):
                yield f"{sale}, {course}: {len(here)} rows in the ledger and {len(there)} entitlements"
                continue
            if not _is_right(sale, here[0], there[0]):
                yield f"{sale}, {course}: {here[0]!r}, {there[0]!r}"
            if here[0].version != there[0].source_version:
                yield f"{sale}, {course}: versions {here[0].version} and {there[0].source_version}"
    yield from (f"{key}: nobody has bought that" for key in [*ledger, *entitlements])


def _is_right(sale: Sale, here: CrossAppSync, there: Entitlement) -> bool:
    if sale.refunded:  # whoever held it, if anybody did
        return (here.desired, here.status, there.status) == ("revoked", "revoked", "revoked")
    status = "pending" if sale.holder is None else "active"
    said = (here.desired, here.status, here.target_user_id, there.status, there.user_id)
    return said == ("granted", "synced", sale.holder, status, sale.holder)


def _of_links(story: Story) -> Iterator[str]:
    wanted = {(buyer.user_id, buyer.member_id) for buyer in story.buyers if buyer.linked}
    here = [(row.user_id, row.linked_user_id) for row in _all(story.world, "shop", AccountLink) if row.active]
    there = [(row.linked_user_id, row.user_id) for row in _all(story.world, "school", AccountLink) if row.active]
    for app, found in (("shop", here), ("school", there)):
        if sorted(found) != sorted(wanted):
            yield f"links at the {app}: {sorted(found)}, not {sorted(wanted)}"


def _owed(world: World) -> Iterator[str]:
    for app, model in (
        ("shop", CrossAppSync),
        ("school", Entitlement),
        ("shop", AccountLink),
        ("school", AccountLink),
    ):
        for row in _all(world, app, model):
            if row.next_attempt_at is not None:
                yield f"still owed at the {app}: {row!r}"
            if isinstance(row, AccountLink) and row.acknowledged_version != row.version:
                yield f"unacknowledged at the {app}: {row!r}"


def _unended(world: World) -> Iterator[str]:
    for app in world.apps:
        for run in app.environment.log.runs:
            if run.status == "running":
                yield f"{run.full_id} runs for ever"


def _by_sale(rows: Sequence[tuple[Any, Any, Any]], checkouts: Mapping[str, str]) -> dict[tuple[str, str], list[Any]]:
    found: dict[tuple[str, str], list[Any]] = {}
    for purchase_id, product_id, row in rows:
        found.setdefault((checkouts.get(purchase_id, purchase_id), product_id), []).append(row)
    return found


def _all(world: World, app: str, model: type[SQLModel]) -> Sequence[Any]:
    with world.session(app) as session:
        return session.exec(select(model)).all()
