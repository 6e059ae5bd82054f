from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, MetaData
from sqlmodel import Session

from examples.two_apps.granter.sample import PASSWORD
from examples.two_apps.local_github.registry import Email, Person
from examples.two_apps.serving import Served
from examples.two_apps.sign_in.tables import UserBase
from examples.two_apps.together import started
from tests.databases import NAMES, open_database
from tests.examples.sites import (
    GRACE,
    SHOP,
    Site,
    choose,
    github_sign_in,
    go_to_github,
    sign_in,
)

NEW = Person(
    4_000_000_001, "new", "Somebody New", (Email("other@example.com", primary=False), Email("New@Example.com"))
)


def accounts(site: Site) -> list[tuple[str, str, str]]:
    rows = site.rows(site.people.accounts)
    return [(row.provider, row.provider_account_id, row.user_id) for row in rows]


def user(site: Site, user_id: str) -> UserBase:
    [found] = [each for each in site.rows(site.people.users) if each.id == user_id]
    return found


def events(site: Site) -> list[tuple[str, object]]:
    return [(event.name, event.data) for event in site.inngest.log.received]


@pytest.fixture
def newcomer(site: Site) -> Site:
    """
    The app, when somebody new has an account at the provider.
    """
    site.github.people.append(NEW)
    return site


class TestFirstSignIn:
    async def test_new_user(self, newcomer: Site) -> None:
        """
        Who comes for the first time becomes a user with the name and the primary, verified address from GitHub, and
        no password; the app's own Inngest is told, in ids alone.
        """
        async with newcomer.browser() as browser:
            page = await github_sign_in(newcomer, browser, "new")
            assert (str(page.url), "new@example.com" in page.text) == (f"{newcomer.url}/", True)
        [(provider, account_id, user_id)] = accounts(newcomer)
        assert (provider, account_id) == ("github", "4000000001")
        made = user(newcomer, user_id)
        assert (made.email, made.email_verified, made.name) == ("new@example.com", True, "Somebody New")
        assert made.password_hash is None
        data = {"userId": user_id, "provider": "github", "providerAccountId": "4000000001"}
        assert events(newcomer) == [("user/login", data)]

    async def test_again(self, newcomer: Site) -> None:
        """
        The next time it is the same user, whatever name and address GitHub has then, and Inngest is told again.
        """
        async with newcomer.browser() as browser:
            await github_sign_in(newcomer, browser, "new")
        newcomer.github.people[-1] = Person(NEW.id, "renamed", "Renamed", (Email("renamed@example.com"),))
        async with newcomer.browser() as browser:
            assert "new@example.com" in (await github_sign_in(newcomer, browser, "renamed")).text
        assert len(accounts(newcomer)) == 1
        assert len(newcomer.rows(newcomer.people.users)) == 3
        assert [name for name, _ in events(newcomer)] == ["user/login"] * 2

    async def test_unverified_address(self, site: Site) -> None:
        """
        An address that GitHub has not verified isn't taken over; who has no name is called by the login.
        """
        async with site.browser() as browser:
            await github_sign_in(site, browser, "alan")
            page = (await browser.get("/account")).text
        assert "alan@example.com" not in page
        assert "<dd>alan</dd>" in page
        [(_, _, user_id)] = accounts(site)
        assert (user(site, user_id).email, user(site, user_id).email_verified) == (None, False)

    async def test_address_of_another_user(self, site: Site) -> None:
        """
        An equal address makes nobody a known user: the new one has none, and the other keeps all that is theirs.
        """
        before = {each.id: each.model_dump() for each in site.rows(site.people.users)}
        async with site.browser() as browser:
            page = await github_sign_in(site, browser, "grace")
            assert (GRACE in page.text, "Grace Hopper" in page.text) == (False, True)
        [(_, _, user_id)] = accounts(site)
        after = {each.id: each.model_dump() for each in site.rows(site.people.users)}
        assert after.pop(user_id)["email"] is None
        assert after == before

    async def test_somebody_registered_the_address_first(self, newcomer: Site) -> None:
        """
        Whoever registered an address that isn't theirs gets nothing of its owner, who signs in with GitHub later.
        """
        async with newcomer.browser() as squatter:
            await squatter.post("/register", data={"email": "new@example.com", "password": PASSWORD})
            async with newcomer.browser() as owner:
                await github_sign_in(newcomer, owner, "new", "/account")
            assert "not connected" in (await squatter.get("/account")).text
        [(_, _, user_id)] = accounts(newcomer)
        assert user(newcomer, user_id).password_hash is None

    async def test_recycled_login(self, newcomer: Site) -> None:
        """
        A login that GitHub has given to somebody else, who has another id, is another user.
        """
        async with newcomer.browser() as browser:
            await github_sign_in(newcomer, browser, "new")
        newcomer.github.people[-1] = Person(NEW.id + 1, "new", "Somebody Newer", (Email("newer@example.com"),))
        async with newcomer.browser() as browser:
            assert "newer@example.com" in (await github_sign_in(newcomer, browser, "new")).text
        assert len({user_id for _, _, user_id in accounts(newcomer)}) == 2

    async def test_both_apps(self, on_ports: Served, engines: tuple[Engine, Engine]) -> None:
        """
        Both apps can be used in one browser, each with a session and users of its own.
        """
        sites = [Site.of(name, on_ports, engines) for name in ("shop", "school")]
        async with sites[0].browser() as browser:
            await github_sign_in(sites[0], browser, "alan")
            page = await browser.post(f"{sites[1].url}/sign-in/github", data={"next": "/account"})
            assert "Sign in to school" in page.text
            assert "<dd>alan</dd>" in (await choose(browser, page, sites[1].person("alan"))).text
            assert "Sign out" in (await browser.get(sites[0].url)).text
        assert [len(accounts(site)) for site in sites] == [1, 1]


