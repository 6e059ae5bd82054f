from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from http.cookies import SimpleCookie
from itertools import product
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlmodel import Session

from examples.two_apps.granter.main import create_app as create_school
from examples.two_apps.granter.sample import PASSWORD
from examples.two_apps.seller.main import create_app as create_shop
from examples.two_apps.sign_in.guards import local_path
from tests.examples.sites import GRACE, SHOP, Site, github_sign_in, go_to_github, sign_in
from tests.examples.test_serving import CLOUD

WRONG = "This address and this password don’t belong together."
ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "https://evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "/\r\nset-cookie: a=b",
    "/\x85evil.example",
    " /account",
    "evil.example",
    "",
    "/" + "a" * 2002,
]
FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "rubbish"},
]
FORMS = ["/sign-in", "/register", "/sign-out", "/sign-in/github", "/account/github"]


class TestPassword:
    async def test_in_and_out(self, site: Site) -> None:
        """
        Whoever signs in sees who they are in the head of each page, until they sign out.
        """
        async with site.browser() as browser:
            assert site.ada not in (await browser.get("/")).text
            assert site.ada in (await sign_in(browser, site.ada)).text
            assert site.ada in (await browser.get("/")).text
            out = await browser.post("/sign-out")
            assert (out.url.path, site.ada in out.text) == ("/", False)
            assert site.cookie not in browser.cookies
            assert site.ada not in (await browser.get("/")).text

    async def test_address_in_another_form(self, site: Site) -> None:
        """
        Capitals and spaces around an address make no other address of it.
        """
        async with site.browser() as browser:
            assert site.ada in (await sign_in(browser, f" {site.ada.upper()} ")).text

    async def test_wrong(self, site: Site) -> None:
        """
        A wrong password and an unknown address are told the same, and nobody is signed in.
        """
        tried = [
            (site.ada, "another password"),
            (site.ada, PASSWORD + " "),
            (site.ada, ""),
            ("nobody@example.com", PASSWORD),
            ("no address", PASSWORD),
            ("", ""),
        ]
        async with site.browser() as browser:
            pages = [(email, await sign_in(browser, email, password)) for email, password in tried]
            assert not browser.cookies
        assert {page.status_code for _, page in pages} == {403}
        assert {page.text.count(WRONG) for _, page in pages} == {1}
        assert len({page.text.replace(f'value="{email}"', 'value=""') for email, page in pages}) == 1

    async def test_user_without_a_password(self, site: Site) -> None:
        """
        Who signs in with GitHub alone has no password, not an empty one, nor the one that is checked for nobody.
        """
        with Session(site.engine) as session, session.begin():
            user = session.get(site.people.users, _grace(site))
            assert user is not None
            user.password_hash = None
        async with site.browser() as browser:
            for password in ("", "nobody's", PASSWORD):
                page = await sign_in(browser, GRACE, password)
                assert (page.status_code, WRONG in page.text) == (403, True)

    @pytest.mark.parametrize("site", [SHOP], indirect=True)  # it takes its time, and is the same code in both
    async def test_unknown_user_takes_as_long(self, site: Site) -> None:
        """
        How long it takes doesn't tell who has an account.
        """
        async with site.browser() as browser:

            async def fastest(email: str) -> float:
                times = []
                for _ in range(4):
                    started = time.perf_counter()
                    await sign_in(browser, email, "another password")
                    times.append(time.perf_counter() - started)
                return min(times)

            assert await fastest("nobody@example.com") > 0.5 * await fastest(site.ada)

    async def test_typed_text_is_escaped(self, site: Site) -> None:
        """
        What somebody typed comes back as text.
        """
        async with site.browser() as browser:
            for path in ("/sign-in", "/register"):
                page = await browser.post(path, data={"email": '"><b>', "next": '/"><b>'})
                assert "<b>" not in page.text
                assert "&quot;&gt;&lt;b&gt;" in page.text

    async def test_body_that_is_no_form_of_ours(self, site: Site) -> None:
        """
        A body that can't be one of our forms is one without fields.
        """
        async with site.browser() as browser:
            for body in (b"\xff\xfe", b"email=" + b"a" * 20_000, b"&".join([b"a=1"] * 100), b""):
                page = await browser.post("/sign-in", content=body)
                assert (page.status_code, WRONG in page.text, "aaa" in page.text) == (403, True, False)

    async def test_not_kept_by_caches(self, site: Site) -> None:
        """
        No cache keeps these pages, nothing is loaded from elsewhere, and nobody frames them.
        """
        async with site.browser() as browser:
            for path in ("/", "/sign-in", "/register"):
                headers = (await browser.get(path)).headers
                assert headers["cache-control"] == "no-store"
                policy = headers["content-security-policy"]
                assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'")
                assert "frame-ancestors 'none'" in policy
            assert policy.endswith(f"form-action 'self' {site.github_url}")


