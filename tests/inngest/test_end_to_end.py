"""
What must hold from end to end, whichever Inngest it is.

Two dev servers join in where `CROSSAPP_INNGEST_SELLER_URL` and `CROSSAPP_INNGEST_GRANTER_URL` name them.
"""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest

from crossapp_core import CrossAppClient, Peer, Settings
from crossapp_core.events import BundlePurchased, EntitlementRevoke
from examples.two_apps.stripe_events import load
from tests.examples.rows import entitlements, ledger, purchases
from tests.inngest.worlds import World

COURSE = "course_evals"
GRANT, REVOKE = "ai-hero-handle-bundle-purchase", "ai-hero-handle-revocation"


class Payment:
    """
    One payment at Stripe; servers remember events, so each has other ids.
    """

    def __init__(self, *, guest: bool = False) -> None:
        self.number = uuid4().hex
        stranger: dict[str, object] = {"email": "stranger@example.com"}
        self.who = {"client_reference_id": None, "customer_details": stranger} if guest else {}

    @property
    def made(self) -> dict[str, object]:
        """
        The event that it was made.
        """
        ids = {"id": f"cs_test_{self.number}", "payment_intent": f"pi_{self.number}"}
        return load("checkout.session.completed", **ids, **self.who)

    @property
    def refunded(self) -> dict[str, object]:
        """
        The event that it was paid back.
        """
        return load("charge.refunded", id=f"ch_{self.number}", payment_intent=f"pi_{self.number}")


def statuses(world: World) -> tuple[list[str], list[str | None]]:
    """
    Of all rows in the shop's ledger, and of all entitlements at the school.
    """
    held = entitlements(world.databases.school)
    return [row.status for row in ledger(world.databases.shop)], [entitlement.status for entitlement in held]


async def bought(world: World, payment: Payment, status: str) -> None:
    """
    Buy the bundle, and wait until both apps agree that the school's side has that *status*.
    """
    await world.stripe(payment.made)
    await world.until("the purchase", lambda: statuses(world) == (["synced"], [status]))


class TestSale:
    async def test_linked_buyer(self, world: World) -> None:
        """
        What a linked buyer buys opens at the school, and the shop knows for whom.
        """
        await bought(world, Payment(), "active")
        [row], [entitlement] = ledger(world.databases.shop), entitlements(world.databases.school)
        assert (row.version, row.target_user_id) == (entitlement.source_version, entitlement.user_id)
        assert entitlement.user_id == "member_ada"
        assert await world.open(COURSE, address="ada@work.example") == 200

    async def test_unknown_buyer(self, world: World) -> None:
        """
        What somebody buys whom the school doesn't know waits there, and opens for nobody.
        """
        await bought(world, Payment(guest=True), "pending")
        [entitlement] = entitlements(world.databases.school)
        assert (entitlement.user_id, entitlement.pending_for_email) == (None, "stranger@example.com")
        assert await world.open(COURSE, address="ada@work.example") == 403

    async def test_repeated_webhook(self, world: World) -> None:
        """
        A sale that Stripe tells twice is one sale.
        """
        payment = Payment()
        await bought(world, payment, "active")
        before = ledger(world.databases.shop), entitlements(world.databases.school)
        await world.stripe(payment.made)
        await bought(world, payment, "active")
        assert (ledger(world.databases.shop), entitlements(world.databases.school)) == before
        assert len(purchases(world.databases.shop)) == 1

    async def test_repeated_event(self, world: World) -> None:
        """
        The same grant, sent again in an event that Inngest doesn't know yet, changes nothing on either side.
        """
        await bought(world, Payment(), "active")
        before = ledger(world.databases.shop), entitlements(world.databases.school)
        [row] = ledger(world.databases.shop)
        event = BundlePurchased(
            purchase_id=row.purchase_id,
            product_id=row.target_product_id,
            buyer_email=row.buyer_email,
            buyer_user_id=row.buyer_user_id,
            bundle_product_id=row.bundle_product_id,
            purchased_at=row.purchased_at,
            version=row.version,
        )
        with shop_client(world) as client:
            client.send_cross_app_event_sync("ai-hero", event, attempt=1)
        await world.until("the second run", lambda: world.school_calls.ended(GRANT) == 2)
        await world.until(
            "the second answer", lambda: world.shop_calls.ended("total-typescript-handle-entitlement-granted") == 2
        )
        assert (ledger(world.databases.shop), entitlements(world.databases.school)) == before


class TestRefund:
    @pytest.mark.parametrize(("guest", "status"), [(False, "active"), (True, "pending")])
    async def test_refund(self, world: World, guest: bool, status: str) -> None:
        """
        A refund takes back what was open, and what was waiting.
        """
        payment = Payment(guest=guest)
        await bought(world, payment, status)
        await world.stripe(payment.refunded)
        await world.until("the refund", lambda: statuses(world) == (["revoked"], ["revoked"]))
        [row], [entitlement] = ledger(world.databases.shop), entitlements(world.databases.school)
        assert row.version == entitlement.source_version
        assert await world.open(COURSE, address="ada@work.example") == 403


class TestForgery:
    async def test_event_without_proof(self, world: World) -> None:
        """
        An event that somebody with an event key made up fails once, and changes nothing.
        """
        await bought(world, Payment(), "active")
        data = forged_refund(world).model_copy(update={"source_app": "total-typescript"}).to_wire()
        url = f"{world.school_environ['INNGEST_BASE_URL']}/e/{world.school_environ['INNGEST_EVENT_KEY']}"
        async with httpx.AsyncClient(trust_env=False) as stranger:
            (await stranger.post(url, json={"name": EntitlementRevoke.name, "data": data})).raise_for_status()
        await failed_once(world)

    async def test_event_with_another_secret(self, world: World) -> None:
        """
        An event that is signed, but not with the apps' secret, fails once, and changes nothing.
        """
        await bought(world, Payment(), "active")
        with shop_client(world, secret="another secret, of the right length") as stranger:
            stranger.send_cross_app_event_sync("ai-hero", forged_refund(world))
        await failed_once(world)


def forged_refund(world: World) -> EntitlementRevoke:
    """
    The refund of what was bought, newer than all that the shop has said.
    """
    [row] = ledger(world.databases.shop)
    return EntitlementRevoke(
        purchase_id=row.purchase_id, product_id=COURSE, reason="refunded", version=row.version + 1_000_000
    )


async def failed_once(world: World) -> None:
    """
    Check that the revocation was tried once, is not to be tried again, and changed nothing.
    """
    await world.until("the failure", lambda: bool(world.school_calls.of(REVOKE)))
    assert [(call.status, call.final) for call in world.school_calls.of(REVOKE)] == [(500, True)]
    assert statuses(world) == (["synced"], ["active"])
    assert await world.open(COURSE, address="ada@work.example") == 200
    assert world.shop_calls.of("total-typescript-handle-entitlement-revoked") == []


def shop_client(world: World, *, secret: str | None = None) -> CrossAppClient:
    """
    What sends events in the shop's name, signed with its secret or with another.
    """
    environ = world.shop_environ
    peer = Peer(
        app_id="ai-hero",
        event_key=environ["AI_HERO_INNGEST_EVENT_KEY"],
        secret=secret or environ["CROSS_APP_SECRET"],
        base_url=environ["AI_HERO_INNGEST_BASE_URL"],
    )
    return CrossAppClient(Settings("total-typescript", [peer], dev=True))