class TestAtOnce:
    @pytest.fixture(params=NAMES)
    def engines(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Engine, Engine]]:
        """
        The databases of the shop and the school, on each server in turn.
        """
        kind = request.param
        with open_database(kind, tmp_path, "shop") as shop, open_database(kind, tmp_path, "school") as school:
            yield shop.engine, school.engine

    async def test_one_user(self, on_ports: Served, engines: tuple[Engine, Engine]) -> None:
        """
        Who signs in for the first time in two browsers at once is one user, in both.
        """
        site = Site.of(SHOP, on_ports, engines)
        for number in range(5):
            site.github.people.append(Person(100 + number, "twin", "Twin", (Email(f"{number}@example.com"),)))
            async with site.browser() as one, site.browser() as other:
                pages = [await go_to_github(browser) for browser in (one, other)]
                person = site.github.people[-1]
                ends = await asyncio.gather(choose(one, pages[0], person), choose(other, pages[1], person))
            assert [end.status_code for end in ends] == [200, 200]
            assert ["Sign out" in end.text for end in ends] == [True, True]
        assert len(accounts(site)) == 5
        assert len(site.rows(site.people.users)) == 7


class TestFlow:
    async def test_what_is_asked(self, site: Site) -> None:
        """
        The app asks for a code with PKCE and a state of its own each time, for its own callback.
        """
        async with site.browser() as browser:
            asked = [(await go_to_github(browser)).url.params for _ in range(2)]
        assert [each["code_challenge_method"] for each in asked] == ["S256"] * 2
        assert [each["redirect_uri"] for each in asked] == [f"{site.url}/sign-in/github/callback"] * 2
        assert [each["scope"] for each in asked] == ["read:user user:email"] * 2
        for name in ("state", "code_challenge"):
            assert len({each[name] for each in asked}) == 2
            assert all(len(each[name]) >= 30 for each in asked)

    async def test_state(self, site: Site) -> None:
        """
        A code with another state, or with none, or that another browser has begun to ask for, signs in nobody.
        """
        async with site.browser() as browser, site.browser() as attacker:
            attacker.follow_redirects = False
            begun = await attacker.post("/sign-in/github")
            back = await attacker.post(begun.headers["location"], data={"person": "1912"})
            theirs = httpx.URL(back.headers["location"])
            for _ in range(2):
                for url in (theirs, theirs.copy_set_param("state", "made-up"), theirs.copy_remove_param("state")):
                    page = await browser.get(url)
                    assert (page.status_code, "Try again" in page.text, "Sign out" in page.text) == (400, True, False)
                await go_to_github(browser)  # and then the browser has a state of its own
        assert not accounts(site)
        assert not events(site)

    async def test_twice(self, site: Site) -> None:
        """
        The way back can be gone once.
        """
        async with site.browser() as browser:
            page = await github_sign_in(site, browser, "alan")
            [back] = [each.url for each in page.history if each.url.path.endswith("/callback")]
            await browser.post("/sign-out")
            assert (await browser.get(back)).status_code == 400
            assert "Sign out" not in (await browser.get("/")).text

    async def test_cancelled(self, site: Site) -> None:
        """
        Who changes their mind at GitHub comes to a page with a way on, signed in as before.
        """
        async with site.browser() as browser:
            page = await choose(browser, await go_to_github(browser), None)
            assert (page.status_code, page.url.path) == (400, "/sign-in/github/callback")
            assert '<a href="/sign-in">Try again</a>' in page.text
            assert "Sign out" not in page.text
            await sign_in(browser, site.ada)
            assert site.ada in (await choose(browser, await go_to_github(browser), None)).text

    async def test_error_that_anybody_wrote(self, site: Site, caplog: pytest.LogCaptureFixture) -> None:
        """
        What stands in the URL of the way back isn't shown, and no line of the log is made of it.
        """
        caplog.set_level(logging.INFO, "examples")
        async with site.browser() as browser:
            params = {"error": "<b>\nforged line", "error_description": "<b>call 555</b>", "state": "made-up"}
            page = await browser.get("/sign-in/github/callback", params=params)
        assert (page.status_code, "<b>" in page.text, "555" in page.text) == (400, False, False)
        assert "forged" not in "".join(record.getMessage() for record in caplog.records if "examples" in record.name)

    @pytest.mark.parametrize("broken", [Person(0, "alan"), Person(-1, "alan"), Person(True, "alan")])
    async def test_provider_that_tells_nonsense(self, site: Site, broken: Person) -> None:
        """
        An id that is none signs in nobody.
        """
        site.github.people[:] = [broken]
        async with site.browser() as browser:
            assert (await github_sign_in(site, browser, "alan")).status_code == 400
        assert not accounts(site)

    async def test_provider_that_refuses(self, site: Site) -> None:
        """
        A provider that doesn't know the app (any more) signs in nobody.
        """
        async with site.browser() as browser:
            browser.follow_redirects = False
            begun = await browser.post("/sign-in/github")
            back = await browser.post(begun.headers["location"], data={"person": "1912"})
            site.github.server.clients.clear()
            page = await browser.get(back.headers["location"])
        assert (page.status_code, "GitHub didn’t sign you in" in page.text) == (400, True)

    async def test_own_inngest_is_out(self, site: Site) -> None:
        """
        Nobody stays outside because the app's own Inngest can't be told.
        """
        site.inngest.answer_next(401)
        async with site.browser() as browser:
            assert "alan" in (await github_sign_in(site, browser, "alan")).text
        assert not events(site)


