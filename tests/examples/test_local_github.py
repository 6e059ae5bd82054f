from __future__ import annotations

import logging
import secrets
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from hashlib import sha256

import httpx
import pytest

from examples.two_apps.local_github.app import API, AUTHORIZE, PEOPLE, TOKEN, LocalGitHub, clients_at, variables
from examples.two_apps.local_github.registry import Email, Person
from examples.two_apps.serving import free_port, on_port

SECRET = "a secret of both apps"
CALLBACK = "http://127.0.0.1:1/sign-in/github/callback"
VERIFIER = secrets.token_urlsafe(32)
ASKED = {
    "response_type": "code",
    "client_id": "shop",
    "redirect_uri": CALLBACK,
    "scope": "read:user user:email",
    "state": "the state",
    "code_challenge": urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).decode().rstrip("="),
    "code_challenge_method": "S256",
}


@pytest.fixture
def github() -> LocalGitHub:
    """
    The provider, with its people and both apps.
    """
    clients = clients_at("http://127.0.0.1:1", "http://127.0.0.1:2", secret=SECRET)
    return LocalGitHub([*clients.values()])


@pytest.fixture(params=["port", "process"])
async def browser(request: pytest.FixtureRequest, github: LocalGitHub) -> AsyncIterator[httpx.AsyncClient]:
    """
    Somebody's browser, which talks to it on a real port, or in this process.
    """
    async with AsyncExitStack() as stack:
        if request.param == "port":
            listening, origin = stack.enter_context(free_port())
            await stack.enter_async_context(on_port(github.app, listening))
            client = httpx.AsyncClient(base_url=origin, trust_env=False)
        else:
            client = httpx.AsyncClient(base_url="https://github.test", transport=httpx.ASGITransport(github.app))
        yield await stack.enter_async_context(client)


async def code_for(browser: httpx.AsyncClient, person: int = 1815, **changes: str) -> str:
    answer = await browser.post(AUTHORIZE, params=ASKED | changes, data={"person": str(person)})
    assert answer.status_code == 302
    return httpx.URL(answer.headers["location"]).params["code"]


async def exchange(browser: httpx.AsyncClient, code: str, /, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "client_id": "shop",
        "client_secret": SECRET,
        "code_verifier": VERIFIER,
    }
    return await browser.post(TOKEN, data=form | changes)


async def bearer(browser: httpx.AsyncClient, person: int = 1815, **changes: str) -> dict[str, str]:
    token = (await exchange(browser, await code_for(browser, person, **changes))).json()
    return {"authorization": f"{token['token_type']} {token['access_token']}"}


class TestAuthorize:
    async def test_people(self, browser: httpx.AsyncClient, github: LocalGitHub) -> None:
        """
        The page offers everybody who has an account, as text, and a way out.
        """
        github.people.append(Person(7, "new", "<b>New</b>"))
        page = await browser.get(AUTHORIZE, params=ASKED)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        for text in ('value="1815">Ada Lovelace<', 'value="7">&lt;b&gt;New&lt;/b&gt;<', ">Cancel<"):
            assert text in page.text

    async def test_chosen(self, browser: httpx.AsyncClient) -> None:
        """
        Whoever is chosen is sent back to the app, with a code and the app's state.
        """
        answer = await browser.post(AUTHORIZE, params=ASKED, data={"person": "1815"})
        back = httpx.URL(answer.headers["location"])
        assert (answer.status_code, str(back.copy_with(query=None))) == (302, CALLBACK)
        assert ({*back.params}, back.params["state"]) == ({"code", "state"}, "the state")

    @pytest.mark.parametrize("form", [{}, {"person": "1"}, {"person": ""}])
    async def test_cancelled(self, browser: httpx.AsyncClient, form: dict[str, str]) -> None:
        """
        Without anybody chosen the app is told that access was denied.
        """
        answer = await browser.post(AUTHORIZE, params=ASKED, data=form)
        back = httpx.URL(answer.headers["location"])
        assert (back.params["error"], back.params["state"]) == ("access_denied", "the state")
        assert "code" not in back.params

    @pytest.mark.parametrize(
        "change", [{"client_id": "nobody"}, {"redirect_uri": "https://evil.example/"}, {"redirect_uri": CALLBACK + "/"}]
    )
    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_nobody_is_sent_elsewhere(
        self, browser: httpx.AsyncClient, method: str, change: dict[str, str]
    ) -> None:
        """
        An unknown app and another callback are refused on the spot.
        """
        answer = await browser.request(method, AUTHORIZE, params=ASKED | change)
        assert (answer.status_code, "location" in answer.headers) == (400, False)

    @pytest.mark.parametrize("change", [{"code_challenge": ""}, {"code_challenge_method": "plain"}])
    async def test_without_pkce(self, browser: httpx.AsyncClient, change: dict[str, str]) -> None:
        """
        No code without PKCE, by SHA-256.
        """
        answer = await browser.post(AUTHORIZE, params=ASKED | change, data={"person": "1815"})
        assert httpx.URL(answer.headers["location"]).params["error"] == "invalid_request"


