from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flask
import httpx
import inngest
import inngest.flask
import pytest

import crossapp_ah as ah
import crossapp_tt as tt
from crossapp_core import CrossAppConfigError, PeerUnavailableError
from crossapp_core.events import BundlePurchased
from crossapp_core.testing import Kit, LocalInngestError, NobodyListensError, NotRegisteredError, NotServedError
from crossapp_core.testing.routing import ToEnvironment, sdk_sends_by
from tests.databases import open_database
from tests.hosts import shop_purchases
from tests.kit.deployed import SCHOOL, SHOP, School, Shop, client_of, served, settings_of


class TestApp:
    def test_two_real_apps(self, crossapp: Kit, shop: Shop, school: School) -> None:
        """
        Two apps that both were made for production work with each other, and no request leaves the process.
        """
        seller = crossapp.app(shop.app, shop.bridge)
        granter = crossapp.app(school.app, school.bridge)

        seller.emit("purchase/created", {"purchaseId": shop.buy()})
        crossapp.settle()

        assert [row.status for row in school.entitlements] == ["pending"]
        assert shop.row.status == "synced"
        assert [event.name for event in granter.log.received] == ["bundle/purchased"]

    def test_two_bridges(self, crossapp: Kit, shop: Shop) -> None:
        """
        An app that sells and grants has a bridge for each, on one Inngest client.
        """
        client, selling = shop.bridge.inngest, shop.bridge
        granting = ah.Bridge(
            client, shop.database.engine, settings=selling.settings, products=ah.FixedProducts(["course"])
        )
        both = crossapp.app(served(client, [*selling.functions, *granting.functions]), selling, granting)
        school = crossapp.peer(SCHOOL)

        both.emit("purchase/created", {"purchaseId": shop.buy()})
        school.sell("s1", "course", buyer_email="bob@example.com")
        crossapp.settle()

        assert [row.status for row in school.entitlements] == ["pending"]
        assert [row.status for row in school.ledger] == [shop.row.status] == ["synced"]
        assert granting.clock() == crossapp.clock()

    def test_bridges_of_two_apps(self, crossapp: Kit, shop: Shop, school: School) -> None:
        """
        Bridges of different apps aren't taken as those of one.
        """
        with pytest.raises(LocalInngestError, match="the bridges of one app have one app id"):
            crossapp.app(shop.app, shop.bridge, school.bridge)

    def test_without_peer(self, crossapp: Kit, shop: Shop) -> None:
        """
        What is sent to a peer that the test doesn't play is accepted, and stays unanswered.
        """
        seller = crossapp.app(shop.app, shop.bridge)

        seller.emit("purchase/created", {"purchaseId": shop.buy()})
        crossapp.settle()

        assert (shop.row.status, shop.row.accepted_at) == ("pending", crossapp.clock())
        assert "received bundle/purchased" in crossapp.story()

    def test_own_events(self, crossapp: Kit, shop: Shop) -> None:
        """
        What the app sends to its own Inngest by the SDK arrives there, from sync code.
        """
        seller = crossapp.app(shop.app, shop.bridge)

        shop.bridge.inngest.send_sync(inngest.Event(name="purchase/created", data={"purchaseId": shop.buy()}))
        crossapp.settle()

        assert seller.log.runs_of("emit-bundle-purchase")[0].status == "completed"

    async def test_own_events_async(self, crossapp: Kit, shop: Shop) -> None:
        """
        The same from async code, with all calls of the kit made in the test's event loop.
        """
        seller = crossapp.app(shop.app, shop.bridge)

        await shop.bridge.inngest.send(inngest.Event(name="purchase/created", data={"purchaseId": shop.buy()}))
        await crossapp.asettle()

        assert seller.log.runs_of("emit-bundle-purchase")[0].status == "completed"

    def test_restores_everything(self, shop: Shop) -> None:
        """
        After the test the bridge and the SDK's client are what they were: they send over the network again.
        """
        bridge, http = shop.bridge, vars(vars(shop.bridge.inngest)["_http_client"])
        before = [bridge.clock, dict(vars(bridge.client)), dict(http)]
        with Kit() as kit:
            kit.app(shop.app, bridge)
            assert bridge.clock() == kit.clock()
            assert dict(http) != before[2]

        assert [bridge.clock, dict(vars(bridge.client)), dict(http)] == before
        assert abs(bridge.clock() - datetime.now(UTC)) < timedelta(minutes=1)

    def test_restores_after_mistake(self, shop: Shop) -> None:
        """
        Also if the app wasn't taken after all.
        """
        before = dict(vars(shop.bridge.client))
        with Kit() as kit, pytest.raises(NotRegisteredError):
            kit.app(shop.app, shop.bridge, path="/elsewhere")

        assert vars(shop.bridge.client) == before

    def test_client_is_usable_again(self, crossapp: Kit, shop: Shop) -> None:
        """
        The client of the bridge that the app keeps elsewhere is the same object, during the test and after it.
        """
        sale = BundlePurchased(purchase_id="p1", product_id="course", version=1)
        kept = shop.bridge.client
        with Kit() as kit:
            kit.app(shop.app, shop.bridge)
            assert kept.send_cross_app_event_sync(SCHOOL, sale)

        crossapp.app(shop.app, shop.bridge)
        assert kept.send_cross_app_event_sync(SCHOOL, sale)

    def test_waits_on_the_clock(self, crossapp: Kit, shop: Shop) -> None:
        """
        Where the client pauses, the test's clock moves on instead.
        """
        crossapp.app(shop.app, shop.bridge)
        crossapp.peer(SCHOOL).environment.down = True
        before = crossapp.clock()

        with pytest.raises(PeerUnavailableError):
            shop.bridge.client.send_cross_app_event_sync(
                SCHOOL, BundlePurchased(purchase_id="p1", product_id="course", version=1)
            )

        assert timedelta(seconds=10) < crossapp.clock() - before <= timedelta(seconds=20)

    def test_wrong_event_key(self, crossapp: Kit, shop: Shop) -> None:
        """
        A key that isn't the peer's is refused as Inngest refuses it.
        """
        crossapp.app(shop.app, shop.bridge)
        school = crossapp.peer(SCHOOL)
        transport = vars(vars(shop.bridge.client)["_connections"])["_transport"]

        with httpx.Client(transport=transport) as http:
            answer = http.post("https://inn.gs/e/another-key", json=[])

        assert answer.status_code == 401
        assert [refusal.status for refusal in school.log.refused] == [401]
        assert "refused a request: 401 Event key not found" in crossapp.story()

    def test_unknown_place(self, crossapp: Kit, shop: Shop) -> None:
        """
        What isn't sent to a peer is a mistake that the error names.
        """
        crossapp.app(shop.app, shop.bridge)
        transport = vars(vars(shop.bridge.client)["_connections"])["_transport"]

        with (
            httpx.Client(transport=transport) as http,
            pytest.raises(LocalInngestError, match=r"to https://else\.where"),
        ):
            http.post("https://else.where/e/key", json=[])


