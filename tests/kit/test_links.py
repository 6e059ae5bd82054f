from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

import crossapp_tt as tt
from crossapp_core import LinkConflictError, LinkTokenError, Peer, Settings
from crossapp_core.linking import Linking
from crossapp_core.models import AccountLink
from crossapp_core.ports import Account, User
from crossapp_core.testing import Kit, SketchCounterpart
from tests.databases import Database, open_database
from tests.hosts import SECRET, shop_purchases
from tests.kit.deployed import SCHOOL, SHOP, School, Shop, client_of, served

PEOPLE = {"ada": "ada@example.com", "bob": "bob@example.com"}


class People:
    """
    The shop's users, and their accounts at GitHub, as its own code would keep them.
    """

    def get(self, session: object, user_id: str) -> User | None:
        """
        One of them.
        """
        return User(user_id, PEOPLE[user_id], email_verified=True) if user_id in PEOPLE else None

    def by_verified_email(self, session: object, address: str) -> User | None:
        """
        Nobody buys without an account.
        """
        return None

    def gone(self, session: object, user_ids: object) -> frozenset[str]:
        """
        Nobody goes.
        """
        return frozenset()

    def find(self, session: object, provider: str, provider_account_id: str) -> Account | None:
        """
        Only Ada has one.
        """
        found = Account("ada", "github", "583231")
        return found if (provider, provider_account_id) == ("github", "583231") else None

    def of(self, session: object, user_id: str) -> list[Account]:
        """
        Only Ada has one.
        """
        return [Account("ada", "github", "583231")] if user_id == "ada" else []


def open_signing_in(database: Database, *, sketch: bool = False) -> Shop:
    """
    A shop that knows its people, and where the school's pages are.
    """
    client, people = client_of(SHOP), People()
    secret, web_url = "" if sketch else SECRET, "https://school.example"
    peer = Peer(app_id=SCHOOL, event_key="live-key-of-ai-hero", secret=secret, web_url=web_url, sketch=sketch)
    bridge = tt.Bridge(
        client,
        database.engine,
        settings=Settings(SHOP, [peer]),
        purchases=shop_purchases(),
        bundles={"bundle": [{"app": SCHOOL, "productId": "course"}]},
        users=people,
        accounts=people,
    )
    return Shop(database, bridge, served(client, bridge.functions))


@pytest.fixture
def signing_in(tmp_path: Path) -> Iterator[Shop]:
    """
    That shop, with a school that has this library.
    """
    with open_database("sqlite", tmp_path, "signing-in") as database:
        yield open_signing_in(database)


def linking_of(shop: Shop) -> Linking:
    """
    What links accounts in a shop.
    """
    assert isinstance(shop.bridge, tt.Bridge)
    return shop.bridge.linking


def links(app: Shop | School) -> list[tuple[str, str, int, int]]:
    """
    The pairs in an app's database, with their versions here and as acknowledged.
    """
    with app.database.session() as session:
        rows = session.exec(select(AccountLink)).all()
        return sorted((row.user_id, row.linked_user_id, row.version, row.acknowledged_version) for row in rows)


def told(school: SketchCounterpart) -> list[str]:
    """
    What came to the school from elsewhere.
    """
    return [event.name for event in school.log.received if event.key is not None]


