from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256

import httpx
import pytest

from crossapp_core.web import LinkRequest
from tests.web.browser import Html
from tests.web.sites import CONFIRM, INITIATE, SHOP_URL, World, peer_of

VOID = {"meta", "input"}


async def everything(world: World) -> dict[str, httpx.Response]:
    """
    One answer of each kind.
    """
    ada = await world.signed_in(shop="ada", school="ada-at-school")
    found = {
        "url": await ada.ask("POST", INITIATE, json={}),
        "problem": await ada.ask("POST", INITIATE, json={"app": "x"}),
        "start": await ada.ask("POST", INITIATE, data={}, follow=False),
        "method": await ada.ask("DELETE", f"{SHOP_URL}/account-link"),
        "unlinked": await ada.go(f"{SHOP_URL}/account-link"),
        "bad": await ada.go(f"{CONFIRM}?token=x"),
        "csrf": await ada.ask("POST", f"{SHOP_URL}/account-link/unlink", data={}),
        "sign-in": await world.browser().go(f"{SHOP_URL}/account-link", follow=False),
        "taken": await ada.go(f"{CONFIRM}?token={await world.token(world.shop)}", follow=False),
        "question": await ada.go(CONFIRM),
    }
    found["done"] = await ada.ask(
        "POST", CONFIRM, data={**ada.page.forms[0].fields, "decision": "confirm"}, follow=False
    )
    await world.local.asettle()
    found["linked"] = await ada.go(f"{SHOP_URL}/account-link")
    found["conflict"] = (await world.asked("bob")).now
    return found


class TestHeaders:
    async def test_on_all(self, world: World) -> None:
        """
        Nothing is kept, framed, guessed at, or tells where it came from, whatever was answered.
        """
        for name, answer in (await everything(world)).items():
            headers = answer.headers
            assert headers["referrer-policy"] == "no-referrer", name
            assert headers["cache-control"] == "no-store", name
            assert headers["x-content-type-options"] == "nosniff", name
            policy = headers["content-security-policy"].split("; ")
            assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy), name
            assert not {"unsafe", "*", "data:"} & set(re.findall(r"unsafe|\*|data:", str(policy))), name

    async def test_style_alone_is_allowed(self, world: World) -> None:
        """
        The policy lets just the page's own style apply; there is no script, and nothing is loaded.
        """
        for answer in (await everything(world)).values():
            if "html" not in answer.headers.get("content-type", ""):
                continue
            [style] = re.findall(r"<style>(.*)</style>", answer.text, re.DOTALL)
            digest = b64encode(sha256(style.encode()).digest()).decode()
            assert f"style-src 'sha256-{digest}'" in answer.headers["content-security-policy"]
            page = Html(answer.text)
            attributes = {name for _, values in page.tags for name in values}
            assert not {name for name in attributes if name.startswith("on") or name in ("style", "src")}
            assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img", "iframe", "link", "base", "object"})

    @pytest.mark.parametrize(
        ("name", "targets"),
        [
            ("question", "'self' https: http:"),
            ("unlinked", "'self' https: http:"),
            ("bad", "'self'"),
            ("start", "'none'"),
        ],
    )
    async def test_where_forms_lead(self, world: World, name: str, targets: str) -> None:
        """
        Forms lead to the app itself, and by its answer to wherever the peer has people sign in, if they must.
        """
        answer = (await everything(world))[name]
        assert f"form-action {targets}" in answer.headers["content-security-policy"].split("; ")

    async def test_where_forms_lead_in_production(self, world: World) -> None:
        """
        In production they lead nowhere without TLS.
        """
        peer = peer_of("total-typescript", base_url="https://inn.gs", web_url="https://shop.example")
        world.school.build([peer], dev=False)
        shown = await world.school.bridge.link_pages().settings(LinkRequest("GET"), "ada-at-school")
        assert "form-action 'self' https:;" in shown.headers["Content-Security-Policy"]


class TestPlainHtml:
    async def test_for_everybody(self, world: World) -> None:
        """
        Each page says its language, has one main heading and a title, fits small screens, and each button says what it
        does.
        """
        for name, answer in (await everything(world)).items():
            if "html" not in answer.headers.get("content-type", ""):
                continue
            page = Html(answer.text)
            tags = dict(page.tags)
            assert tags["html"]["lang"] == "en", name
            assert len(page.headings) == 1, name
            assert page.headings[0], name
            title = re.findall(r"<title>(.*)</title>", answer.text)
            assert len(title) == 1, name
            assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags, name
            assert all(values.get("type") == "hidden" for tag, values in page.tags if tag == "input"), name
            assert all(form.method == "post" and form.action.startswith("/") for form in page.forms), name
            assert page.forms or page.links, name

    async def test_is_well_formed(self, world: World) -> None:
        """
        What is opened is closed.
        """
        for name, answer in (await everything(world)).items():
            if "html" in answer.headers.get("content-type", ""):
                opened = re.findall(r"<([a-z0-9]+)", re.sub(r"<style>.*</style>", "", answer.text, flags=re.DOTALL))
                closed = re.findall(r"</([a-z0-9]+)>", answer.text)
                assert sorted(set(opened) - VOID) == sorted(set(closed) - {"style"}), name
                counts = {tag: opened.count(tag) - closed.count(tag) for tag in set(opened) - VOID}
                assert set(counts.values()) == {0}, name