class TestTokens:
    async def test_not_kept(self, site: Site, caplog: pytest.LogCaptureFixture) -> None:
        """
        No token and no code is in the database, in the session or in the log, whatever its level.
        """
        caplog.set_level(logging.DEBUG)
        async with site.browser() as browser:
            page = await github_sign_in(site, browser, "alan")
            [token] = site.github.server.tokens
            [code] = [each.url.params["code"] for each in page.history if "code" in each.url.params]
            session = httpx.QueryParams({"session": browser.cookies[site.cookie]})
        own = [record for record in caplog.records if not record.name.startswith(("httpx", "uvicorn", "httpcore"))]
        assert any(record.name.startswith("authlib") for record in own)
        for text in (everything(site.engine), str(session), *(record.getMessage() for record in own)):
            assert token not in text
            assert code not in text
        assert token not in caplog.text


class TestWithout:
    async def test_no_button(self, engines: tuple[Engine, Engine]) -> None:
        """
        Without a client id at GitHub there is no button, and no page behind it.
        """
        async with started((engines[0].url, engines[1].url)) as both:
            for running in (both.shop, both.school):
                async with running.visitor() as browser:
                    for path in ("/sign-in", "/register"):
                        assert "GitHub" not in (await browser.get(path)).text
                    await browser.post("/sign-in", data={"email": GRACE, "password": PASSWORD})
                    page = await browser.get("/account")
                    assert (GRACE in page.text, "Connect" in page.text) == (True, False)
                    for path in ("/sign-in/github", "/account/github", "/sign-in/github/callback"):
                        assert (await browser.post(path)).status_code == 404


def everything(engine: Engine) -> str:
    metadata = MetaData()
    metadata.reflect(engine)
    with Session(engine) as session:
        return "\n".join(str(row) for table in metadata.sorted_tables for row in session.execute(table.select()))