class TestMadeThere:
    def test_linked(self, crossapp: Kit, shop: Shop) -> None:
        """
        A link made at the counterpart is told to the app, which writes it down and answers.
        """
        crossapp.app(shop.app, shop.bridge)
        school = crossapp.peer(SCHOOL)

        school.link("ada", "ada-at-school")
        crossapp.settle()

        assert links(shop) == [("ada", "ada-at-school", 3, 3)]
        [row] = school.links
        assert (row.app, row.user_id, row.linked_user_id) == (SHOP, "ada-at-school", "ada")
        assert (row.is_linked, row.version, row.acknowledged_version) == (True, 3, 3)

    def test_unlinked_and_linked_again(self, crossapp: Kit, shop: Shop) -> None:
        """
        Each change has a larger number; what is unlinked twice changes once.
        """
        crossapp.app(shop.app, shop.bridge)
        school = crossapp.peer(SCHOOL)
        school.link("ada", "ada-at-school")
        school.unlink("ada", "ada-at-school")
        school.unlink("ada", "ada-at-school")
        crossapp.settle()
        assert links(shop) == [("ada", "ada-at-school", 4, 4)]

        school.link("ada", "ada-at-school")
        crossapp.settle()

        assert links(shop) == [("ada", "ada-at-school", 5, 5)]

    def test_lost(self, crossapp: Kit, shop: Shop) -> None:
        """
        A link that was lost on its way is owed, and told again when the counterpart reconciles.
        """
        seller = crossapp.app(shop.app, shop.bridge)
        school = crossapp.peer(SCHOOL)
        seller.environment.drop("account/linked")
        school.link("ada", "ada-at-school")
        crossapp.settle()
        assert links(shop) == []

        school.reconcile()
        crossapp.settle()

        assert links(shop) == [("ada", "ada-at-school", 3, 3)]
        assert [row.acknowledged_version for row in school.links] == [3]

    def test_conflict(self, crossapp: Kit, shop: Shop) -> None:
        """
        An account that is linked with another one there is refused, as a real app refuses it.
        """
        crossapp.app(shop.app, shop.bridge)
        school = crossapp.peer(SCHOOL)
        school.link("ada", "ada-at-school")

        with pytest.raises(LinkConflictError) as theirs:
            school.link("ada", "somebody-else")
        with pytest.raises(LinkConflictError) as ours:
            school.link("bob", "ada-at-school")

        assert (theirs.value.ours, ours.value.ours) == (False, True)
        assert [row.linked_user_id for row in school.links] == ["ada"]

    def test_shared_sign_in(self, crossapp: Kit, signing_in: Shop) -> None:
        """
        Somebody who signs in there with the same account of GitHub is linked, once.
        """
        crossapp.app(signing_in.app, signing_in.bridge)
        school = crossapp.peer(SCHOOL)

        school.sign_in("ada-at-school", "github", "583231")
        school.sign_in("bob-at-school", "github", "1")
        crossapp.settle()

        assert links(signing_in) == [("ada", "ada-at-school", 1, 1)]
        assert [(row.method, row.version) for row in school.links] == [("oauth-github", 1)]


class TestMadeHere:
    def test_confirmed_there(self, crossapp: Kit, signing_in: Shop) -> None:
        """
        What begins in the app is confirmed at the counterpart, by its address or its token, and once.
        """
        crossapp.app(signing_in.app, signing_in.bridge)
        school = crossapp.peer(SCHOOL)
        url = crossapp.run(linking_of(signing_in).start("ada", SCHOOL))

        school.confirm(url, "ada-at-school")
        crossapp.settle()

        assert url.startswith("https://school.example/account-link/confirm?token=")
        assert links(signing_in) == [("ada", "ada-at-school", 3, 3)]
        with pytest.raises(LinkTokenError, match="replayed"):
            school.confirm(url, "ada-at-school")

    def test_expired(self, crossapp: Kit, signing_in: Shop) -> None:
        """
        A token of an hour ago is none any more.
        """
        crossapp.app(signing_in.app, signing_in.bridge)
        school = crossapp.peer(SCHOOL)
        url = crossapp.run(linking_of(signing_in).start("ada", SCHOOL))
        crossapp.clock.advance(timedelta(hours=1))

        with pytest.raises(LinkTokenError, match="expired"):
            school.confirm(url, "ada-at-school")
        assert school.links == []

    def test_begun_there(self, crossapp: Kit, signing_in: Shop) -> None:
        """
        What begins at the counterpart is confirmed in the app, and told to it; what waited there unlocks.
        """
        seller = crossapp.app(signing_in.app, signing_in.bridge)
        school = crossapp.peer(SCHOOL)
        seller.emit("purchase/created", {"purchaseId": signing_in.buy(user_id="ada")})
        crossapp.settle()
        linking = linking_of(signing_in)
        token = linking.check(school.link_token("ada-at-school", email="ada@school.example"))

        crossapp.run(linking.confirm(token, "ada"))
        crossapp.settle()

        assert [(row.version, row.acknowledged_version) for row in school.links] == [(3, 3)]
        assert [(row.status, row.user_id) for row in school.entitlements] == [("active", "ada-at-school")]
        assert signing_in.row.target_user_id == "ada-at-school"

    def test_unlinked(self, crossapp: Kit, signing_in: Shop) -> None:
        """
        An unlink in the app is told too; what is unlocked stays so, what comes then waits.
        """
        seller = crossapp.app(signing_in.app, signing_in.bridge)
        school = crossapp.peer(SCHOOL)
        school.link("ada", "ada-at-school")
        seller.emit("purchase/created", {"purchaseId": signing_in.buy(user_id="ada")})
        crossapp.settle()

        crossapp.run(linking_of(signing_in).unlink("ada", SCHOOL))
        crossapp.settle()
        seller.emit("purchase/created", {"purchaseId": signing_in.buy("p2", user_id="ada")})
        crossapp.settle()

        assert [row.is_linked for row in school.links] == [False]
        assert [row.status for row in school.entitlements] == ["active", "pending"]

    def test_shared_sign_in(self, crossapp: Kit, signing_in: Shop) -> None:
        """
        A sign-in in the app links who signs in at the counterpart with the same account of GitHub.
        """
        seller = crossapp.app(signing_in.app, signing_in.bridge)
        school = crossapp.peer(SCHOOL)
        school.accounts["github", "583231"] = "ada-at-school"

        seller.emit("user/login", {"userId": "ada"})
        crossapp.settle()

        assert links(signing_in) == [("ada", "ada-at-school", 1, 1)]


