from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import inngest
import pytest
from sqlmodel import Field, SQLModel, select

import crossapp_ah as ah
import crossapp_tt as tt
from crossapp_ah.models import Entitlement
from crossapp_core import CrossAppConfigError, Peer, Settings
from crossapp_core.models import AccountLink
from crossapp_core.ports import SignInEvent
from crossapp_core.table_ports import TableAccounts, TableUsers
from crossapp_core.tables import AccountLinkBase
from crossapp_core.testing import Kit, LocalInngest
from crossapp_core.tokens import LinkToken
from crossapp_tt.models import CrossAppSync
from tests.databases import NAMES, Database, open_database
from tests.hosts import NOW, SECRET, SchoolProduct, shop_purchases
from tests.together.apps import GRANTER, SCHOOL_KEY, SELLER, SHOP_KEY, School, Shop, metadata, peer

ADA, ADA_THERE = "ada", "ada-at-school"
EVE, EVE_THERE = "eve", "eve-at-school"


class Person(SQLModel, table=True):
    """
    Somebody with an account in either app; each has a database of its own.
    """

    __tablename__ = "together_person"

    id: str = Field(primary_key=True, max_length=64)
    email: str | None = Field(default=None, max_length=254)
    email_verified: bool = True


class SignIn(SQLModel, table=True):
    """
    An account at an OAuth provider that somebody signs in with.
    """

    __tablename__ = "together_sign_in"

    id: int | None = Field(default=None, primary_key=True)
    provider: str = Field(default="github", max_length=64)
    provider_account_id: str = Field(max_length=64)
    user_id: str = Field(max_length=64)


class OtherLink(AccountLinkBase, table=True):
    """
    Links under another name.
    """

    __tablename__ = "together_link"


class KeyedShop(Shop):
    """
    A shop that has the key of its own environment, to tell its own functions.
    """

    def client(self) -> inngest.Inngest:
        """
        Another client.
        """
        return keyed(self, SHOP_KEY)


class KeyedSchool(School):
    """
    A school that has the key of its own environment.
    """

    def client(self) -> inngest.Inngest:
        """
        Another client.
        """
        return keyed(self, SCHOOL_KEY)


def keyed(app: Shop | School, key: str) -> inngest.Inngest:
    """
    A client with the key of the app's own environment.
    """
    url = app.environment.url
    return inngest.Inngest(
        app_id=app.environment.name, is_production=False, event_key=key, api_base_url=url, event_api_base_url=url
    )


