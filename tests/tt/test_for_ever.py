from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session

from crossapp_core.events import EntitlementFailed, EntitlementGranted, EntitlementRevoked
from crossapp_core.ports import Account
from crossapp_tt import HostEvent
from tests.together.apps import GRANTER, OTHER, metadata
from tests.tt.deployed import ADA, Seller, opened


@pytest.fixture
async def seller(tmp_path: Path) -> AsyncIterator[Seller]:
    """
    A seller on SQLite.
    """
    async with opened("sqlite", tmp_path) as seller:
        yield seller


class NobodySignsIn:
    """
    Accounts at OAuth providers of which there are none.
    """

    def find(self, session: Session, provider: str, provider_account_id: str) -> Account | None:
        """
        None.
        """
        return None

    def of(self, session: Session, user_id: str) -> list[Account]:
        """
        None.
        """
        return []


def _triggers(config: Any) -> list[str]:
    # a timetable has no event
    return [getattr(trigger, "event", None) or trigger.cron for trigger in config.triggers]


class TestForEver:
    async def test_ids_and_triggers(self, seller: Seller) -> None:
        """
        The functions' ids and triggers: Inngest's memory hangs on them, so no version may change one.
        """
        configs = [function.get_config("https://shop.example").main for function in seller.shop.bridge.functions]
        assert {config.id: _triggers(config) for config in configs} == {
            "shop-emit-bundle-purchase": ["purchase/created"],
            "shop-emit-revocation": ["purchase/refunded"],
            "shop-handle-entitlement-granted": ["entitlement/granted"],
            "shop-handle-entitlement-revoked": ["entitlement/revoked"],
            "shop-handle-entitlement-failed": ["entitlement/failed"],
            "shop-handle-account-linked": ["account/linked"],
            "shop-handle-account-unlinked": ["account/unlinked"],
            "shop-handle-link-state": ["account/link-state"],
            "shop-sweep-purchases": ["17 * * * *"],
            "shop-reconcile-cross-app": ["* * * * *"],
            "shop-check-gone-users": ["17 3 * * *"],
        }

    async def test_ids_of_sign_ins(self, tmp_path: Path) -> None:
        """
        A shop that says who signs in with what has two more.
        """
        async with opened("sqlite", tmp_path) as seller:
            await seller.shop.open(seller.settings, accounts=NobodySignsIn())
            configs = [function.get_config("https://shop.example").main for function in seller.shop.bridge.functions]
            await seller.shop.bridge.client.aclose()

        triggers = {config.id: _triggers(config) for config in configs}
        assert len(triggers) == 13
        assert triggers["shop-emit-oauth-login"] == [
            "user/login",
            "user/oauth-provider-account-linked",
            "cross-app/signed-in",
        ]
        assert triggers["shop-check-oauth-autolink"] == ["user/oauth-login"]

    async def test_ids_of_changes(self, tmp_path: Path) -> None:
        """
        A shop that says what else changes a purchase has one more.
        """
        changes = [HostEvent("purchase/transferred"), HostEvent("stripe/charge-dispute-created")]
        async with opened("sqlite", tmp_path) as seller:
            await seller.shop.open(seller.settings, purchase_changed=changes)
            configs = [function.get_config("https://shop.example").main for function in seller.shop.bridge.functions]
            await seller.shop.bridge.client.aclose()

        triggers = {config.id: _triggers(config) for config in configs}
        assert len(triggers) == 12
        assert triggers["shop-emit-purchase-change"] == ["purchase/transferred", "stripe/charge-dispute-created"]

    async def test_options(self, seller: Seller) -> None:
        """
        All are tried as often as Inngest allows, save for those whose next time comes, and none has an option that can
        lose or merge events.
        """
        timed = {"shop-reconcile-cross-app", "shop-sweep-purchases", "shop-check-gone-users"}
        for function in seller.shop.bridge.functions:
            config = function.get_config("https://shop.example").main
            attempts = 3 if config.id in timed else 20
            assert [step.retries and step.retries.attempts for step in config.steps.values()] == [attempts]
            options = config.batch_events, config.cancel, config.debounce, config.idempotency, config.rate_limit
            assert (options, config.singleton) == ((None,) * 5, None)

    async def test_steps(self, seller: Seller) -> None:
        """
        The steps' ids, in their order: a run that a deployment interrupts goes on by them.
        """
        await seller.sale(metadata("course"))
        seller.answer(EntitlementGranted, entitlement_id="e1", status="pending")
        await seller.settle()
        seller.answer(EntitlementFailed, code="user-gone", message="The account was deleted.")
        await seller.settle()
        seller.shop.change("p1", status="Refunded")
        seller.school.answer_next(400)
        seller.shop.refunded("p1")
        await seller.settle()
        seller.answer(EntitlementRevoked)
        await seller.settle()

        assert {run.function_id: run.steps for run in seller.shop.runs} == {
            "emit-bundle-purchase": ["record", "send", "note accepted"],
            "handle-entitlement-granted": ["apply"],
            "handle-entitlement-failed": ["apply", "report", "send", "note accepted"],
            "emit-revocation": ["record"],
            "emit-revocation-failure": ["note undelivered"],
            "handle-entitlement-revoked": ["apply"],
        }

    async def test_steps_by_the_clock(self, seller: Seller) -> None:
        """
        The steps' ids of what has a timetable.
        """
        functions = "reconcile-cross-app", "sweep-purchases", "check-gone-users"
        for function in functions:
            seller.shop.environment.run_cron(function)
        await seller.settle()

        runs = {function: seller.shop.environment.log.runs_of(function)[-1].steps for function in functions}
        assert runs == {
            "reconcile-cross-app": [f"drain {GRANTER}", f"drain {OTHER}", "forget tokens"],
            "sweep-purchases": ["begin", "sweep", "sweep"],
            "check-gone-users": ["check links"],
        }

    @pytest.mark.parametrize(
        ("function", "kind", "fields"),
        [
            ("emit-bundle-purchase", None, {}),
            ("emit-revocation", None, {}),
            ("handle-entitlement-granted", EntitlementGranted, {"entitlement_id": "e1", "status": "pending"}),
            ("handle-entitlement-failed", EntitlementFailed, {"code": "user-gone", "message": "The account is gone."}),
            ("handle-entitlement-revoked", EntitlementRevoked, {"version": 2**50}),
        ],
    )
    async def test_nothing_outside_steps(
        self, seller: Seller, function: str, kind: type[Any] | None, fields: dict[str, object]
    ) -> None:
        """
        The call that ends a run, with all steps behind it, asks nothing of the database and sends nothing.
        """
        seller.shop.environment.lose(function=function, step=None, times=3)
        await self._cause(seller, function, kind, fields)
        with seller.shop.counting() as statements:
            # the first repetition is due half a minute after the run would have ended
            requests = len(seller.school.log.received)
            await seller.settle()

        assert len(seller.shop.environment.log.lost) == 3
        assert seller.shop.environment.log.runs_of(function)[-1].status == "completed"
        assert (statements, len(seller.school.log.received) - requests) == ([], 0)

    async def _cause(self, seller: Seller, function: str, kind: type[Any] | None, fields: dict[str, object]) -> None:
        seller.shop.offer("bundle", metadata("course"))
        seller.shop.sell("p1", **ADA)
        seller.shop.created("p1")
        await seller.settle(timedelta(seconds=10))
        if function == "emit-revocation":
            seller.shop.change("p1", status="Refunded")
            seller.shop.refunded("p1")
        elif kind is not None:
            seller.answer(kind, **fields)
        await seller.settle(timedelta(seconds=10))


class TestLifespan:
    async def test_closes_client(self, seller: Seller) -> None:
        """
        When the app ends, its connections to the peers are closed.
        """
        async with seller.shop.asgi.router.lifespan_context(seller.shop.asgi):
            await seller.sale()
            assert not seller.shop.network.closed
        assert seller.shop.network.closed
