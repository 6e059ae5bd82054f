from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from crossapp_core import Settings
from crossapp_core.events import (
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
    EntitlementRevoked,
    Event,
)
from tests.together.apps import GRANTER, OTHER, OTHER_KEY, OTHER_SECRET, SCHOOL_KEY, SELLER, SHOP_KEY, App, peer
from tests.together.attack import Attack
from tests.together.forging import Data, handmade, signed
from tests.together.world import World

SCHOOL_SECRET = "a secret of the school and the other app"
BETWEEN = {SELLER: OTHER_SECRET, GRANTER: SCHOOL_SECRET}
"""The other app's own secrets, by whom it shares them with."""

SENT: dict[type[Event], tuple[str, dict[str, Any]]] = {
    BundlePurchased: (GRANTER, {"purchase_id": "p1", "buyer_user_id": "eve"}),
    EntitlementRevoke: (GRANTER, {"purchase_id": "p1", "reason": "refunded"}),
    EntitlementGranted: (
        SELLER,
        {"source_purchase_id": "p1", "entitlement_id": "e9", "status": "active", "user_id": "eve"},
    ),
    EntitlementRevoked: (SELLER, {"source_purchase_id": "p1"}),
    EntitlementFailed: (SELLER, {"source_purchase_id": "p1", "code": "user-gone", "message": "Gone."}),
}
"""To whom each goes, and what it says."""

HANDLERS = {
    BundlePurchased: "handle-bundle-purchase",
    EntitlementRevoke: "handle-revocation",
    EntitlementGranted: "handle-entitlement-granted",
    EntitlementRevoked: "handle-entitlement-revoked",
    EntitlementFailed: "handle-entitlement-failed",
}

IMPOSTURES: dict[str, tuple[Callable[[Data, str, str, str], Data], str]] = {
    "signed in the other's name": (
        lambda data, name, victim, target: signed(data, key=BETWEEN[target], name=name, source=victim, target=target),
        "signature: the proof is signed with a secret that we don't know",
    ),
    "signed in its own name": (
        lambda data, name, _, target: signed(data, key=BETWEEN[target], name=name, source=OTHER, target=target),
        "signature: the proof is signed with a secret that we don't know",
    ),
    "signed as its own and then renamed": (
        lambda data, name, victim, target: {
            **signed({**data, "sourceApp": OTHER}, key=BETWEEN[target], name=name, source=OTHER, target=target),
            "sourceApp": victim,
        },
        "signature: the proof is signed with a secret that we don't know",
    ),
    "under the name of the other's key": (
        lambda data, name, victim, target: handmade(data, key=BETWEEN[target]),
        "signature: the proof doesn't hold",
    ),
    "with what it shares with somebody else": (
        lambda data, name, victim, target: signed(data, key=BETWEEN[victim], name=name, source=victim, target=target),
        "signature: the proof is signed with a secret that we don't know",
    ),
}
"""How the other app may try to speak for one of the two, and why it is refused."""


@pytest.fixture
async def three(sold: World) -> World:
    """
    Both apps after a sale, and a third that is a peer of both, with a secret for each of them.
    """
    shop, school = sold.shop.environment.url, sold.school.environment.url
    nowhere = "http://127.0.0.1:1"
    to_shop = [peer(GRANTER, school, SCHOOL_KEY), peer(OTHER, nowhere, OTHER_KEY, BETWEEN[SELLER])]
    to_school = [peer(SELLER, shop, SHOP_KEY), peer(OTHER, nowhere, OTHER_KEY, BETWEEN[GRANTER])]
    await sold.shop.open(Settings(SELLER, to_shop, dev=True))
    await sold.school.open(Settings(GRANTER, to_school, dev=True))
    return sold


class TestImpostor:
    @pytest.mark.parametrize("kind", SENT, ids=lambda kind: kind.name)
    async def test_refused(self, three: World, caplog: pytest.LogCaptureFixture, kind: type[Event]) -> None:
        """
        An app can't speak for another one with a secret of its own, to the seller or to the granter.
        """
        target = SENT[kind][0]
        [victim] = {SELLER, GRANTER} - {target}
        for how, (forge, expected) in IMPOSTURES.items():
            attack = Attack(three, caplog)
            three.clock.advance(timedelta(hours=25))  # or else its id would be a repetition
            data = forge(event(three, kind, source=victim).to_wire(), kind.name, victim, target)
            app_of(three, target).environment.emit(kind.name, data, id="e1")

            assert expected in await attack.failed(app_of(three, target), HANDLERS[kind]), how
            assert three.school.opens("ada-at-school")


class TestInItsOwnName:
    async def test_sale(self, three: World) -> None:
        """
        For itself it may speak: a sale of its own under the same id is another source, beside the first.
        """
        send(three, BundlePurchased)
        await three.settle()

        assert [(row.source_app, row.status) for row in three.school.entitlements()] == [
            (SELLER, "active"),
            (OTHER, "pending"),
        ]
        assert three.school.opens("ada-at-school")

    async def test_revocation(self, three: World) -> None:
        """
        And what it takes back is its own, never the other's.
        """
        send(three, EntitlementRevoke)
        await three.settle()

        assert [(row.source_app, row.status) for row in three.school.entitlements()] == [
            (SELLER, "active"),
            (OTHER, "revoked"),
        ]
        assert three.school.opens("ada-at-school")


def send(world: World, kind: type[Event]) -> None:
    """
    Let an event of the third app arrive at the granter, signed as it should be.
    """
    ours = Settings(OTHER, [peer(GRANTER, "http://127.0.0.1:1", SCHOOL_KEY, BETWEEN[GRANTER])], dev=True)
    world.school.receive(event(world, kind, source=OTHER), id="e1", settings=ours, target=GRANTER)


def event(world: World, kind: type[Event], *, source: str) -> Event:
    """
    What the third app would like the seller or the granter to believe.
    """
    known: dict[str, Any] = {"product_id": "course", "version": world.shop.row().version + 1}
    return kind(source_app=source, **known, **SENT[kind][1])


def app_of(world: World, app_id: str) -> App:
    """
    The app with that id.
    """
    return world.shop if app_id == SELLER else world.school
