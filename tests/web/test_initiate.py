from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from crossapp_core.testing import LocalInngest
from tests.databases import Database
from tests.web.browser import Browser
from tests.web.sites import INITIATE, SCHOOL, SCHOOL_URL, SHOP, SHOP_URL, Site, World, peer_of, sign_in

SAME = {"sec-fetch-site": "same-origin"}


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    """
    The problem details of an answer, which have all that they must.
    """
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    content: dict[str, object] = answer.json()
    assert (content["status"], content["code"], content["type"]) == (status, code, "about:blank")
    assert content["title"] == httpx.codes.get_reason_phrase(status)
    assert isinstance(content["detail"], str)
    return content


@pytest.fixture
async def ada(world: World) -> Browser:
    """
    The browser of Ada, who is signed in to the shop.
    """
    return await world.signed_in(shop="ada")


class TestScripts:
    async def test_get_the_url(self, world: World, ada: Browser) -> None:
        """
        A script gets the URL as JSON, with a token for the peer that says who asks.
        """
        answer = await ada.ask("POST", INITIATE, json={"app": SCHOOL, "return_to": "/settings"}, headers=SAME)
        url = answer.json()["url"]
        token = world.school.bridge.linking.check(parse_qs(urlsplit(url).query)["token"][0])

        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert url.startswith(f"{SCHOOL_URL}/account-link/confirm?token=")
        assert (token.issuer, token.user_id, token.email) == (SHOP, "ada", "ada@shop.example")
        assert token.return_to == "/settings"

    async def test_peer_may_be_left_out(self, ada: Browser) -> None:
        """
        With a single peer nothing need be said.
        """
        answer = await ada.ask("POST", INITIATE, headers={"accept": "application/json"})
        assert answer.json()["url"].startswith(f"{SCHOOL_URL}/account-link/confirm?token=")

    async def test_not_signed_in(self, world: World) -> None:
        """
        A script of nobody gets 401.
        """
        problem(await world.browser().ask("POST", INITIATE, json={}), 401, "not-signed-in")

    async def test_account_is_gone(self, world: World, ada: Browser) -> None:
        """
        Somebody whose account was deleted while they were signed in is told so.
        """
        world.shop.delete("ada")
        content = problem(await ada.ask("POST", INITIATE, json={}), 400, "link-token")
        assert content["reason"] == "subject"

    @pytest.mark.parametrize("app", ["nobody", "", "total-typescript", "../ai-hero"])
    async def test_unknown_peer(self, app: str, ada: Browser) -> None:
        """
        Another app than the peers is refused; none, as an empty text, is the single peer.
        """
        answer = await ada.ask("POST", INITIATE, json={"app": app})
        if app:
            problem(answer, 422, "unknown-peer")
        else:
            assert answer.status_code == 200

    @pytest.mark.parametrize(
        ("body", "kind", "status", "code"),
        [
            (b"{", "application/json", 400, "malformed"),
            (b"\xff", "application/json", 400, "malformed"),
            (b"[]", "application/json", 400, "malformed"),
            (b"[" * 50_000, "application/json", 400, "malformed"),
            (b'{"app": 1}', "application/json", 422, "malformed"),
            (b'{"app": ["ai-hero"]}', "application/json; charset=utf-8", 422, "malformed"),
            (b'{"app": "' + b"a" * 65_536 + b'"}', "application/json", 413, "too-large"),
        ],
        ids=["cut", "no-text", "list", "deep", "number", "list-in-it", "huge"],
    )
    async def test_bad_bodies(self, body: bytes, kind: str, status: int, code: str, ada: Browser) -> None:
        """
        A body that can't be read is told as problem details.
        """
        problem(await ada.ask("POST", INITIATE, content=body, headers={"content-type": kind}), status, code)

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
    async def test_other_methods(self, method: str, ada: Browser) -> None:
        """
        Nothing but POST starts a link.
        """
        answer = await ada.ask(method, INITIATE)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        if method != "HEAD":
            problem(answer, 405, "method")