class Linked:
    """
    A shop and a school whose people link their accounts.
    """

    def __init__(self, local: LocalInngest, shop: Database, school: Database) -> None:
        self.local = local
        self.shop = KeyedShop(local.environment("shop", keys=[SHOP_KEY]), shop, local.clock)
        self.school = KeyedSchool(local.environment("school", keys=[SCHOOL_KEY]), school, local.clock)
        self.told: list[ah.Claimed] = []

    async def open(self) -> None:
        """
        Deploy both.
        """
        ports: dict[str, Any] = {"users": TableUsers(Person), "accounts": TableAccounts(SignIn)}
        school = Peer(
            app_id=GRANTER,
            event_key=SCHOOL_KEY,
            secret=SECRET,
            base_url=self.school.environment.url,
            web_url="https://school.example",
        )
        shop = Peer(
            app_id=SELLER,
            event_key=SHOP_KEY,
            secret=SECRET,
            base_url=self.shop.environment.url,
            web_url="https://shop.example",
        )
        await self.shop.open(Settings(SELLER, [school], dev=True), **ports)
        await self.school.open(Settings(GRANTER, [shop], dev=True), on_claimed=self.told.append, **ports)
        self.shop.offer("bundle", metadata("course"))
        self.school.teach("course")
        self.meet(self.shop, ADA, EVE)
        self.meet(self.school, ADA_THERE, EVE_THERE)

    def meet(self, app: Shop | School, *users: str) -> None:
        """
        Have people sign up, each with an address of their own.
        """
        with app.database.session() as session:
            session.add_all([Person(id=user, email=f"{user.partition('-')[0]}@example.com") for user in users])

    def signs_in(self, app: Shop | School, user: str, account: str) -> None:
        """
        Have somebody sign in with an account at GitHub.
        """
        with app.database.session() as session:
            session.add(SignIn(provider_account_id=account, user_id=user))

    async def settle(self) -> None:
        """
        Let happen what is to happen.
        """
        await self.local.asettle()

    async def minutes(self, count: int = 1) -> None:
        """
        Let minutes pass, with what both apps do each minute.
        """
        for _ in range(count):
            self.local.clock.advance(timedelta(minutes=1))
            for app in (self.shop, self.school):
                app.environment.run_cron("reconcile-cross-app")
            await self.settle()

    async def confirm(self, user: str = ADA, there: str = ADA_THERE) -> None:
        """
        Start at the shop, follow the URL, confirm at the school, and let happen what then happens.
        """
        url = await self.shop.bridge.linking.start(user, GRANTER)
        [token] = parse_qs(urlsplit(url).query)["token"]
        await self.school.bridge.linking.confirm(self.school.bridge.linking.check(token), there)
        await self.settle()

    async def buy(self, purchase: str = "p1", **buyer: Any) -> None:
        """
        Sell the bundle.
        """
        self.shop.sell(purchase, **(buyer or {"user_id": ADA, "email": "ada@example.com"}))
        self.shop.created(purchase)
        await self.settle()

    def links(self, app: Shop | School) -> set[tuple[str, str, int, bool]]:
        """
        What an app holds of all pairs: the shop's user, the school's, the number, and whether they are linked.
        """
        with app.database.session() as session:
            rows = session.exec(select(AccountLink)).all()
        flipped = app is self.school
        ids = [(row.linked_user_id, row.user_id) if flipped else (row.user_id, row.linked_user_id) for row in rows]
        return {(*id_, row.version, bool(row.active)) for id_, row in zip(ids, rows, strict=True)}

    def assert_agreement(self, *pairs: tuple[str, str, int, bool]) -> None:
        """
        Check that both hold just those, and that neither owes the other anything of them.
        """
        assert self.links(self.shop) == self.links(self.school) == set(pairs)
        for app in (self.shop, self.school):
            with app.database.session() as session:
                assert [row.next_attempt_at for row in session.exec(select(AccountLink))] == [None] * len(pairs)

    def crossed(self, name: str) -> int:
        """
        How many events of that name went from one to the other, repetitions left out.
        """
        logs = (self.shop.environment.log, self.school.environment.log)
        own = {id(event) for log in logs for event in log.received if "proof" not in event.data}
        return sum(
            1
            for log in logs
            for event in log.received
            if event.name == name and not event.duplicate and id(event) not in own
        )

    async def close(self) -> None:
        """
        Close all connections.
        """
        for app in (self.shop, self.school):
            await app.bridge.client.aclose()


@contextmanager
def _databases(name: str, folder: Path) -> Iterator[tuple[Database, Database]]:
    with open_database(name, folder, "shop") as shop, open_database(name, folder, "school") as school:
        yield shop, school


@pytest.fixture(params=NAMES)
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Linked]:
    """
    Both apps, on each of the databases in turn.
    """
    with LocalInngest() as local, _databases(request.param, tmp_path) as databases:
        made = Linked(local, *databases)
        await made.open()
        yield made
        await made.close()


