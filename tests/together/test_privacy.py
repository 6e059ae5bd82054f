from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import insert
from sqlmodel import Session, col

import crossapp_tt as tt
from crossapp_tt.ports import Purchase
from tests.hosts import ShopPurchase
from tests.together.apps import BUNDLE_SOLD, SCHOOL_KEY, SELLER, metadata
from tests.together.attack import PRIVATE, Attack
from tests.together.forging import Data, signed
from tests.together.world import ADA, World

ODD_ADDRESSES = {
    "<script>alert(1)</script>@example.com": "<script>alert(1)</script>@example.com",
    '\';drop/**/table"Entitlement";--@example.com': '\';drop/**/table"entitlement";--@example.com',
    "{{7*7}}%s${x}@example.com": "{{7*7}}%s${x}@example.com",
    " ada@example.com\r\n": "ada@example.com",
    "ada@example.com\r\nBcc: eve@example.com": None,
    "ada@exam\x00ple.com": None,
    "ada": None,
    "a" * 100_000 + "@example.com": None,
}


class TestOddAddresses:
    @pytest.mark.parametrize(("address", "kept"), ODD_ADDRESSES.items(), ids=range(len(ODD_ADDRESSES)))
    async def test_in_a_sale(
        self, world: World, caplog: pytest.LogCaptureFixture, address: str, kept: str | None
    ) -> None:
        """
        An address of the shop that is one is passed on to the letter; the sale of one that is none goes on without.
        """
        attack = Attack(world, caplog)
        await world.sale("p1", email=address)

        assert world.shop.row().buyer_email == world.school.entitlement().pending_for_email == kept
        assert attack.leaks() == []
        world.assert_agreement()

    @pytest.mark.parametrize(("address", "kept"), ODD_ADDRESSES.items(), ids=range(len(ODD_ADDRESSES)))
    async def test_in_an_event(
        self, world: World, caplog: pytest.LogCaptureFixture, address: str, kept: str | None
    ) -> None:
        """
        A signed event is refused for an address that is none, which the message doesn't repeat.
        """
        data: Data = {"sourceApp": SELLER, "purchaseId": "p1", "productId": "course", "version": 1}
        data["buyerEmail"] = address
        attack = Attack(world, caplog)
        world.school.environment.emit(BUNDLE_SOLD, signed(data, name=BUNDLE_SOLD), id="e1")
        if kept is None:
            message = await attack.failed(world.school, "handle-bundle-purchase", answered=True)
            assert "schema: the data of bundle/purchased: buyerEmail: is no e-mail address" in message
            return
        await world.settle()
        assert world.school.entitlement().pending_for_email == kept
        assert attack.leaks() == []

    async def test_odd_ids(self, world: World) -> None:
        """
        Ids that look like SQL or HTML are ids like others.
        """
        product = 'course\'); drop table "Entitlement"; --<b>'
        world.shop.offer("bundle", metadata(product))
        world.school.teach(product)
        await world.sale("p1' or 1=1 --", **ADA)
        await world.sale("p1", **ADA)

        assert [row.source_purchase_id for row in world.school.entitlements()] == ["p1", "p1' or 1=1 --"]
        assert world.school.opens("ada-at-school", product)
        assert not world.school.opens("ada-at-school' or '1'='1", product)
        world.assert_agreement()


class Leaking(tt.TablePurchases):
    """
    A shop's purchases, by a statement that its database refuses, saying an address.
    """

    def __init__(self) -> None:
        super().__init__(ShopPurchase, owned=col(ShopPurchase.status) == "Valid")

    def get(self, session: Session, purchase_id: str, *, lock: bool = False) -> Purchase | None:
        """
        Fail.
        """
        same = {"id": "ada@example.com", "product_id": "bundle", "email": "ada@example.com", "status": "Valid"}
        session.execute(insert(ShopPurchase).values(same))
        session.execute(insert(ShopPurchase).values(same))
        return None


class TestPrivacy:
    async def test_database_errors(self, any_world: World, caplog: pytest.LogCaptureFixture) -> None:
        """
        Databases write values into their errors: Inngest gets no more than the error's class and code.
        """
        world = any_world
        attack = Attack(world, caplog)
        await world.shop.open(world.shop_settings, purchases=Leaking())
        world.shop.created("p1")
        await world.settle(timedelta(seconds=10))

        [error] = [json.loads(reported) for reported in world.shop.reported]
        assert error["name"] == "StorageError"
        assert error["message"].startswith("record_sale was rolled back: ")
        assert "Traceback" in error["stack"]
        assert attack.leaks() == []

    async def test_all_kinds_of_trouble(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        """
        A story with every kind of trouble writes nothing private into a log, an error or the ledger's messages.
        """
        attack = Attack(world, caplog)
        echo = {"error": f"{SCHOOL_KEY}: no room for ada@example.com, proof eyJhbGciOi.eyJpc3Mi.c2ln"}
        for status in (503, 429, 401, 302, 400):
            headers = {"location": f"https://evil.example/e/{SCHOOL_KEY}"} if status == 302 else {}
            world.school.environment.answer_next(status, echo, headers)
        await world.sale("p1", **ADA)
        world.school.environment.answer_next(401, echo)
        world.school.environment.emit(BUNDLE_SOLD, {"sourceApp": SELLER, "buyerEmail": "eve@example.com"}, id="e1")
        await world.refund("p1")
        world.school.environment.down = True
        await world.sale("p2", **ADA)
        await world.live(timedelta(hours=1), every=timedelta(minutes=10))

        failed = [row for row in world.shop.ledger() if row.status == "failed"]
        assert len(failed) > 0
        assert {"peer-key-refused", "peer-unavailable"} <= {problem.code for problem in world.shop.problems}
        assert len(world.shop.reported) > 0
        assert len(world.school.reported) > 0
        assert attack.leaks() == []
        messages = "\n".join(row.error_message or "" for row in failed)
        assert [word for word in PRIVATE if word in messages] == []

    async def test_shown_to_nobody(self, sold: World) -> None:
        """
        What a debugger or an error reporter shows of the bridges and rows holds nothing private.
        """
        shown = [
            repr(part)
            for app in (sold.shop, sold.school)
            for part in (
                app.bridge,
                app.bridge.client,
                app.bridge.settings,
                *app.bridge.settings.peers.values(),
                app.bridge.host,
                *app.bridge.functions,
            )
        ]
        shown += [repr(row) for row in [*sold.shop.ledger(), *sold.school.entitlements()]]
        with sold.shop.database.session() as session:
            sold.shop.change("p1", status="Refunded")
            shown.append(repr(sold.shop.bridge.record(session, "p1")))
        assert [word for word in PRIVATE if word in "\n".join(shown)] == []