class TestAtOnce:
    @pytest.mark.parametrize("there", ["explicit", "oauth"])
    def test_two_that_exclude_each_other(self, crossapp: Kit, signing_in: Shop, there: str) -> None:
        """
        Two links of one account, made at once in both apps, are settled alike by library and counterpart.
        """
        crossapp.app(signing_in.app, signing_in.bridge)
        school = crossapp.peer(SCHOOL)
        linking = linking_of(signing_in)
        token = linking.check(school.link_token("a-at-school"))
        crossapp.run(linking.confirm(token, "ada"))
        if there == "explicit":
            school.link("ada", "b-at-school")
        else:
            school.sign_in("b-at-school", "github", "1")
            school.accounts["github", "583231"] = "b-at-school"
        crossapp.settle()
        school.reconcile()
        crossapp.settle()

        here = {(user, linked): version for user, linked, version, _ in links(signing_in)}
        assert {(row.linked_user_id, row.user_id): row.version for row in school.links} == {
            pair: version for pair, version in here.items() if version
        }
        assert here["ada", "a-at-school"] == 3
        assert all(version % 2 == 0 for pair, version in here.items() if pair != ("ada", "a-at-school"))


class TestSketch:
    @pytest.fixture
    def shop(self, tmp_path: Path) -> Iterator[Shop]:
        """
        A shop whose school doesn't have this library.
        """
        with open_database("sqlite", tmp_path, "sketchy") as database:
            yield open_signing_in(database, sketch=True)

    def test_linked(self, crossapp: Kit, shop: Shop) -> None:
        """
        A peer without the library says once, without a version, that two accounts are linked.
        """
        crossapp.app(shop.app, shop.bridge)
        school = crossapp.peer(SCHOOL, sketch=True)

        school.link("ada-at-school", "ada")
        school.link("bob-at-school", "bob", method="oauth-github")
        crossapp.settle()

        assert links(shop) == [("ada", "ada-at-school", 3, 3), ("bob", "bob-at-school", 1, 1)]
        assert told(school) == []

    def test_shared_sign_in(self, crossapp: Kit, shop: Shop) -> None:
        """
        It tells of a sign-in, too; the link that is made of it is told to it, and that it was accepted is enough.
        """
        crossapp.app(shop.app, shop.bridge)
        school = crossapp.peer(SCHOOL, sketch=True)

        school.sign_in("ada-at-school", "github", "583231")
        crossapp.settle()

        assert links(shop) == [("ada", "ada-at-school", 1, 1)]
        assert told(school) == ["account/linked"]
