from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from crossapp_core import Settings
from crossapp_core.events import EntitlementFailed, EntitlementGranted, EntitlementRevoked, Event
from crossapp_core.testing import LocalInngest
from tests.databases import open_database
from tests.together.apps import (
    BUNDLE_SOLD,
    FAILED,
    GRANTED,
    GRANTER,
    OTHER,
    OTHER_KEY,
    OTHER_SECRET,
    REVOKE,
    REVOKED,
    SCHOOL_KEY,
    SELLER,
    SHOP_KEY,
    peer,
)
from tests.together.attack import Attack
from tests.together.forging import FORGED, HUGE, Data, answer, revoke, signed
from tests.together.world import ADA, World


class TestForgedRevocation:
    @pytest.fixture(scope="class")
    @staticmethod
    def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
        """
        Both apps after a sale, for many attacks, since none of them changes anything.
        """
        folder = tmp_path_factory.mktemp("besieged")
        with (
            LocalInngest() as local,
            open_database("sqlite", folder, "shop") as shop,
            open_database("sqlite", folder, "school") as school,
        ):
            world = asyncio.run(World.open(local, shop, school))
            asyncio.run(world.sale("p1", **ADA))
            yield world
            asyncio.run(world.close())

    @pytest.mark.parametrize("case", FORGED)
    async def test_refused(self, besieged: World, caplog: pytest.LogCaptureFixture, case: str) -> None:
        """
        An event that isn't the peer's own, whole and meant for us, changes nothing and fails once, saying why.
        """
        make, expected = FORGED[case]
        attack = Attack(besieged, caplog)
        besieged.clock.advance(timedelta(hours=25))  # or else its id would be a repetition
        besieged.school.environment.emit(REVOKE, make(besieged), id="e1")

        message = await attack.failed(besieged.school, "handle-revocation")
        assert message.startswith("event-rejected: ")
        assert expected in message
        assert besieged.school.opens("ada-at-school")

    async def test_genuine(self, sold: World) -> None:
        """
        What those were made from is good: it revokes, until the seller, who never asked for that, grants anew.
        """
        version = sold.shop.row().version
        sold.school.environment.emit(REVOKE, signed(revoke(sold)), id="e1")
        await sold.settle()

        assert sold.school.run("handle-revocation").status == "completed"
        assert [data["version"] for data in sold.shop.got(REVOKED)] == [version + 1]
        assert [data["version"] for data in sold.school.got(BUNDLE_SOLD)] == [version, version + 2]
        sold.assert_agreement()

    async def test_replayed(self, sold: World, caplog: pytest.LogCaptureFixture) -> None:
        """
        Genuine events of long ago, sent again by somebody who has kept them, change nothing.
        """
        await sold.refund("p1")
        attack = Attack(sold, caplog)
        rows = sold.rows()
        sold.clock.advance(timedelta(days=400))
        sold.school.repeat(REVOKE)
        sold.school.repeat(BUNDLE_SOLD)
        sold.shop.repeat(REVOKED)
        sold.shop.repeat(GRANTED)
        await sold.settle()

        assert sold.rows() == rows
        assert not sold.school.opens("ada-at-school")
        assert attack.leaks() == []

    async def test_unknown_keys_ignored(self, sold: World) -> None:
        """
        Keys that we don't know are no attribute of anything, however large what they hold.
        """
        more = {"__proto__": "x", "__class__": "y", "purchase_id": "p2", "PURCHASEID": "p3", "padding": HUGE}
        sold.school.environment.emit(REVOKE, signed(revoke(sold, **more)), id="e1")
        await sold.settle()

        assert sold.school.run("handle-revocation").status == "completed"
        assert [data["sourcePurchaseId"] for data in sold.shop.got(REVOKED)] == ["p1"]
        assert sold.school.entitlement().source_purchase_id == "p1"