class TestToken:
    async def test_answer(self, browser: httpx.AsyncClient) -> None:
        """
        A code becomes a bearer token, which no cache keeps.
        """
        answer = await exchange(browser, await code_for(browser))
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert (answer.json()["token_type"], answer.json()["scope"]) == ("Bearer", "read:user user:email")

    async def test_once(self, browser: httpx.AsyncClient) -> None:
        """
        A code is good for one attempt.
        """
        code = await code_for(browser)
        assert (await exchange(browser, code)).status_code == 200
        answer = await exchange(browser, code)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")

    @pytest.mark.parametrize(
        "change",
        [
            {"code_verifier": secrets.token_urlsafe(32)},
            {"code_verifier": ""},
            {"client_secret": "another secret"},
            {"client_id": "school"},
            {"redirect_uri": "http://127.0.0.1:2/sign-in/github/callback"},
            {"code": "made up"},
            {"grant_type": "password"},
        ],
    )
    async def test_refused(self, browser: httpx.AsyncClient, github: LocalGitHub, change: dict[str, str]) -> None:
        """
        Whoever has a code alone, or shows another app's, gets no token.
        """
        answer = await exchange(browser, await code_for(browser), **change)
        assert answer.status_code in (400, 401)
        assert "access_token" not in answer.text
        assert not github.server.tokens

    async def test_not_logged(self, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
        """
        No token is in the log, whatever its level.
        """
        caplog.set_level(logging.DEBUG)
        token = (await exchange(browser, await code_for(browser))).json()["access_token"]
        assert caplog.records
        assert token not in caplog.text


class TestApi:
    async def test_user(self, browser: httpx.AsyncClient) -> None:
        """
        A token tells whose it is.
        """
        for person in PEOPLE:
            answer = await browser.get(f"{API}/user", headers=await bearer(browser, person.id))
            assert answer.json() == {"id": person.id, "login": person.login, "name": person.name}

    async def test_emails(self, browser: httpx.AsyncClient, github: LocalGitHub) -> None:
        """
        It tells their addresses, and which of them are verified.
        """
        github.people.append(Person(7, "new", None, (Email("a@b.example", primary=False), Email("c@d.example"))))
        answer = await browser.get(f"{API}/user/emails", headers=await bearer(browser, 7))
        assert answer.json() == [
            {"email": "a@b.example", "primary": False, "verified": True},
            {"email": "c@d.example", "primary": True, "verified": True},
        ]

    async def test_scope(self, browser: httpx.AsyncClient) -> None:
        """
        A token tells what it was asked for, and no more.
        """
        headers = await bearer(browser, scope="read:user")
        assert (await browser.get(f"{API}/user", headers=headers)).status_code == 200
        assert (await browser.get(f"{API}/user/emails", headers=headers)).status_code == 403

    @pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer made-up"}, {"authorization": "Basic YTpi"}])
    async def test_no_token(self, browser: httpx.AsyncClient, headers: dict[str, str]) -> None:
        """
        Without a token it tells nothing.
        """
        for path in ("user", "user/emails"):
            assert (await browser.get(f"{API}/{path}", headers=headers)).status_code == 401


class TestVariables:
    def test_all(self, github: LocalGitHub) -> None:
        """
        They tell an app all that it has to know.
        """
        assert variables("http://127.0.0.1:3", github.server.clients["school"]) == {
            "GITHUB_CLIENT_ID": "school",
            "GITHUB_CLIENT_SECRET": SECRET,
            "GITHUB_AUTHORIZE_URL": "http://127.0.0.1:3/login/oauth/authorize",
            "GITHUB_TOKEN_URL": "http://127.0.0.1:3/login/oauth/access_token",
            "GITHUB_API_URL": "http://127.0.0.1:3/api/v3",
        }

    def test_secret_is_hidden(self, github: LocalGitHub) -> None:
        """
        No secret is in a client's text.
        """
        assert SECRET not in repr(github.server.clients)
