from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from crossapp_core.events import BundlePurchased, EntitlementRevoke
from crossapp_core.testing import Clock
from tests.databases import open_database
from tests.hosts import SchoolProduct
from tests.together.production import ORIGIN, Call, Headers, Production, serving

YEAR = 365 * 24 * 3600
SALE = BundlePurchased(
    source_app="total-typescript", purchase_id="p1", product_id="course", buyer_email="ada@example.com", version=1
)
REFUND = EntitlementRevoke(
    source_app="total-typescript", purchase_id="p1", product_id="course", reason="refunded", version=2
)
SYNC = Call("PUT", {}, b"{}")
"""A request to register, which anybody may send."""

UNSIGNED: dict[str, Callable[[Call], Headers]] = {
    "no signature": lambda _: {},
    "empty": lambda _: {"x-inngest-signature": ""},
    "no time": lambda call: {"x-inngest-signature": call.signed()["x-inngest-signature"].partition("&")[2]},
    "no mark": lambda call: {"x-inngest-signature": call.signed()["x-inngest-signature"].partition("&")[0]},
    "wrong mark": lambda _: {"x-inngest-signature": f"t=1&s={'0' * 64}"},
    "another key": lambda call: call.signed(key="signkey-prod-ffeeddccbbaa99887766554433221100"),
    "of another request": lambda call: replace(call, body=b'{"other":1}').signed(),
    "of another time": lambda call: {
        "x-inngest-signature": call.signed(1)["x-inngest-signature"].replace("t=1&", "t=2&")
    },
    "time is no number": lambda _: {"x-inngest-signature": f"t=abc&s={'0' * 64}"},
    "mark is not in ASCII": lambda _: {"x-inngest-signature": "t=1&s=\xe9\xff"},
    "no query": lambda _: {"x-inngest-signature": "\xe9=&;;%00"},
    "of a dev server": lambda _: {"x-inngest-server-kind": "dev"},
}


@pytest.fixture(params=["fastapi", "flask"])
async def production(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Production]:
    """
    A school that has one course, served in production by each framework in turn.
    """
    with open_database("sqlite", tmp_path) as database:
        with database.session() as session:
            session.add(SchoolProduct(id="course"))
        async with serving(request.param, database, Clock()) as production:
            yield production


class TestCall:
    async def test_signed(self, production: Production) -> None:
        """
        What Inngest has signed runs.
        """
        call = production.call(SALE, id="e1")
        answered = await production.ask(call, call.signed())

        assert answered.status == 206
        assert [op["op"] for op in json.loads(answered.body)] == ["StepRun"]
        assert [row["status"] for row in production.rows()] == ["pending"]

    @pytest.mark.parametrize("case", UNSIGNED)
    async def test_not_signed(self, production: Production, case: str) -> None:
        """
        What Inngest hasn't signed as it stands never reaches a function, though the event in it is genuine.
        """
        call = production.call(SALE, id="e1")
        answered = await production.ask(call, UNSIGNED[case](call))

        assert answered.status in (401, 500)
        assert production.statements == []
        assert production.rows() == []

    @pytest.mark.parametrize("age", [0, YEAR, -YEAR])
    async def test_replayed(self, production: Production, age: int) -> None:
        """
        Nobody promises that an old call is refused: one that somebody has kept changes nothing, by its version.
        """
        sale, refund = production.call(SALE, id="e1"), production.call(REFUND, id="e2")
        for call in (sale, refund):
            assert (await production.ask(call, call.signed())).status == 206
        rows = production.rows()
        production.clock.advance(timedelta(days=365))
        kept = sale.signed(int(production.clock().timestamp()) - age)
        for call, headers in ((sale, kept), (refund, refund.signed()), (sale, kept)):
            assert (await production.ask(call, headers)).status in (206, 401)

        assert production.rows() == rows
        assert [row["status"] for row in rows] == ["revoked"]


class TestRegistration:
    @pytest.mark.parametrize("case", UNSIGNED)
    async def test_not_signed(self, production: Production, case: str) -> None:
        """
        Nobody but Inngest has the app registered, in either of the two ways.
        """
        headers = UNSIGNED[case](SYNC)
        for kind in ({}, {"x-inngest-sync-kind": "in_band"}):
            answered = await production.ask(SYNC, {**headers, **kind})
            assert answered.status in (401, 500)
            assert b"functions" not in answered.body

        assert production.registered == []

    async def test_forged_host(self, production: Production) -> None:
        """
        It is registered where it said that it is, whatever host the request names.
        """
        assert (await production.ask(SYNC, SYNC.signed())).status == 200

        [registered] = production.registered
        assert registered["url"] == f"{ORIGIN}/api/inngest"
        assert "evil.example" not in json.dumps(registered)

    async def test_forged_host_in_band(self, production: Production) -> None:
        """
        Nor does it count what address a signed request names in its body.
        """
        call = Call("PUT", {}, b'{"url":"https://evil.example/api/inngest"}')
        answered = await production.ask(call, {**call.signed(), "x-inngest-sync-kind": "in_band"})

        assert (answered.status, json.loads(answered.body)["url"]) == (200, f"{ORIGIN}/api/inngest")
        assert b"evil.example" not in answered.body
        assert production.registered == []