class TestExplicit:
    async def test_bought_before(self, both: Linked) -> None:
        """
        A buyer without an account there links later: the course opens, both hold the same, and the ledger knows who.
        """
        await both.buy()
        assert (both.school.entitlement().status, both.shop.row().target_user_id) == ("pending", None)
        await both.confirm()

        both.assert_agreement((ADA, ADA_THERE, 3, True))
        assert both.school.opens(ADA_THERE)
        row = both.shop.row()
        assert (row.status, row.target_user_id, row.next_attempt_at) == ("synced", ADA_THERE, None)
        assert both.told == [ah.Claimed(ADA_THERE, SELLER, ("course",))]
        assert (both.crossed("account/linked"), both.crossed("account/link-state")) == (1, 1)

    async def test_bought_afterwards(self, both: Linked) -> None:
        """
        What is bought once the accounts are linked opens at once.
        """
        await both.confirm()
        await both.buy()

        assert both.school.opens(ADA_THERE)
        assert (both.shop.row().target_user_id, both.told) == (ADA_THERE, [])

    async def test_from_the_school(self, both: Linked) -> None:
        """
        It may begin at the school as well: then the shop's user confirms, and what waits is claimed.
        """
        await both.buy()
        url = await both.school.bridge.linking.start(ADA_THERE, SELLER)
        [token] = parse_qs(urlsplit(url).query)["token"]
        await both.shop.bridge.linking.confirm(both.shop.bridge.linking.check(token), ADA)
        await both.settle()

        both.assert_agreement((ADA, ADA_THERE, 3, True))
        assert both.school.opens(ADA_THERE)
        assert both.shop.row().target_user_id == ADA_THERE

    async def test_unlinked_and_linked_again(self, both: Linked) -> None:
        """
        Unlinking keeps what was unlocked, and what is bought then waits until the two are linked again.
        """
        await both.buy()
        await both.confirm()
        await both.shop.bridge.linking.unlink(ADA, GRANTER)
        await both.settle()
        both.assert_agreement((ADA, ADA_THERE, 4, False))
        await both.buy("p2")
        assert [row.status for row in both.school.entitlements()] == ["active", "pending"]

        await both.confirm()
        both.assert_agreement((ADA, ADA_THERE, 5, True))
        assert [row.status for row in both.school.entitlements()] == ["active", "active"]

    @pytest.mark.parametrize("lost", ["account/linked", "account/link-state"])
    async def test_lost(self, both: Linked, lost: str) -> None:
        """
        Whatever of it is lost is made up for within minutes.
        """
        await both.buy()
        for app in (both.shop, both.school):
            app.environment.drop(lost, times=2)
        await both.confirm()
        await both.minutes(9)

        both.assert_agreement((ADA, ADA_THERE, 3, True))
        assert both.school.opens(ADA_THERE)
        assert both.shop.row().target_user_id == ADA_THERE

    async def test_lost_news_of_a_claim(self, both: Linked) -> None:
        """
        If the news of the claim is lost, the shop owes the question who holds it.
        """
        await both.buy()
        both.shop.environment.drop("entitlement/granted")
        await both.confirm()

        row = both.shop.row()
        assert both.school.opens(ADA_THERE)
        assert (row.status, row.target_user_id, row.next_attempt_at is not None) == ("synced", None, True)

    async def test_both_at_once(self, both: Linked) -> None:
        """
        Links that exclude each other, made at once in both apps, are settled alike; each side says which one lost.
        """
        for app in (both.shop, both.school):
            app.environment.hold("account/*")
        shop_token = parse_qs(urlsplit(await both.shop.bridge.linking.start(ADA, GRANTER)).query)["token"][0]
        there = parse_qs(urlsplit(await both.school.bridge.linking.start(ADA_THERE, SELLER)).query)["token"][0]
        await both.school.bridge.linking.confirm(both.school.bridge.linking.check(shop_token), EVE_THERE)
        await both.shop.bridge.linking.confirm(both.shop.bridge.linking.check(there), ADA)
        for app in (both.shop, both.school):
            app.environment.release()
        await both.settle()
        await both.minutes(9)

        both.assert_agreement((ADA, ADA_THERE, 3, True), (ADA, EVE_THERE, 4, False))


