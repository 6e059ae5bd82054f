from __future__ import annotations

import pytest

from examples.two_apps.stripe_events import load
from examples.two_apps.together import Stack
from tests.examples.conftest import SHOPS, Apps
from tests.examples.rows import entitlements, ledger, purchases

SALE, REFUND = "checkout.session.completed", "charge.refunded"
OPENED, CLOSED = "charge.dispute.created", "charge.dispute.closed"


@pytest.fixture(params=SHOPS.values(), ids=list(SHOPS))
def shop(request: pytest.FixtureRequest) -> Stack:
    """
    The shop in each of its forms.
    """
    stack: Stack = request.param
    return stack


def stands(apps: Apps) -> tuple[str, str | None, str | None]:
    """
    What the one purchase is, what the school has of it, and why the shop took it back.
    """
    [purchase], [row], [entitlement] = purchases(apps.shop), ledger(apps.shop), entitlements(apps.school)
    return purchase.status, entitlement.status, row.reason


class TestDispute:
    async def test_won(self, apps: Apps) -> None:
        """
        While a dispute is open the course is locked; when the shop has won, it is open again.
        """
        await apps.stripe(load(SALE))
        await apps.settle()
        assert stands(apps) == ("Valid", "active", None)
        response = await apps.stripe(load(OPENED))
        assert (response.status_code, response.json()) == (200, {"purchase": purchases(apps.shop)[0].id})
        await apps.settle()
        assert stands(apps) == ("Disputed", "revoked", "disputed")
        await apps.stripe(load(CLOSED))
        await apps.settle()
        assert stands(apps) == ("Valid", "active", None)

    async def test_lost(self, apps: Apps) -> None:
        """
        A dispute that the shop has lost is a refund.
        """
        await apps.stripe(load(SALE))
        await apps.stripe(load(OPENED))
        await apps.settle()
        await apps.stripe(load(CLOSED, status="lost"))
        await apps.settle()
        assert [purchase.status for purchase in purchases(apps.shop)] == ["Refunded"]
        assert [row.desired for row in ledger(apps.shop)] == ["revoked"]

    async def test_any_order(self, apps: Apps) -> None:
        """
        The notice that it was opened may come after the one that it was closed, and each may come twice.
        """
        await apps.stripe(load(SALE))
        for name in (CLOSED, OPENED, CLOSED, OPENED):
            assert (await apps.stripe(load(name))).status_code == 200
        await apps.settle()
        assert stands(apps) == ("Valid", "active", None)

    async def test_refunded_meanwhile(self, apps: Apps) -> None:
        """
        What was refunded stays so, however the dispute ends.
        """
        await apps.stripe(load(SALE))
        await apps.settle()
        await apps.stripe(load(OPENED))
        await apps.stripe(load(REFUND))
        await apps.stripe(load(CLOSED))
        await apps.settle()
        assert stands(apps)[:2] == ("Refunded", "revoked")

    async def test_of_somebody_else(self, apps: Apps) -> None:
        """
        A dispute about what the shop didn't sell is accepted and passed over.
        """
        await apps.stripe(load(SALE))
        response = await apps.stripe(load(OPENED, charge="ch_other", payment_intent="pi_other"))
        assert (response.status_code, response.json()) == (200, {"purchase": None})
        assert [purchase.status for purchase in purchases(apps.shop)] == ["Valid"]
