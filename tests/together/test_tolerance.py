from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from crossapp_ah.models import Entitlement
from crossapp_core import proofs
from crossapp_core.events import (
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
    EntitlementRevoked,
    Event,
)
from crossapp_tt.models import CrossAppSync
from tests.together.apps import GRANTER, SCHOOL_KEY, SELLER, SHOP_KEY
from tests.together.forging import Data, answer, signed
from tests.together.world import ADA, World

DAY = timedelta(days=1)
ODD = {
    "coupon": "SUMMER",
    "amount": 4900,
    "tags": ["a", "b"],
    "__proto__": "x",
    "__class__": "y",
    "Data": "z",
    "EMAIL": "eve@example.com",
    "USERID": "eve",
    "user_id": "eve",
    "Version": 2**52,
}
"""What no event of ours holds: from a later version, or in letters that mean something to somebody else."""


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("kind", "fields", "expected"),
        [
            (EntitlementGranted, {"entitlement_id": "ent_1", "status": "pending"}, ("synced", "ent_1", None)),
            (EntitlementFailed, {"code": "unknown-product", "message": "No."}, ("failed", None, "unknown-product")),
            (EntitlementRevoked, {}, ("revoked", None, None)),
        ],
        ids=["granted", "failed", "revoked"],
    )
    async def test_in_an_answer(
        self, world: World, kind: type[Event], fields: dict[str, Any], expected: tuple[str, str | None, str | None]
    ) -> None:
        """
        An answer with keys that the seller doesn't know says what it says without them.
        """
        await world.school.undeploy()
        await world.sale("p1", **ADA)
        if kind is EntitlementRevoked:
            await world.refund("p1")
        version = world.shop.row().version
        data: Data = {**answer(world, kind, **fields).to_wire(), **ODD}
        forged = signed(data, name=kind.name, source=GRANTER, target=SELLER)
        world.shop.environment.emit(kind.name, forged, id="e1")
        await world.settle()

        row = world.shop.row()
        assert (row.status, row.target_entitlement_id, row.error_code) == expected
        assert (row.version, row.target_user_id) == (version, None)

    async def test_added_by_inngest(self, world: World) -> None:
        """
        What Inngest itself hangs on the data of an event doesn't break its proof.
        """
        event = BundlePurchased(source_app=SELLER, purchase_id="p1", product_id="course", version=1)
        data = proofs.seal(event, settings=world.shop_settings, target=GRANTER, id="e1", now=world.clock())
        world.school.environment.emit(event.name, {**data, "_inngest": {"fn_id": "x"}}, id="e1")
        await world.settle()

        assert world.school.run("handle-bundle-purchase").status == "completed"


@pytest.mark.parametrize("off", [-DAY, DAY])
class TestClocks:
    async def test_of_the_seller(self, world: World, off: timedelta) -> None:
        """
        However wrong the clock is by which the seller signed, the granter stores its own time.
        """
        at = world.clock()
        sale = await sold_unheard(world)
        await arrive(world, "school", sale, off=off)
        assert times(world.school.entitlement()) == {at}
        assert world.school.opens("ada-at-school")

        world.shop.change("p1", status="Refunded")
        fields: dict[str, Any] = {"purchase_id": "p1", "product_id": "course", "version": sale.version + 1}
        await arrive(world, "school", EntitlementRevoke(source_app=SELLER, reason="refunded", **fields), off=off)
        assert times(world.school.entitlement()) <= {at}
        assert not world.school.opens("ada-at-school")

    async def test_of_the_granter(self, world: World, off: timedelta) -> None:
        """
        However wrong the clock is by which the granter signed, the seller stores its own time.
        """
        at = world.clock()
        await world.school.undeploy()
        await world.sale("p1", **ADA)
        granted = answer(world, EntitlementGranted, entitlement_id="ent_1", user_id="ada-at-school", status="active")
        await arrive(world, "shop", granted, off=off)

        row = world.shop.row()
        assert (row.status, row.synced_at, times(row)) == ("synced", at, {at})

    async def test_of_the_envelope(self, world: World, off: timedelta) -> None:
        """
        Nor does it count when an event says that it happened; one from the future waits until then.
        """
        began = world.clock()
        sale = await sold_unheard(world)
        await arrive(world, "school", sale, off=timedelta(0), ts=int((began + off).timestamp() * 1000))

        await world.settle(within=2 * DAY)
        assert world.school.run("handle-bundle-purchase").status == "completed"
        assert times(world.school.entitlement()) == {max(began, began + off)}


async def sold_unheard(world: World) -> BundlePurchased:
    """
    A sale of which the school hasn't heard yet: its event.
    """
    await world.school.undeploy()
    await world.sale("p1", **ADA)
    await world.school.open(world.school_settings)
    version = world.shop.row().version
    return BundlePurchased(
        source_app=SELLER, purchase_id="p1", product_id="course", buyer_user_id="ada", version=version
    )


async def arrive(world: World, app: str, event: Event, *, off: timedelta, ts: int | None = None) -> None:
    """
    Let an event arrive over the network that its sender has signed by a clock that is so far off.
    """
    settings, target, key = {
        "school": (world.shop_settings, GRANTER, SCHOOL_KEY),
        "shop": (world.school_settings, SELLER, SHOP_KEY),
    }[app]
    id_ = event.event_id(attempt=7)
    data = proofs.seal(event, settings=settings, target=target, id=id_, now=world.clock() + off)
    envelope = {"id": id_, "name": event.name, "data": data} | ({"ts": ts} if ts else {})
    async with httpx.AsyncClient(trust_env=False) as http:
        response = await http.post(f"{world.app(app).environment.url}/e/{key}", json=[envelope])
    assert response.status_code == 200
    await world.settle()


def times(row: Entitlement | CrossAppSync) -> set[object]:
    """
    The times in a row, but for when it is to be looked at again.
    """
    past = {name: value for name, value in row.model_dump().items() if name.endswith("_at")}
    return {value for name, value in past.items() if value is not None and name != "next_attempt_at"}
