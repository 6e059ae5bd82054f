from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlmodel import Session

from examples.two_apps import stripe_events
from examples.two_apps.seller.models import Product
from examples.two_apps.stripe_events import load
from examples.two_apps.together import Stack
from tests.examples.conftest import SHOPS, Apps
from tests.examples.rows import ledger, purchases

SALE, EXPANDED = "checkout.session.completed", "checkout.session.completed.expanded"
REFUND, PARTIAL = "charge.refunded", "charge.refunded.partial"


@pytest.fixture(params=SHOPS.values(), ids=list(SHOPS))
def shop(request: pytest.FixtureRequest) -> Stack:
    """
    The shop in each of its forms.
    """
    stack: Stack = request.param
    return stack


def sent(apps: Apps) -> list[tuple[str, object]]:
    """
    The shop's own events that its Inngest ran something for.
    """
    received = [event for event in apps.both.shop.inngest.log.received if not event.duplicate]
    return [(event.name, event.data) for event in received]


class TestSignature:
    @pytest.mark.parametrize(
        "signature", [None, "", "t=abc", "t=1,v1=00", "t=99999999999,v1=é", "v1=00", "t=99999999999,v0=00"]
    )
    async def test_request_that_stripe_did_not_sign_is_refused(self, apps: Apps, signature: str | None) -> None:
        """
        A missing, wrong or unreadable signature is answered with 400, and nothing is written.
        """
        body = json.dumps(load(SALE)).encode()
        headers = httpx.Headers({} if signature is None else {"stripe-signature": signature}, encoding="latin-1")
        response = await apps.both.shop.client.post(stripe_events.PATH, content=body, headers=headers)
        assert response.status_code == 400
        assert not purchases(apps.shop)

    async def test_old_signature_is_refused(self, apps: Apps) -> None:
        """
        A signature that is older than five minutes is answered with 400: somebody may have recorded it.
        """
        signed = self._signed(apps, load(SALE), signed_at=time.time() - 301)
        assert (await apps.both.shop.client.post(stripe_events.PATH, **signed)).status_code == 400
        assert not purchases(apps.shop)

    async def test_changed_body_is_refused(self, apps: Apps) -> None:
        """
        A signature counts for the body that it was made for.
        """
        signed = self._signed(apps, load(SALE))
        signed["content"] = signed["content"].replace(b"usr_ada", b"usr_eve")
        assert (await apps.both.shop.client.post(stripe_events.PATH, **signed)).status_code == 400
        assert not purchases(apps.shop)

    @pytest.mark.parametrize("body", [b"{", b"\xff"])
    async def test_signed_rubbish_is_refused(self, apps: Apps, body: bytes) -> None:
        """
        A body that is no JSON is answered with 400, whoever signed it.
        """
        signed = self._signed(apps, load(SALE))
        response = await apps.both.shop.client.post(stripe_events.PATH, content=body, headers=signed["headers"])
        assert response.status_code == 400

    def _signed(self, apps: Apps, event: dict[str, object], *, signed_at: float | None = None) -> dict[str, Any]:
        secret = apps.both.shop.environ["STRIPE_WEBHOOK_SECRET"]
        return stripe_events.request(event, secret, signed_at=signed_at)


