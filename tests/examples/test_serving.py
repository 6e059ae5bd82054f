from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Mapping

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ValidationError

from crossapp_core.testing.listener import Answer, Listener, Request
from examples.two_apps.granter.config import Config as SchoolConfig
from examples.two_apps.granter.main import create_app as create_school
from examples.two_apps.seller.config import Config as ShopConfig
from examples.two_apps.seller.main import create_app as create_shop

SIGNING_KEY = "signkey-test-00112233445566778899aabbccddeeff"
CLOUD = {
    "DATABASE_URL": "sqlite+aiosqlite://",
    "INNGEST_SERVE_ORIGIN": "https://app.example",
    "INNGEST_BASE_URL": "http://127.0.0.1:1",
    "INNGEST_SIGNING_KEY": SIGNING_KEY,
    "INNGEST_EVENT_KEY": "own-key",
    "STRIPE_WEBHOOK_SECRET": "whsec_0123456789",
    "CROSS_APP_SECRET": "0123456789abcdef0123456789abcdef",
    "SESSION_SECRET": "fedcba9876543210fedcba9876543210",
    "AI_HERO_INNGEST_EVENT_KEY": "peer-key",
    "TT_INNGEST_EVENT_KEY": "peer-key",
}


@pytest.fixture(params=[create_shop, create_school], ids=["shop", "school"])
def deployed(request: pytest.FixtureRequest) -> FastAPI:
    """
    Each app as it is deployed, with Inngest's cloud, which it never reaches here.
    """
    app: FastAPI = request.param(CLOUD)
    return app


async def ask(app: FastAPI, method: str, body: dict[str, object], headers: dict[str, str]) -> httpx.Response:
    """
    Send a request to where Inngest calls the app, with another host in it.
    """
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://evil.example") as client:
        params = {"fnId": "ai-hero-handle-revocation", "stepId": "step"}
        return await client.request(method, "/api/inngest", json=body, headers=headers, params=params)


class TestLifespan:
    async def test_closes_its_connections(self, deployed: FastAPI) -> None:
        """
        However an app ends, nothing of its database stays open: each connection of aiosqlite is a thread.
        """
        before = set(threading.enumerate())
        connected: set[threading.Thread] = set()

        async def live() -> None:
            async with deployed.router.lifespan_context(deployed):
                connected.update(set(threading.enumerate()) - before)
                raise RuntimeError("the other app can't start")

        with pytest.raises(RuntimeError, match="the other app"):
            await live()
        assert connected
        for thread in connected:
            thread.join(5)
        assert [thread for thread in connected if thread.is_alive()] == []


class TestDeployed:
    @pytest.mark.parametrize("signature", [None, "", "t=1&s=00", "t=abc&s=00"])
    @pytest.mark.parametrize("method", ["PUT", "POST"])
    async def test_request_that_inngest_did_not_sign(
        self, deployed: FastAPI, method: str, signature: str | None
    ) -> None:
        """
        Nobody but Inngest has the app registered, or its functions run.
        """
        headers = {} if signature is None else {"x-inngest-signature": signature}
        assert (await ask(deployed, method, {}, headers)).status_code == 401

    async def test_forged_host(self, deployed: FastAPI) -> None:
        """
        The app is registered where it said that it is, whatever host a request names.
        """
        body: dict[str, object] = {"url": "https://evil.example/api/inngest"}
        content = json.dumps(body, separators=(",", ":"))
        key, at = SIGNING_KEY.removeprefix("signkey-test-"), int(time.time())
        signature = hmac.new(key.encode(), f"{content}{at}".encode(), hashlib.sha256).hexdigest()
        headers = {"x-inngest-signature": f"t={at}&s={signature}", "x-inngest-sync-kind": "in_band"}
        response = await ask(deployed, "PUT", body, headers)
        assert (response.status_code, response.json()["url"]) == (200, "https://app.example/api/inngest")
        assert "evil.example" not in response.text


class TestInDevelopment:
    @pytest.mark.parametrize("create_app", [create_shop, create_school], ids=["shop", "school"])
    async def test_forged_host(self, create_app: Callable[[Mapping[str, str]], FastAPI]) -> None:
        """
        A dev server signs nothing, so anybody may have the app registered there, but not for another address.
        """
        registered: list[dict[str, object]] = []

        def answer(request: Request) -> Answer:
            registered.append(json.loads(request.body))
            return Answer.json(200, {"ok": True})

        inngest = Listener(answer)
        app = create_app(CLOUD | {"INNGEST_DEV": "1", "INNGEST_BASE_URL": inngest.url})
        response = await ask(app, "PUT", {}, {"x-inngest-server-kind": "dev"})
        inngest.close()
        assert response.status_code == 200
        assert [content["url"] for content in registered] == ["https://app.example/api/inngest"]
        assert "evil.example" not in json.dumps(registered)


class TestConfig:
    @pytest.mark.parametrize(
        ("config", "missing"),
        [
            (ShopConfig, {"STRIPE_WEBHOOK_SECRET", "INNGEST_SERVE_ORIGIN"}),
            (SchoolConfig, {"INNGEST_SERVE_ORIGIN"}),
        ],
    )
    def test_what_is_missing(self, config: type[BaseModel], missing: set[str]) -> None:
        """
        All variables that are missing are named at once, by their names in the environment.
        """
        with pytest.raises(ValidationError) as caught:
            config.model_validate({})
        assert {entry["loc"][0] for entry in caught.value.errors()} == missing

    @pytest.mark.parametrize("origin", ["", "app.example", "https://app.example/", "ftp://app.example"])
    def test_origin_that_is_none(self, origin: str) -> None:
        """
        An origin has a scheme and a host, and no path.
        """
        with pytest.raises(ValidationError, match="INNGEST_SERVE_ORIGIN"):
            SchoolConfig.model_validate({"INNGEST_SERVE_ORIGIN": origin})

    @pytest.mark.parametrize(
        ("value", "base_url", "dev", "url"),
        [
            ("", "", False, None),
            ("0", "", False, None),
            ("False", "", False, None),
            ("1", "", True, None),
            ("1", "http://127.0.0.1:8388", True, "http://127.0.0.1:8388"),
            ("http://127.0.0.1:8488", "", True, "http://127.0.0.1:8488"),
        ],
    )
    def test_dev_server(self, value: str, base_url: str, dev: bool, url: str | None) -> None:
        """
        The variables mean what they mean to Inngest's SDK.
        """
        config = SchoolConfig.model_validate(CLOUD | {"INNGEST_DEV": value, "INNGEST_BASE_URL": base_url})
        assert (config.dev, config.inngest_url) == (dev, url)

    def test_secrets_stay_hidden(self) -> None:
        """
        No secret is in the settings' text, nor in the error about them.
        """
        secrets = dict.fromkeys(("STRIPE_WEBHOOK_SECRET", "INNGEST_EVENT_KEY", "INNGEST_SIGNING_KEY"), "hush-hush")
        secrets["DATABASE_URL"] = "postgresql+psycopg://shop:hush-hush@db/shop"
        assert "hush" not in repr(ShopConfig.model_validate(CLOUD | secrets))
        with pytest.raises(ValidationError) as caught:
            ShopConfig.model_validate({**secrets, "SAMPLE_DATA": "hush-hush"})
        assert "hush" not in str(caught.value)