class TestNext:
    async def test_followed(self, site: Site) -> None:
        """
        Signing in leads to the page that asked for it, through a wrong password and the register page, too.
        """
        async with site.browser() as browser:
            asked = await browser.get("/account")
            assert (asked.url.path, asked.url.params["next"]) == ("/sign-in", "/account")
            for form in (asked, await sign_in(browser, site.ada, "wrong password", "/account?a=1&b=2")):
                assert 'name="next" value="/account' in form.text
            assert (await sign_in(browser, site.ada, go_on="/account?a=1&b=2")).url.raw_path == b"/account?a=1&b=2"

    async def test_register(self, site: Site) -> None:
        """
        So does making an account.
        """
        async with site.browser() as browser:
            assert 'name="next" value="/account"' in (await browser.get("/register?next=/account")).text
            form = {"email": "new@example.com", "password": "long enough", "next": "/account"}
            assert (await browser.post("/register", data=form)).url.path == "/account"

    async def test_github(self, site: Site) -> None:
        """
        So does signing in with GitHub.
        """
        async with site.browser() as browser:
            assert (await github_sign_in(site, browser, "alan", "/account?a=1")).url.raw_path == b"/account?a=1"

    async def test_elsewhere(self, site: Site) -> None:
        """
        Nothing but a path of the app is followed: all else leads to its first page.
        """
        async with site.browser() as browser:
            for target in ELSEWHERE:
                for path in ("/sign-in", "/register"):
                    page = await browser.get(path, params={"next": target})
                    assert 'name="next" value="/"' in page.text
            browser.follow_redirects = False
            form = {"email": site.ada, "password": PASSWORD, "next": "//evil.example"}
            answers = [
                await browser.post("/sign-in", data=form),
                await browser.post("/sign-in", data=form | {"next": "/\r\nset-cookie: a=b"}),
                await browser.post("/register", data=form | {"email": "new@example.com"}),
            ]
        assert [(each.status_code, each.headers["location"]) for each in answers] == [(303, "/")] * 3
        assert [len(each.headers.get_list("set-cookie")) for each in answers] == [1] * 3

    async def test_elsewhere_by_github(self, site: Site) -> None:
        """
        Nor is it after signing in with GitHub.
        """
        async with site.browser() as browser:
            page = await github_sign_in(site, browser, "alan", "//evil.example")
            assert str(page.url) == f"{site.url}/"

    @pytest.mark.parametrize("path", ["/", "/account", "/a?b=c&d=/e#f", "/é", "/%2F%2Fevil", "/a//b"])
    def test_paths(self, path: str) -> None:
        """
        What is a path of the app is kept as it is.
        """
        assert local_path(path) == path

    @pytest.mark.parametrize("value", [*ELSEWHERE, None])
    def test_no_paths(self, value: str | None) -> None:
        """
        What isn't becomes the first page.
        """
        assert local_path(value) == "/"