class TestSale:
    async def test_signed_in_buyer(self, apps: Apps) -> None:
        """
        A paid checkout becomes a purchase of whoever was signed in, and the shop's own event names it.
        """
        response = await apps.stripe(load(SALE))
        [purchase] = purchases(apps.shop)
        assert (response.status_code, response.json()) == (200, {"purchase": purchase.id})
        assert (purchase.user_id, purchase.email) == ("usr_ada", "ada@example.com")
        assert (purchase.product_id, purchase.status, purchase.amount) == ("prod_TsBundle", "Valid", 24_900)
        assert purchase.created_at.replace(tzinfo=UTC) == datetime(2026, 11, 4, 12, tzinfo=UTC)
        assert (purchase.payment_intent_id, purchase.charge_id) == ("pi_3SPx7hLm4Rk9Tq2Z0aVnB5cD", None)
        assert sent(apps) == [("purchase/created", {"purchaseId": purchase.id})]

    async def test_expanded_checkout_of_a_guest(self, apps: Apps) -> None:
        """
        Where Stripe gives whole objects in place of ids, they are read: the product, the payment and its charge.
        """
        await apps.stripe(load(EXPANDED, metadata={}))
        [purchase] = purchases(apps.shop)
        assert (purchase.user_id, purchase.email, purchase.product_id) == (None, "Grace@Example.com", "prod_TsBundle")
        assert purchase.payment_intent_id == "pi_3SPy2aLm4Rk9Tq2Z1uIoPaSd"
        assert purchase.charge_id == "ch_3SPy2aLm4Rk9Tq2Z1pQwErTy"

    async def test_ledger_is_written_in_the_same_transaction(self, apps: Apps) -> None:
        """
        What is owed to the buyer stands in the ledger before any Inngest has run anything.
        """
        await apps.stripe(load(SALE))
        [row] = ledger(apps.shop)
        assert (row.target_app, row.target_product_id, row.status) == ("ai-hero", "course_evals", "pending")

    async def test_bundle_as_it_was_paid_for(self, apps: Apps) -> None:
        """
        What counts is the product in the paid checkout, not the shop's copy, which may be older.
        """
        event = load(EXPANDED)
        product = event["data"]["object"]["line_items"]["data"][0]["price"]["product"]
        product["metadata"]["bundleProducts"] = '[{"app": "ai-hero", "productId": "course_agents"}]'
        await apps.stripe(event)
        assert [row.target_product_id for row in ledger(apps.shop)] == ["course_agents"]

    async def test_product_without_bundle(self, apps: Apps) -> None:
        """
        A product that is no bundle owes the school nothing, also if it becomes a bundle later.
        """
        event = load(SALE, metadata={"productId": "prod_TsAlone"})
        await apps.stripe(event)
        with Session(apps.shop) as session, session.begin():
            session.get_one(Product, "prod_TsAlone").stripe_metadata = {
                "bundleProducts": '[{"app": "ai-hero", "productId": "course_evals"}]'
            }
        await apps.stripe(event)
        await apps.settle()
        assert len(purchases(apps.shop)) == 1
        assert not ledger(apps.shop)

    async def test_bundle_that_cannot_be_read(self, apps: Apps) -> None:
        """
        A mistake in the product doesn't lose the sale, and correcting the product is enough.
        """
        with Session(apps.shop) as session, session.begin():
            product = session.get_one(Product, "prod_TsBundle")
            right = product.stripe_metadata
            product.stripe_metadata = {"bundleProducts": "[{]"}
        await apps.stripe(load(SALE))
        assert [purchase.status for purchase in purchases(apps.shop)] == ["Valid"]
        assert not ledger(apps.shop)
        with Session(apps.shop) as session, session.begin():
            session.get_one(Product, "prod_TsBundle").stripe_metadata = right
        await apps.settle()
        assert [row.status for row in ledger(apps.shop)] == ["synced"]

    async def test_repeated_webhook(self, apps: Apps) -> None:
        """
        The same checkout, told three times, is one purchase, one row in the ledger and one event.
        """
        answers = [(await apps.stripe(load(SALE))).json() for _ in range(3)]
        assert answers == [{"purchase": purchases(apps.shop)[0].id}] * 3
        assert len(purchases(apps.shop)) == len(ledger(apps.shop)) == len(sent(apps)) == 1

    async def test_repeated_webhook_at_the_same_time(self, apps: Apps) -> None:
        """
        Whoever is slower is told to come again, and finds the purchase then.
        """
        answers = await asyncio.gather(*(apps.stripe(load(SALE)) for _ in range(4)))
        assert {answer.status_code for answer in answers} <= {200, 409}
        assert len(purchases(apps.shop)) == 1
        assert (await apps.stripe(load(SALE))).status_code == 200

    async def test_event_that_inngest_refused(self, apps: Apps) -> None:
        """
        If the shop's own event can't be sent, Stripe is told to come again, and then it is sent.
        """
        apps.both.shop.inngest.answer_next(401, {"error": "Event key not found", "status": 401})
        try:
            answer = str((await apps.stripe(load(SALE))).status_code)
        except Exception as error:  # noqa: BLE001 (where no server is between; Inngest's SDK doesn't export its class)
            answer = str(error)
        assert answer in ("500", "Event key not found")
        assert (len(purchases(apps.shop)), sent(apps)) == (1, [])
        await apps.stripe(load(SALE))
        assert [name for name, _ in sent(apps)] == ["purchase/created"]

    async def test_payment_that_takes_days(self, apps: Apps) -> None:
        """
        An unpaid checkout is no purchase; it becomes one when the money has come.
        """
        event = load(SALE, payment_status="unpaid")
        assert (await apps.stripe(event)).json() == {"purchase": None}
        assert not purchases(apps.shop)
        await apps.stripe(load(SALE) | {"type": "checkout.session.async_payment_succeeded"})
        assert len(purchases(apps.shop)) == 1

    async def test_checkout_of_somebody_else(self, apps: Apps) -> None:
        """
        A checkout on the same Stripe account that isn't the shop's is accepted and passed over.
        """
        response = await apps.stripe(load(SALE, metadata={}))
        assert (response.status_code, response.json()) == (200, {"purchase": None})
        assert not purchases(apps.shop)

    async def test_unknown_product(self, apps: Apps) -> None:
        """
        A product that the shop doesn't have yet is told to Stripe, which comes again.
        """
        response = await apps.stripe(load(SALE, metadata={"productId": "prod_new"}))
        assert (response.status_code, response.json()) == (404, {"detail": "no product prod_new"})
        assert not purchases(apps.shop)

    async def test_several_products(self, apps: Apps) -> None:
        """
        A checkout of several products, which the shop never makes, is refused as a whole.
        """
        event = load(EXPANDED)
        event["data"]["object"]["line_items"]["data"] *= 2
        assert (await apps.stripe(event)).status_code == 422
        assert not purchases(apps.shop)

    async def test_user_who_is_gone(self, apps: Apps) -> None:
        """
        A buyer whose account was deleted meanwhile is a guest.
        """
        await apps.stripe(load(SALE, client_reference_id="usr_gone"))
        assert [(purchase.user_id, purchase.status) for purchase in purchases(apps.shop)] == [(None, "Valid")]

    async def test_other_events(self, apps: Apps) -> None:
        """
        Events of other kinds are accepted and passed over.
        """
        response = await apps.stripe(load(SALE) | {"type": "customer.created"})
        assert (response.status_code, response.json()) == (200, {"purchase": None})
        assert not purchases(apps.shop)