class TestForgedAnswer:
    @pytest.mark.parametrize(
        ("name", "function"),
        [
            (GRANTED, "handle-entitlement-granted"),
            (REVOKED, "handle-entitlement-revoked"),
            (FAILED, "handle-entitlement-failed"),
        ],
    )
    async def test_unsigned(self, sold: World, caplog: pytest.LogCaptureFixture, name: str, function: str) -> None:
        """
        No answer counts without the granter's proof.
        """
        data = {"sourceApp": GRANTER, "sourcePurchaseId": "p1", "productId": "course", "version": 2**52}
        attack = Attack(sold, caplog)
        sold.shop.environment.emit(name, {**data, "entitlementId": "e9", "code": "user-gone"}, id="e1")

        assert "signature: the event has no proof" in await attack.failed(sold.shop, function)

    async def test_our_own(self, sold: World, caplog: pytest.LogCaptureFixture) -> None:
        """
        An event that comes back to the app that sent it says that the event keys may be swapped.
        """
        attack = Attack(sold, caplog)
        event = EntitlementRevoked(source_app=SELLER, source_purchase_id="p1", product_id="course", version=1)
        sold.shop.receive(event, id="e1", settings=sold.shop_settings, target=GRANTER)

        message = await attack.failed(sold.shop, "handle-entitlement-revoked")
        assert "is the peer's event key one of our own environment?" in message

    async def test_contradicting(self, sold: World, caplog: pytest.LogCaptureFixture) -> None:
        """
        The granter can't call revoked what was to be granted at that version, nor the other way round.
        """
        attack = Attack(sold, caplog)
        sold.send_to_shop(answer(sold, EntitlementRevoked), id="e1")
        message = await attack.failed(sold.shop, "handle-entitlement-revoked")
        assert "event-rejected: state: entitlement/revoked answers version" in message

        await sold.refund("p1")
        attack = Attack(sold, caplog)
        sold.send_to_shop(answer(sold, EntitlementGranted, entitlement_id="e1", status="active"), id="e2")
        message = await attack.failed(sold.shop, "handle-entitlement-granted")
        assert "event-rejected: state: entitlement/granted answers version" in message

    async def test_absurd_version(self, sold: World, caplog: pytest.LogCaptureFixture) -> None:
        """
        The granter can't leave the seller without a number for its refund.
        """
        attack = Attack(sold, caplog)
        for kind in (EntitlementRevoked, EntitlementFailed):
            fields = {"code": "odd", "message": "Odd."} if kind is EntitlementFailed else {}
            sold.send_to_shop(answer(sold, kind, version=2**53 - 1, **fields), id=f"of {kind.name}")
            message = await attack.failed(sold.shop, f"handle-{kind.name.replace('/', '-')}")
            assert "event-rejected: state: " in message

    @pytest.mark.parametrize("name", [BUNDLE_SOLD, REVOKE, "user/oauth-login"])
    async def test_wrong_direction(self, sold: World, name: str) -> None:
        """
        What only a granter gets runs nothing at a seller.
        """
        before, runs = sold.rows(), len(sold.shop.runs)
        sold.shop.environment.emit(name, signed(revoke(sold), name=name), id="e1")
        await sold.settle()

        assert (sold.rows(), len(sold.shop.runs)) == (before, runs)

    @pytest.mark.parametrize("name", [GRANTED, REVOKED, FAILED, "purchase/created", "purchase/refunded"])
    async def test_wrong_direction_at_granter(self, sold: World, name: str) -> None:
        """
        What only a seller gets runs nothing at a granter.
        """
        before, runs = sold.rows(), len(sold.school.runs)
        sold.school.environment.emit(name, signed(revoke(sold), name=name), id="e1")
        await sold.settle()

        assert (sold.rows(), len(sold.school.runs)) == (before, runs)


class TestThirdApp:
    @pytest.fixture
    async def sold(self, sold: World) -> World:
        """
        A shop that has another peer, with a secret of its own.
        """
        granters = [
            peer(GRANTER, sold.school.environment.url, SCHOOL_KEY),
            peer(OTHER, "http://127.0.0.1:1", OTHER_KEY, OTHER_SECRET),
        ]
        await sold.shop.open(Settings(SELLER, granters, dev=True))
        return sold

    @pytest.mark.parametrize("kind", [EntitlementRevoked, EntitlementFailed])
    async def test_answers_for_another(self, sold: World, caplog: pytest.LogCaptureFixture, kind: type[Any]) -> None:
        """
        An app can't answer for a component of another app, whatever version it names.
        """
        fields = {
            REVOKED: {},
            FAILED: {"code": "user-gone", "message": "Gone."},
        }[kind.name]
        version = sold.shop.row().version
        for offset in (-1, 0, 1):
            attack = Attack(sold, caplog)
            event = answer(sold, kind, version=version + offset, **fields).model_copy(update={"source_app": OTHER})
            self._send(sold, event, id=f"e{offset}")
            message = await attack.failed(sold.shop, f"handle-{kind.name.replace('/', '-')}")
            assert "direction: epic-web answers for course of p1, which is another app's" in message

    async def test_says_that_it_has_unlocked_it(self, sold: World) -> None:
        """
        One that says it has unlocked another app's component is to lock it; the other app's row stays as it is.
        """
        before = sold.shop.row().model_dump()
        fields = {"entitlement_id": "e9", "status": "active", "user_id": "eve"}
        event = answer(sold, EntitlementGranted, version=7, **fields).model_copy(update={"source_app": OTHER})
        self._send(sold, event, id="e1")
        await sold.settle(timedelta(0))

        rows = {row.target_app: row for row in sold.shop.ledger()}
        assert rows[GRANTER].model_dump() == before
        assert (rows[OTHER].desired, rows[OTHER].target_user_id) == ("revoked", None)

    async def test_in_another_name(self, sold: World, caplog: pytest.LogCaptureFixture) -> None:
        """
        An app can't sign with its own secret in another app's name.
        """
        attack = Attack(sold, caplog)
        data: Data = dict(answer(sold, EntitlementFailed, code="user-gone", message="Gone.").to_wire())
        forged = signed(data, key=OTHER_SECRET, name=FAILED, source=GRANTER, target=SELLER)
        sold.shop.environment.emit(FAILED, forged, id="e1")

        message = await attack.failed(sold.shop, "handle-entitlement-failed")
        assert "signature: the proof is signed with a secret that we don't know" in message

    async def test_with_another_source(self, sold: World, caplog: pytest.LogCaptureFixture) -> None:
        """
        An app can't change in its event who sends it.
        """
        attack = Attack(sold, caplog)
        data: Data = dict(answer(sold, EntitlementFailed, code="user-gone", message="Gone.").to_wire())
        its_own = {**data, "sourceApp": OTHER}
        proof = signed(its_own, key=OTHER_SECRET, name=FAILED, source=OTHER, target=SELLER)["proof"]
        sold.shop.environment.emit(FAILED, {**data, "proof": proof}, id="e1")

        assert "event-rejected: signature: " in await attack.failed(sold.shop, "handle-entitlement-failed")

    def _send(self, world: World, event: Event, *, id: str) -> None:  # noqa: A002
        settings = Settings(OTHER, [peer(SELLER, "http://127.0.0.1:1", SHOP_KEY, OTHER_SECRET)], dev=True)
        world.shop.receive(event, id=id, settings=settings, target=SELLER)
