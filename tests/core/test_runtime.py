from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import flask
import inngest
import inngest.flask
import pytest
from sqlalchemy import Engine, create_engine

import crossapp_ah as ah
import crossapp_tt as tt
from crossapp_core import CrossAppConfigError, Peer, Settings, durable
from crossapp_core.durable import Run
from crossapp_core.runtime import Runtime
from crossapp_core.testing import LocalInngest
from tests.hosts import shop_purchases

SECRET = "the secret of the two apps, for tests"
URL = "https://inn.example"


@pytest.fixture
def engine() -> Iterator[Engine]:
    """
    An engine that is never used.
    """
    engine = create_engine("sqlite://")
    yield engine
    engine.dispose()


def runtime(engine: Engine, *, own_key: str, peers_key: str, own_url: str = URL) -> Runtime[None]:
    """
    A shop with those event keys of its own and of its peer's environment.
    """
    client = inngest.Inngest(
        app_id="shop", event_key=own_key, is_production=False, api_base_url=own_url, event_api_base_url=own_url
    )
    peer = Peer(app_id="ai-hero", env_prefix="AI_HERO", event_key=peers_key, secret=SECRET, base_url=URL)
    return Runtime(client, engine, settings=Settings("total-typescript", [peer]))


class TestOwnKey:
    def test_swapped(self, engine: Engine) -> None:
        """
        A peer's key that is the app's own would send all events back to the app: that is said at once.
        """
        with pytest.raises(CrossAppConfigError, match="AI_HERO_INNGEST_EVENT_KEY is the key of our own") as caught:
            runtime(engine, own_key="key-of-the-shop", peers_key="key-of-the-shop")

        assert "key-of-the-shop" not in str(caught.value)

    @pytest.mark.parametrize(
        ("own_key", "own_url"), [("key-of-the-shop", URL), ("key-of-the-school", "https://other.example")]
    )
    def test_apart(self, engine: Engine, own_key: str, own_url: str) -> None:
        """
        Another key, or the same word at another server, as development servers take it, is fine.
        """
        made = runtime(engine, own_key=own_key, peers_key="key-of-the-school", own_url=own_url)

        assert made.settings.peer("ai-hero").base_url == URL


def client() -> inngest.Inngest:
    """
    The Inngest client of an app.
    """
    return inngest.Inngest(app_id="shop", is_production=False)


async def nothing(run: Run) -> None:
    """
    A function that does nothing.
    """


class TestFunctionIds:
    def test_twice(self) -> None:
        """
        Of two functions with one id the SDK would serve one, without a word: the second is refused.
        """
        shop = client()
        first = durable.create_function(shop, nothing, fn_id="sweep", events=["a"], is_async=True)

        with pytest.raises(CrossAppConfigError, match="sweep comes twice: one Inngest client takes one bridge"):
            durable.create_function(shop, nothing, fn_id="sweep", events=["b"], is_async=True)
        assert first.id == "shop-sweep"

    def test_other_clients(self) -> None:
        """
        Another client may have a function with the same id, and so may the same one when the first is gone.
        """
        shop = client()
        made = [
            durable.create_function(each, nothing, fn_id="sweep", events=["a"], is_async=True)
            for each in (client(), shop)
        ]
        del made[:]

        assert durable.create_function(shop, nothing, fn_id="sweep", events=["a"], is_async=True).id == "shop-sweep"

    def test_seller_and_granter(self, engine: Engine) -> None:
        """
        An app that is both has two bridges on one client, whose functions are served side by side.
        """
        shop, settings = client(), Settings("shop", [Peer(app_id="school", event_key="k", secret=SECRET)])
        seller = tt.Bridge(shop, engine, settings=settings, purchases=shop_purchases(), bundles={})
        granter = ah.Bridge(shop, engine, settings=settings, products=ah.FixedProducts([]))
        ids = [function.id for function in (*seller.functions, *granter.functions)]

        assert len(set(ids)) == 14
        assert set(seller.functions) & set(granter.functions) == set(seller.linking.functions)
        with pytest.raises(CrossAppConfigError, match="handle-bundle-purchase comes twice"):
            ah.Bridge(shop, engine, settings=settings, products=ah.FixedProducts([]))


class TestWSGI:
    @pytest.mark.parametrize(("is_async", "status"), [(True, "running"), (False, "completed")])
    def test_flavours(self, is_async: bool, status: str) -> None:
        """
        An async function under WSGI is refused with the reason, and tried again; a sync one is at home there.
        """
        with LocalInngest() as local:
            environment = local.environment("shop")
            shop = inngest.Inngest(
                app_id="shop",
                is_production=False,
                api_base_url=environment.url,
                event_api_base_url=environment.url,
            )
            function = durable.create_function(shop, nothing, fn_id="sweep", events=["a"], is_async=is_async)
            app = flask.Flask("shop")
            inngest.flask.serve(app, shop, [function])
            environment.register(app)
            environment.emit("a", {})
            local.settle(within=timedelta(minutes=5))

            [run] = environment.log.runs
            assert run.status == status
            assert (run.attempts > 1) is is_async

    def test_reason(self) -> None:
        """
        The reason says what to do.
        """
        app = flask.Flask("shop")
        function = durable.create_function(client(), nothing, fn_id="sweep", events=["a"], is_async=True)
        inngest.flask.serve(app, client(), [function])
        ctx = {
            "attempt": 0,
            "run_id": "1",
            "stack": {"stack": []},
            "disable_immediate_execution": False,
            "use_api": False,
        }
        body = {"ctx": ctx, "event": {"name": "a"}, "events": [{"name": "a"}], "steps": {}, "use_api": False}
        answer = app.test_client().post("/api/inngest?fnId=shop-sweep&stepId=step", json=body)

        assert answer.status_code == 500
        assert "an async engine can't serve a WSGI app" in answer.text