class TestForms:
    async def test_are_led_to_the_peer(self, ada: Browser) -> None:
        """
        A form is led to the peer by 303.
        """
        answer = await ada.ask("POST", INITIATE, data={"app": SCHOOL}, headers=SAME, follow=False)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(f"{SCHOOL_URL}/account-link/confirm?token=")

    async def test_sign_in_first(self, world: World) -> None:
        """
        Somebody who isn't signed in goes to the sign-in page, and from there to the linked accounts.
        """
        answer = await world.browser().ask("POST", INITIATE, data={}, follow=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/account-link")

    @pytest.mark.parametrize(
        ("body", "kind", "status"),
        [
            (b"app=a&app=b", "application/x-www-form-urlencoded", 400),
            (b"app=%ff", "application/x-www-form-urlencoded", 400),
            (b"app=\xff", "application/x-www-form-urlencoded", 400),
            (b"&".join(b"a%d=1" % number for number in range(100)), "application/x-www-form-urlencoded", 400),
            (b"a" * 65_537, "application/x-www-form-urlencoded", 413),
            (b"--x--", "multipart/form-data; boundary=x", 415),
            (b"app=ai-hero", "text/plain", 415),
            (b"app=nobody", "application/x-www-form-urlencoded", 422),
        ],
        ids=["twice", "no-utf-8", "raw", "many", "huge", "multipart", "text", "unknown"],
    )
    async def test_bad_bodies(self, body: bytes, kind: str, status: int, ada: Browser) -> None:
        """
        A form that can't be read is told on a page, with a heading, a sentence and a way on.
        """
        answer = await ada.ask("POST", INITIATE, content=body, headers={"content-type": kind})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert len(ada.page.headings) == 1
        assert ada.page.links == ["/account-link"]

    async def test_account_is_gone(self, world: World, ada: Browser) -> None:
        """
        Somebody whose account was deleted meanwhile is told so on a page.
        """
        world.shop.delete("ada")
        answer = await ada.ask("POST", INITIATE, data={}, headers=SAME)
        assert answer.status_code == 400
        assert ada.page.headings == ["This account is gone"]


class TestOtherSites:
    @pytest.mark.parametrize(
        "headers",
        [
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "cross-site", "origin": SHOP_URL},
            {"origin": "https://evil.example"},
            {"origin": "https://shop.example.evil.example"},
            {"origin": "null"},
            {"origin": "http://[broken"},
        ],
    )
    async def test_are_refused(self, headers: dict[str, str], ada: Browser) -> None:
        """
        What another site has sent starts nothing, be it a form or a script.
        """
        kinds: list[dict[str, Any]] = [{"json": {}}, {"data": {"app": SCHOOL}}]
        for sent in kinds:
            answer = await ada.ask("POST", INITIATE, headers=headers, follow=False, **sent)
            assert answer.status_code == 403
            assert "location" not in answer.headers
            assert "token" not in answer.text

    @pytest.mark.parametrize(
        "headers",
        [{}, {"sec-fetch-site": "none"}, {"sec-fetch-site": "same-origin", "origin": "null"}, {"origin": SHOP_URL}],
    )
    async def test_ours_is_not(self, headers: dict[str, str], ada: Browser) -> None:
        """
        What our own site or no browser has sent is done.
        """
        answer = await ada.ask("POST", INITIATE, headers=headers, follow=False)
        assert answer.status_code == 303

    async def test_our_page_in_an_older_browser(self, world: World, ada: Browser) -> None:
        """
        A browser that only says "null" of our page, since it shows nobody where it is, is known by the page's form; for
        another user the same form counts for nothing.
        """
        await ada.go(f"{SHOP_URL}/account-link")
        fields = ada.page.forms[0].fields
        answer = await ada.ask("POST", INITIATE, data=fields, headers={"origin": "null"}, follow=False)
        assert answer.status_code == 303

        bob = await world.signed_in(shop="bob")
        answer = await bob.ask("POST", INITIATE, data=fields, headers={"origin": "null"}, follow=False)
        assert answer.status_code == 403


class TestReturnTo:
    @pytest.mark.parametrize(
        "return_to",
        ["//evil.example", "javascript:alert(1)", "/ö", "/a b", "/\\evil.example", "/" + "a" * 1000, "\r\n"],
    )
    async def test_odd_ones_are_dropped(self, world: World, return_to: str, ada: Browser) -> None:
        """
        What can't be a place to go back to isn't handed on, and the link begins all the same.
        """
        answer = await ada.ask("POST", INITIATE, content=json.dumps({"return_to": return_to}), headers=JSON)
        query = parse_qs(urlsplit(answer.json()["url"]).query)
        assert world.school.bridge.linking.check(query["token"][0]).return_to is None


JSON = {"content-type": "application/json"}


class TestPeers:
    @pytest.fixture
    async def alone(self, local: LocalInngest, database: Database) -> AsyncIterator[Site]:
        """
        A shop that has two peers, one of them without pages.
        """
        site = Site(SHOP, local, database, database.async_engine())
        site.add("ada", "ada@shop.example")
        other = peer_of(SCHOOL, app_id="epic-web", secret="x" * 40, web_url="", display_name="Epic Web")
        site.build([peer_of(SCHOOL), other])
        yield site
        await site.close()

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    async def test_must_be_named(self, alone: Site) -> None:
        """
        With several peers the request says which one; one whose pages aren't known can't be asked, and the log says
        what is missing.
        """
        browser = Browser({SHOP_URL: alone.transport})
        await sign_in(browser, SHOP_URL, "ada")
        problem(await browser.ask("POST", INITIATE, json={}), 422, "unknown-peer")
        assert (await browser.ask("POST", INITIATE, json={"app": SCHOOL})).status_code == 200
        problem(await browser.ask("POST", INITIATE, json={"app": "epic-web"}), 500, "config")

        await browser.go(f"{SHOP_URL}/account-link")
        assert len(browser.page.forms) == 1
        assert "You can link it from Epic Web." in browser.page.text
        await browser.close()