class TestOtherSites:
    async def test_refused(self, site: Site) -> None:
        """
        A form that another site sent does nothing, to whoever is signed in.
        """
        users = len(site.rows(site.people.users))
        form = {"email": "new@example.com", "password": PASSWORD}
        async with site.browser() as browser:
            await sign_in(browser, site.ada)
            for path, headers in product(FORMS, FOREIGN):
                page = await browser.post(path, data=form, headers=headers)
                assert (page.status_code, "set-cookie" in page.headers) == (403, False)
                assert "<p>This form was sent by another site.</p>" in page.text
            assert site.ada in (await browser.get("/")).text
        assert len(site.rows(site.people.users)) == users

    async def test_another_port(self, site: Site) -> None:
        """
        An app on another port of the same machine is another site, too.
        """
        async with site.browser() as browser:
            page = await browser.post("/sign-in", data={"email": site.ada}, headers={"origin": site.github_url})
            assert (page.status_code, WRONG in page.text) == (403, False)

    async def test_own_forms(self, site: Site) -> None:
        """
        Its own forms are taken, and what a program sends, which no site can have it send.
        """
        form = {"email": site.ada, "password": PASSWORD}
        for headers in ({"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {"origin": site.url}, {}):
            async with site.browser() as browser:
                assert site.ada in (await browser.post("/sign-in", data=form, headers=headers)).text


class TestSession:
    async def test_renewed(self, site: Site) -> None:
        """
        What was in the session before is gone after signing in, whoever planted it there: the cookie of before is
        nobody's, and what was begun in it can't be ended in the new one.
        """
        async with site.browser() as browser:
            begun = await go_to_github(browser)
            before = browser.cookies[site.cookie]
            await sign_in(browser, site.ada)
            assert browser.cookies[site.cookie] != before
            browser.follow_redirects = False
            back = await browser.post(begun.url, data={"person": str(site.person("grace").id)})
            assert (await browser.get(back.headers["location"])).status_code == 400
            assert site.ada in (await browser.get("/")).text
        async with site.browser() as other:
            assert site.ada not in (await other.get("/", headers={"cookie": f"{site.cookie}={before}"})).text

    async def test_each_is_another(self, site: Site) -> None:
        """
        No two sessions of a user are the same.
        """
        cookies = []
        async with site.browser() as browser:
            for _ in range(2):
                await sign_in(browser, site.ada)
                cookies.append(browser.cookies[site.cookie].split(".")[0])
        assert len({*cookies}) == 2

    async def test_cookie(self, site: Site) -> None:
        """
        No script reads the cookie, and no other site has it sent along with a form.
        """
        async with site.browser() as browser:
            browser.follow_redirects = False
            headers = (await sign_in(browser, site.ada)).headers.get_list("set-cookie")
        [attributes] = [SimpleCookie(header)[site.cookie] for header in headers]
        assert (attributes["httponly"], attributes["samesite"], attributes["path"]) == (True, "lax", "/")
        assert attributes["secure"] == ""  # in development

    async def test_made_up(self, site: Site) -> None:
        """
        A cookie that the app didn't sign is nobody's.
        """
        for value in ("", "usr_ada", "eyJ1c2VyIjogInVzcl9hZGEifQ==.aaaa.bbbb", "null", "a.b.c.d", "\xe9"):
            async with site.browser() as browser:
                sent = httpx.Headers({"cookie": f"{site.cookie}={value}"}, encoding="latin-1")
                page = await browser.get("/", headers=sent)
                assert (page.status_code, "Sign out" in page.text) == (200, False)

    async def test_user_who_is_gone(self, site: Site) -> None:
        """
        The session of a user who is deleted is nobody's.
        """
        async with site.browser() as browser:
            await browser.post("/register", data={"email": "new@example.com", "password": "long enough"})
            assert "new@example.com" in (await browser.get("/")).text
            with Session(site.engine) as session, session.begin():
                for user in site.rows(site.people.users):
                    if user.email == "new@example.com":
                        session.delete(user)
            assert "Sign out" not in (await browser.get("/")).text

    @pytest.mark.parametrize("create_app", [create_shop, create_school])
    async def test_deployed(self, create_app: Callable[[Mapping[str, str]], FastAPI], tmp_path: Path) -> None:
        """
        Outside of development the cookie travels by TLS alone, and the sample's people have no password.
        """
        app = create_app({**CLOUD, "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/db", "SAMPLE_DATA": "1"})
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://app.example") as browser,
        ):
            assert (await sign_in(browser, GRACE)).status_code == 403
            answer = await browser.post("/register", data={"email": "new@example.com", "password": "long enough"})
        assert answer.status_code == 303
        [attributes] = SimpleCookie(answer.headers["set-cookie"]).values()
        assert (attributes["secure"], attributes["httponly"], attributes["samesite"]) == (True, True, "lax")


def _grace(site: Site) -> str:
    [grace] = [user.id for user in site.rows(site.people.users) if user.email == GRACE]
    return grace
