from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from crossapp_core.testing import LocalInngest
from crossapp_core.testing.listener import Answer, Listener, Request
from examples.flask_seller.config import Config
from examples.flask_seller.main import close, create_app
from examples.flask_seller.stack import served
from examples.two_apps import stripe_events
from examples.two_apps.stripe_events import load
from tests.databases import NAMES, open_database
from tests.examples.rows import ledger, purchases
from tests.examples.test_serving import CLOUD, SIGNING_KEY

PATH = "/api/inngest"
FORGED = {"host": "evil.example"}
SALE, REFUND = "checkout.session.completed", "charge.refunded"
FUNCTIONS = {
    "total-typescript-emit-bundle-purchase",
    "total-typescript-emit-revocation",
    "total-typescript-emit-purchase-change",
    "total-typescript-sweep-purchases",
    "total-typescript-check-gone-users",
    "total-typescript-handle-entitlement-granted",
    "total-typescript-handle-entitlement-revoked",
    "total-typescript-handle-entitlement-failed",
    "total-typescript-handle-account-linked",
    "total-typescript-handle-account-unlinked",
    "total-typescript-handle-link-state",
    "total-typescript-emit-oauth-login",
    "total-typescript-check-oauth-autolink",
    "total-typescript-reconcile-cross-app",
}


@contextmanager
def worker(environ: Mapping[str, str]) -> Iterator[str]:
    """
    The shop behind a real WSGI server, as one worker of several has it; its origin.
    """
    app = create_app(environ)
    try:
        with served(app) as origin:
            yield origin
    finally:
        close(app)


def ask(method: str, url: str, content: str = "", headers: Mapping[str, str] | None = None) -> httpx.Response:
    """
    Send a request, past any proxy of this machine.
    """
    with httpx.Client(trust_env=False) as client:
        return client.request(method, url, content=content, headers={**FORGED, **(headers or {})})


class TestDeployed:
    @pytest.fixture
    def origin(self, tmp_path: Path) -> Iterator[str]:
        """
        The shop as it is deployed, with Inngest's cloud, which it never reaches here.
        """
        with worker(CLOUD | {"DATABASE_URL": f"sqlite:///{tmp_path}/shop.db"}) as origin:
            yield origin

    @pytest.mark.parametrize("signature", [None, "", "t=1&s=00", "t=abc&s=00"])
    @pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
    def test_request_that_inngest_did_not_sign(self, origin: str, method: str, signature: str | None) -> None:
        """
        Nobody but Inngest has the shop registered, or its functions run, or looks at what it serves.
        """
        headers = {} if signature is None else {"x-inngest-signature": signature}
        url = f"{origin}{PATH}?fnId=total-typescript-emit-revocation&stepId=step"
        assert ask(method, url, "{}", headers).status_code == 401

    def test_put(self, origin: str) -> None:
        """
        Inngest learns all of the bridge's functions, and where the shop said that it is, whatever host a request names.
        """
        content = json.dumps({"url": "https://evil.example/api/inngest"}, separators=(",", ":"))
        headers = {"x-inngest-signature": signature(content), "x-inngest-sync-kind": "in_band"}
        response = ask("PUT", f"{origin}{PATH}", content, headers)
        answer = response.json()
        assert (response.status_code, answer["url"]) == (200, "https://app.example/api/inngest")
        assert functions_in(answer) == FUNCTIONS
        assert "evil.example" not in response.text


class TestInDevelopment:
    def test_get_and_put(self, tmp_path: Path) -> None:
        """
        The shop says how much it serves, and registers all of the bridge's functions at the dev server, for its own
        address.
        """
        registered: list[dict[str, Any]] = []

        def answer(request: Request) -> Answer:
            registered.append(json.loads(request.body))
            return Answer.json(200, {"ok": True})

        with ExitStack() as stack:
            inngest = Listener(answer)
            stack.callback(inngest.close)
            dev = {"DATABASE_URL": f"sqlite:///{tmp_path}/shop.db", "INNGEST_DEV": "1", "INNGEST_BASE_URL": inngest.url}
            origin = stack.enter_context(worker(CLOUD | dev))
            looked = ask("GET", f"{origin}{PATH}").json()
            response = ask("PUT", f"{origin}{PATH}", "{}", {"x-inngest-server-kind": "dev"})
        assert (looked["mode"], looked["function_count"]) == ("dev", len(FUNCTIONS))
        assert response.status_code == 200
        [content] = registered
        assert (content["url"], functions_in(content)) == ("https://app.example/api/inngest", FUNCTIONS)
        assert "evil.example" not in json.dumps(registered)


class TestTwoWorkers:
    @pytest.fixture(params=NAMES)
    def database(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
        """
        The shop's database, on each server in turn.
        """
        with open_database(request.param, tmp_path, "shop") as database:
            yield database.engine

    async def test_sale_and_refund(self, database: Engine) -> None:
        """
        Stripe may tell both of a sale at the same time, and Inngest may call the one that it didn't register: it is one
        purchase and one event, and so is its refund.
        """
        with ExitStack() as stack:
            local = stack.enter_context(LocalInngest())
            shop, school = (local.environment(name, keys=["any-key"]) for name in ("shop", "school"))
            environ = CLOUD | {
                "DATABASE_URL": database.url.render_as_string(hide_password=False),
                "SAMPLE_DATA": "1",
                "INNGEST_DEV": "1",
                "INNGEST_BASE_URL": shop.url,
                "INNGEST_EVENT_KEY": "any-key",
                "AI_HERO_INNGEST_BASE_URL": school.url,
                "AI_HERO_INNGEST_EVENT_KEY": "any-key",
            }
            second = stack.enter_context(worker(environ))
            first = stack.enter_context(worker(environ | {"INNGEST_SERVE_ORIGIN": second}))
            async with httpx.AsyncClient(trust_env=False) as client:
                (await client.put(f"{first}{PATH}")).raise_for_status()

                async def tell(origin: str, name: str) -> int:
                    signed = stripe_events.request(load(name), environ["STRIPE_WEBHOOK_SECRET"])
                    return (await client.post(origin + stripe_events.PATH, **signed)).status_code

                for name in (SALE, REFUND):
                    answers = await asyncio.gather(*(tell(origin, name) for origin in [first, second] * 3))
                    assert {200} <= {*answers} <= {200, 409}
                    await local.asettle()
        assert [purchase.status for purchase in purchases(database)] == ["Refunded"]
        assert [row.desired for row in ledger(database)] == ["revoked"]
        assert not shop.log.failures
        assert [event.name for event in school.log.received] == ["bundle/purchased", "entitlement/revoke"]


class TestConfig:
    def test_default_database(self) -> None:
        """
        Without DATABASE_URL it is a file of SQLite, by the driver that Python brings.
        """
        config = Config.model_validate({name: value for name, value in CLOUD.items() if name != "DATABASE_URL"})
        assert config.database_url == "sqlite:///seller.db"


def signature(content: str) -> str:
    key, at = SIGNING_KEY.removeprefix("signkey-test-"), int(time.time())
    return f"t={at}&s={hmac.new(key.encode(), f'{content}{at}'.encode(), hashlib.sha256).hexdigest()}"


def functions_in(content: Mapping[str, Any]) -> set[str]:
    return {each["id"] for each in content["functions"] if not each["id"].endswith("-failure")}