class TestSharedSignIn:
    @pytest.mark.parametrize("where", ["shop", "school"])
    async def test_links(self, both: Linked, where: str) -> None:
        """
        The same account at GitHub opens both apps: the next sign-in in either links them, once, and the course opens.
        """
        both.signs_in(both.shop, ADA, "1001")
        both.signs_in(both.school, ADA_THERE, "1001")
        await both.buy()
        app, user = (both.shop, ADA) if where == "shop" else (both.school, ADA_THERE)
        for _ in range(5):
            app.environment.emit("user/login", {"userId": user})
            await both.settle()
            both.local.clock.advance(timedelta(days=2))

        both.assert_agreement((ADA, ADA_THERE, 1, True))
        assert both.school.opens(ADA_THERE)
        assert (both.crossed("account/linked"), both.crossed("user/oauth-login")) == (1, 1)

    async def test_forged(self, both: Linked) -> None:
        """
        A sign-in of the victim with the attacker's account, sent by whoever has the key, links nobody.
        """
        both.signs_in(both.school, EVE_THERE, "6666")
        await both.buy()
        data = {"userId": ADA, "provider": "github", "providerAccountId": "6666"}
        both.shop.environment.emit("user/login", data)
        both.school.environment.emit("user/oauth-login", {**data, "sourceApp": SELLER, "loggedInAt": NOW.isoformat()})
        await both.settle()

        both.assert_agreement()
        assert both.school.entitlement().status == "pending"

    async def test_explicit_wins(self, both: Linked) -> None:
        """
        What a person confirms wins over what a sign-in linked at the same time.
        """
        both.signs_in(both.shop, ADA, "1001")
        both.signs_in(both.school, EVE_THERE, "1001")
        for app in (both.shop, both.school):
            app.environment.hold("account/*")
        both.shop.environment.emit("user/login", {"userId": ADA})
        await both.settle()
        there = parse_qs(urlsplit(await both.school.bridge.linking.start(ADA_THERE, SELLER)).query)["token"][0]
        await both.shop.bridge.linking.confirm(both.shop.bridge.linking.check(there), ADA)
        for app in (both.shop, both.school):
            app.environment.release()
        await both.settle()
        await both.minutes(9)

        both.assert_agreement((ADA, ADA_THERE, 3, True), (ADA, EVE_THERE, 2, False))


class TestGuests:
    async def test_named_and_linked(self, both: Linked) -> None:
        """
        A guest's purchase is that of the user who holds the address at the shop, and opens for whom that user links.
        """
        await both.buy(user_id=None, email="Ada@Example.com")
        assert both.school.entitlement().source_user_id == ADA
        await both.confirm()

        assert both.school.opens(ADA_THERE)

    async def test_nobodys(self, both: Linked) -> None:
        """
        That of a guest whom the shop doesn't know opens for nobody, whoever has the address at the school.
        """
        both.meet(both.school, "guest-at-school")
        await both.buy(user_id=None, email="guest@example.com")
        await both.confirm(EVE, "guest-at-school")
        await both.minutes(3)

        assert both.school.entitlement().status == "pending"


def bridges(client: inngest.Inngest, database: Database, **second: Any) -> tuple[tt.Bridge, ah.Bridge]:
    """
    An app that sells and gives access.
    """
    settings = second.pop("first_settings", None) or Settings(
        SELLER, [peer(GRANTER, "http://127.0.0.1:1", "key")], dev=True
    )
    seller = tt.Bridge(
        client, database.engine, settings=settings, purchases=shop_purchases(), bundles={}, users=TableUsers(Person)
    )
    options: dict[str, Any] = {
        "settings": settings,
        "products": ah.TableProducts(SchoolProduct),
        "accounts": TableAccounts(SignIn),
        **second,
    }
    engine = options.pop("engine", database.engine)
    return seller, ah.Bridge(client, engine, **options)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Database]:
    """
    A database of one app.
    """
    with open_database("sqlite", tmp_path) as database:
        yield database


def fresh() -> inngest.Inngest:
    """
    A client that no bridge has yet.
    """
    return inngest.Inngest(app_id="both", is_production=False)