class TestServing:
    def test_nothing_there(self, crossapp: Kit, shop: Shop) -> None:
        """
        An app that serves at another path than the one that was named.
        """
        with pytest.raises(NotRegisteredError, match=r"PUT http://app\.test/other .* it answered 404"):
            crossapp.app(shop.app, shop.bridge, path="/other")

    def test_left_out(self, crossapp: Kit, shop: Shop) -> None:
        """
        A function of the bridge that `serve` wasn't given.
        """
        app = served(shop.bridge.inngest, shop.bridge.functions[1:])

        with pytest.raises(NotServedError, match=r"emit-bundle-purchase is not served: was all of bridge\.functions"):
            crossapp.app(app, shop.bridge)

    def test_replaced(self, crossapp: Kit, shop: Shop) -> None:
        """
        A function of the app with the id of one of the bridge's, even one with the same trigger.
        """

        async def own(context: inngest.Context) -> None:
            pass

        trigger = inngest.TriggerEvent(event="purchase/created")
        function = shop.bridge.inngest.create_function(fn_id="emit-bundle-purchase", trigger=trigger)(own)

        with pytest.raises(NotServedError, match="emit-bundle-purchase is served, but it is another function"):
            crossapp.app(served(shop.bridge.inngest, [*shop.bridge.functions, function]), shop.bridge)

    def test_async_engine_under_wsgi(self, crossapp: Kit, tmp_path: Path) -> None:
        """
        An app that has no event loop can't have an async engine.
        """
        with open_database("sqlite", tmp_path) as database:
            client = client_of(SHOP)
            engine = database.async_engine()
            bridge = tt.Bridge(
                client, engine, settings=settings_of(SHOP, SCHOOL), purchases=shop_purchases(), bundles={}
            )
            app = flask.Flask(__name__)
            inngest.flask.serve(app, client, bridge.functions)

            with pytest.raises(CrossAppConfigError, match="give the bridge a sync engine"):
                crossapp.app(app, bridge)

    def test_needs_a_bridge(self, crossapp: Kit, shop: Shop) -> None:
        """
        An app alone says nothing of its peers.
        """
        with pytest.raises(LocalInngestError, match="which bridge has the app"):
            crossapp.app(shop.app)

    def test_taken_twice(self, crossapp: Kit, shop: Shop) -> None:
        """
        An app is taken once, with all its bridges.
        """
        crossapp.app(shop.app, shop.bridge)

        with pytest.raises(LocalInngestError, match="total-typescript is part of this test already"):
            crossapp.app(shop.app, shop.bridge)

    def test_sdk_has_changed(self, crossapp: Kit) -> None:
        """
        A version of the SDK that can't be rerouted is told, rather than let send over the network.
        """
        client: Any = SimpleNamespace(_http_client=SimpleNamespace())
        environment: Any = None

        with (
            pytest.raises(LocalInngestError, match="this version of the inngest SDK"),
            sdk_sends_by(client, ToEnvironment(environment)),
        ):
            pass