class TestRefund:
    async def test_full_refund(self, apps: Apps) -> None:
        """
        A charge that was paid back takes the purchase back, in the ledger too, and the shop's own event names it.
        """
        await apps.stripe(load(SALE))
        response = await apps.stripe(load(REFUND))
        [purchase] = purchases(apps.shop)
        assert (response.status_code, response.json()) == (200, {"purchase": purchase.id})
        assert (purchase.status, purchase.charge_id) == ("Refunded", "ch_3SPx7hLm4Rk9Tq2Z0zXcVbNm")
        assert [row.desired for row in ledger(apps.shop)] == ["revoked"]
        assert sent(apps)[1:] == [("purchase/refunded", {"purchaseId": purchase.id})]

    async def test_found_by_its_charge(self, apps: Apps) -> None:
        """
        A charge that doesn't name its payment is found by its own id, if the checkout told that.
        """
        await apps.stripe(load(EXPANDED))
        await apps.stripe(load(REFUND, id="ch_3SPy2aLm4Rk9Tq2Z1pQwErTy", payment_intent=None))
        assert [purchase.status for purchase in purchases(apps.shop)] == ["Refunded"]

    async def test_partial_refund(self, apps: Apps) -> None:
        """
        Whoever got a part of the money back keeps what was bought; when the rest is paid back, it is gone.
        """
        await apps.stripe(load(SALE))
        response = await apps.stripe(load(PARTIAL))
        assert (response.status_code, response.json()) == (200, {"purchase": None})
        await apps.settle()
        assert [purchase.status for purchase in purchases(apps.shop)] == ["Valid"]
        assert [row.status for row in ledger(apps.shop)] == ["synced"]
        await apps.stripe(load(REFUND))
        assert [purchase.status for purchase in purchases(apps.shop)] == ["Refunded"]

    async def test_repeated_refund(self, apps: Apps) -> None:
        """
        The same refund, told three times, is one.
        """
        await apps.stripe(load(SALE))
        answers = [(await apps.stripe(load(REFUND))).status_code for _ in range(3)]
        versions = {row.version for row in ledger(apps.shop)}
        await apps.stripe(load(REFUND))
        assert (answers, len(sent(apps))) == ([200] * 3, 2)
        assert {row.version for row in ledger(apps.shop)} == versions

    async def test_refund_before_its_sale(self, apps: Apps) -> None:
        """
        A refund that overtakes its sale is told to Stripe, which comes again; the sale doesn't undo it then.
        """
        assert (await apps.stripe(load(REFUND))).status_code == 404
        await apps.stripe(load(SALE))
        await apps.stripe(load(REFUND))
        await apps.stripe(load(SALE))
        assert [purchase.status for purchase in purchases(apps.shop)] == ["Refunded"]

    async def test_refund_of_somebody_else(self, apps: Apps) -> None:
        """
        A charge on the same Stripe account that isn't the shop's is accepted and passed over.
        """
        await apps.stripe(load(SALE))
        response = await apps.stripe(load(REFUND, id="ch_other", payment_intent="pi_other", metadata={}))
        assert (response.status_code, response.json()) == (200, {"purchase": None})
        assert [purchase.status for purchase in purchases(apps.shop)] == ["Valid"]

    async def test_charge_without_payment(self, apps: Apps) -> None:
        """
        A charge that names no payment isn't that of every purchase whose payment isn't known.
        """
        await apps.stripe(load(SALE, payment_intent=None))
        assert (await apps.stripe(load(REFUND, payment_intent=None))).status_code == 404
        assert [purchase.status for purchase in purchases(apps.shop)] == ["Valid"]