class TestTwoBridges:
    def test_shared_once(self, one: Database) -> None:
        """
        A seller and a granter on one client have the functions on links once, with what both do for a link.
        """
        seller, granter = bridges(fresh(), one)
        ids = {function.local_id: function for function in [*seller.functions, *granter.functions]}

        assert seller.linking is granter.linking
        assert len({id(function) for function in [*seller.functions, *granter.functions]}) == len(ids) == 16
        assert (len(seller.linking.linker.effects), len(seller.linking.chores)) == (1, 1)
        assert isinstance(seller.linking.linker.users, TableUsers)
        assert isinstance(seller.linking.linker.accounts, TableAccounts)

    @pytest.mark.parametrize("differs", ["settings", "engine", "links"])
    def test_different(self, one: Database, tmp_path: Path, differs: str) -> None:
        """
        A second bridge with other settings, another engine or other tables is an error that says so.
        """
        with open_database("sqlite", tmp_path, "other") as other:
            options: dict[str, dict[str, Any]] = {
                "settings": {"settings": Settings(SELLER, [peer(GRANTER, "http://127.0.0.1:2", "key")], dev=True)},
                "engine": {"engine": other.engine},
                "links": {"links": OtherLink},
            }
            with pytest.raises(CrossAppConfigError, match=f"must have the same {differs}"):
                bridges(fresh(), one, **options[differs])

    def test_same_kind(self, one: Database) -> None:
        """
        Two of one kind on one client are an error.
        """
        client = fresh()
        kept = bridges(client, one)
        with pytest.raises(CrossAppConfigError, match="comes twice"):
            tt.Bridge(client, one.engine, settings=kept[0].settings, purchases=shop_purchases(), bundles={})

    def test_refused_leaves_nothing(self, one: Database) -> None:
        """
        A bridge that is refused leaves nothing behind in the one that stands.
        """
        client = fresh()
        kept = bridges(client, one)
        with pytest.raises(CrossAppConfigError, match="comes twice"):
            tt.Bridge(client, one.engine, settings=kept[0].settings, purchases=shop_purchases(), bundles={})

        assert len(kept[0].linking.linker.effects) == 1

    def test_events_of_the_second(self, one: Database) -> None:
        """
        Where only the second bridge has accounts, its own events of a sign-in are those that count.
        """
        _, granter = bridges(fresh(), one, sign_in_events=[SignInEvent("auth/session.created")])
        [emitting] = [function for function in granter.functions if function.local_id == "emit-oauth-login"]
        triggers = emitting.get_config("https://both.example").main.triggers

        assert {getattr(trigger, "event", None) for trigger in triggers} == {
            "auth/session.created",
            "cross-app/signed-in",
        }

    def test_gone_bridges(self, one: Database) -> None:
        """
        A client whose bridges are gone may have others, as test suites make them.
        """
        client = fresh()
        for _ in range(2):
            made = bridges(client, one)
            assert len(made[0].linking.linker.effects) == 1
            del made

    async def test_both_work(self, one: Database) -> None:
        """
        Served together, a link has the effects of the seller and the claim of the granter; the kit takes both.
        """
        import fastapi
        import inngest.fast_api

        client = fresh()
        settings = Settings(SELLER, [peer(GRANTER, "http://127.0.0.1:1", "key")], dev=True)
        seller, granter = bridges(client, one, first_settings=settings)
        app = fastapi.FastAPI(lifespan=seller.lifespan)
        functions = {function.local_id: function for function in [*seller.functions, *granter.functions]}
        inngest.fast_api.serve(app, client, list(functions.values()), serve_origin="https://both.example")
        with one.session() as session:
            session.add(Person(id=ADA))
            session.add(
                Entitlement(
                    id="e1",
                    source_app=GRANTER,
                    source_purchase_id="p1",
                    product_id="c",
                    source_user_id=ADA_THERE,
                    source_version=1,
                    status="pending",
                )
            )
            session.add(
                CrossAppSync(
                    id="s1",
                    purchase_id="p2",
                    target_app=GRANTER,
                    target_product_id="d",
                    status="synced",
                    desired="granted",
                    version=1,
                    buyer_user_id=ADA,
                    created_at=NOW,
                )
            )
        with Kit() as kit:
            tested = kit.app(app, seller, granter)
            now = kit.clock()
            token = LinkToken(GRANTER, ADA_THERE, None, None, "5f0c2a8e9b7d4c61", now, now + timedelta(minutes=10))
            await seller.linking.confirm(token, ADA)
            with one.session() as session:
                assert session.get_one(CrossAppSync, "s1").next_attempt_at == now + timedelta(minutes=1)
            await kit.asettle()
            tested.run_cron("reconcile-cross-app")
            await kit.asettle()
            [run] = tested.log.runs_of("reconcile-cross-app")

        assert (run.status, run.steps) == ("completed", ["find claims", f"drain {GRANTER}", "forget tokens"])
        with one.session() as session:
            assert (session.get_one(Entitlement, "e1").status, session.get_one(Entitlement, "e1").user_id) == (
                "active",
                ADA,
            )