class TestEmit:
    def test_nobody_listens(self, crossapp: Kit, shop: Shop) -> None:
        """
        An event that starts nothing is a mistake in the bridge or in the test.
        """
        seller = crossapp.app(shop.app, shop.bridge)

        with pytest.raises(NobodyListensError, match=r"listens to 'purchase/made', only to .*, purchase/created"):
            seller.emit("purchase/made", {})

    def test_id(self, crossapp: Kit, shop: Shop) -> None:
        """
        An id makes a repetition one.
        """
        seller = crossapp.app(shop.app, shop.bridge)
        shop.buy()

        for _ in range(2):
            seller.emit("purchase/created", {"purchaseId": "p1"}, id="once")
        crossapp.settle()

        assert len(seller.log.runs) == 1

    def test_cron(self, crossapp: Kit, shop: Shop) -> None:
        """
        A cron of the app runs by its function's id.
        """
        runs = []

        async def nightly(context: inngest.Context) -> None:
            runs.append(context.run_id)

        client = shop.bridge.inngest
        function = client.create_function(fn_id="nightly", trigger=inngest.TriggerCron(cron="0 3 * * *"))(nightly)
        seller = crossapp.app(served(client, [*shop.bridge.functions, function]), shop.bridge)

        seller.run_cron("nightly")
        crossapp.settle()

        assert len(runs) == 1


class TestPeer:
    def test_before_app(self, crossapp: Kit) -> None:
        """
        A peer's settings are the app's, so the app comes first.
        """
        with pytest.raises(LocalInngestError, match=r"crossapp\.peer\('ai-hero'\) comes after crossapp\.app"):
            crossapp.peer(SCHOOL)

    def test_unknown(self, crossapp: Kit, shop: Shop) -> None:
        """
        Only a peer of the app can be played.
        """
        crossapp.app(shop.app, shop.bridge)

        with pytest.raises(LocalInngestError, match="epic-web is no peer in the settings of total-typescript, only ai"):
            crossapp.peer("epic-web")

    def test_twice(self, crossapp: Kit, shop: Shop) -> None:
        """
        There is one of each.
        """
        crossapp.app(shop.app, shop.bridge)
        crossapp.peer(SCHOOL)

        with pytest.raises(LocalInngestError, match="ai-hero is a counterpart of this test already"):
            crossapp.peer(SCHOOL)

    def test_real_app(self, crossapp: Kit, shop: Shop, school: School) -> None:
        """
        What is there for real isn't played.
        """
        crossapp.app(shop.app, shop.bridge)
        crossapp.app(school.app, school.bridge)

        with pytest.raises(LocalInngestError, match="ai-hero is a real app of this test"):
            crossapp.peer(SCHOOL)

    def test_sketch_or_not(self, crossapp: Kit, shop: Shop) -> None:
        """
        Whether a peer has this library is said in the settings of the app, and the test must say the same.
        """
        crossapp.app(shop.app, shop.bridge)

        with pytest.raises(LocalInngestError, match=r"sketch=False\), but the test asks for sketch=True"):
            crossapp.peer(SCHOOL, sketch=True)


class TestSettle:
    def test_within(self, crossapp: Kit, shop: Shop) -> None:
        """
        What is due later stays for another time.
        """
        seller = crossapp.app(shop.app, shop.bridge)
        crossapp.peer(SCHOOL).environment.down = True
        seller.emit("purchase/created", {"purchaseId": shop.buy()})

        crossapp.settle(within=timedelta(0))
        assert [run.status for run in seller.log.runs] == ["running"]

        crossapp.settle()
        assert [run.status for run in seller.log.runs] == ["completed"]  # what it owes is the cron's now

    def test_run(self, crossapp: Kit) -> None:
        """
        A sync test does what is async in the event loop of `settle`.
        """

        async def work() -> str:
            return "done"

        assert crossapp.run(work()) == "done"

    async def test_inside_a_loop(self, crossapp: Kit) -> None:
        """
        In an async test it is `asettle`.
        """
        with pytest.raises(LocalInngestError, match="await asettle"):
            crossapp.settle()
