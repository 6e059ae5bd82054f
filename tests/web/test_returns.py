from __future__ import annotations

import pytest

from crossapp_core import Peer
from crossapp_core.web.returns import is_plain, landing, telling
from tests.web.sites import SHOP, World, peer_of

HOME = "http://shop.example/"
ODD = [
    None,
    "",
    "//evil.example",
    "///evil.example",
    "https://evil.example",
    "https://evil.example/http://shop.example/",
    "javascript:alert(1)",
    "data:text/html,x",
    "\\\\evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "%2f%2fevil.example",
    "/%2fevil.example",
    "/%2F%2Fevil.example",
    "/%5cevil.example",
    "http://shop.example@evil.example",
    "http://shop.example:80@evil.example/",
    "http://ada:secret@shop.example/",
    "http://shop.example.evil.example/",
    "http://shop.example\\@evil.example",
    "http://shop.examplé/",
    "http://shop。example/",
    "http://ｓhop.example/",
    "／／evil.example",
    "/\uff0fevil.example",
    "/a\r\nLocation: https://evil.example",
    "/a%0d%0aLocation:x".replace("%0d%0a", "\n"),
    "/\tevil.example",
    " /settings",
    "/settings ",
    "settings",
    "?a=b",
    "http:shop.example",
    "http:/shop.example",
    "http:///shop.example",
    "HTTP://shop.example/",
    "http://SHOP.example/",
    "http://shop.example:8080/",
    "https://shop.example/",
    "/" + "a" * 1000,
    "/\u202e",
    "/\x00",
]
"""What leads nowhere but to the peer's root."""


class TestLanding:
    @pytest.mark.parametrize("return_to", ODD)
    def test_odd_ones(self, return_to: str | None) -> None:
        """
        Whatever isn't plainly a place of the peer leads to its root.
        """
        assert landing(peer_of(SHOP), return_to) == HOME

    @pytest.mark.parametrize(
        ("return_to", "url"),
        [
            ("/", HOME),
            ("/settings?a=b#c", "http://shop.example/settings?a=b#c"),
            ("/a//b", "http://shop.example/a//b"),
            ("/account-link", "http://shop.example/account-link"),
            ("http://shop.example", "http://shop.example"),
            (
                "http://shop.example/a%20b?next=https://evil.example",
                "http://shop.example/a%20b?next=https://evil.example",
            ),
            ("http://shop.example?a", "http://shop.example?a"),
            ("http://shop.example#a", "http://shop.example#a"),
        ],
    )
    def test_places_of_the_peer(self, return_to: str, url: str) -> None:
        """
        Paths of the peer, and URLs of its own, are gone back to.
        """
        assert landing(peer_of(SHOP), return_to) == url

    def test_origins(self) -> None:
        """
        Where origins are listed, they alone count for URLs; paths are of the peer's pages.
        """
        peer = peer_of(SHOP, return_to_origins=["http://my.shop.example", "http://127.0.0.1:8001"])
        assert landing(peer, "http://my.shop.example/a") == "http://my.shop.example/a"
        assert landing(peer, "http://127.0.0.1:8001/a") == "http://127.0.0.1:8001/a"
        assert landing(peer, "http://127.0.0.1:80011/a") == HOME
        assert landing(peer, "http://shop.example/a") == HOME
        assert landing(peer, "/a") == "http://shop.example/a"

    @pytest.mark.parametrize("return_to", [None, "/settings", "http://shop.example/", "https://evil.example"])
    def test_peer_without_pages(self, return_to: str | None) -> None:
        """
        Where nothing says where the peer's pages are, our own settings page is where one goes.
        """
        assert landing(peer_of(SHOP, web_url=""), return_to) == "/account-link"

    def test_origins_without_pages(self) -> None:
        """
        A listed origin is enough for URLs.
        """
        peer = Peer(app_id="a", return_to_origins=["https://a.example"])
        assert landing(peer, "https://a.example/x") == "https://a.example/x"
        assert landing(peer, "/x") == "/account-link"


class TestTelling:
    @pytest.mark.parametrize(
        ("url", "told"),
        [
            ("/a", "/a?account-link=linked"),
            ("/a?", "/a?account-link=linked"),
            ("/a?b=1&c#d?e", "/a?b=1&c&account-link=linked#d?e"),
            ("/a?account-link=failed&b=%26", "/a?b=%26&account-link=linked"),
            ("https://a.example", "https://a.example?account-link=linked"),
            ("/a?account-links=1", "/a?account-links=1&account-link=linked"),
        ],
    )
    def test_says_what_happened(self, url: str, told: str) -> None:
        """
        What happened is added to the query, once; the rest of the URL stays as it is.
        """
        assert telling(url, "linked") == told


class TestPlain:
    @pytest.mark.parametrize("return_to", ["/a", "https://a.example/", "http://a.example"])
    def test_plain(self, return_to: str) -> None:
        """
        Paths and URLs are handed on.
        """
        assert is_plain(return_to)

    @pytest.mark.parametrize(
        "return_to", [None, "", "a", "//a.example", "ftp://a.example", "/ö", "/\\a", "/" + "a" * 1000]
    )
    def test_odd(self, return_to: str | None) -> None:
        """
        What can be neither isn't.
        """
        assert not is_plain(return_to)


class TestThroughTheSchool:
    @pytest.mark.parametrize(
        "return_to", ["//evil.example", "https://evil.example", "/\\evil.example", "/ö", "%2f%2fe"]
    )
    @pytest.mark.parametrize("decision", ["confirm", "decline"])
    async def test_never_elsewhere(self, world: World, return_to: str, decision: str) -> None:
        """
        Whatever a token says, nobody is led to another site than the peer's.
        """
        browser = await world.asked(return_to=return_to)
        outcome = "linked" if decision == "confirm" else "declined"
        await browser.submit(decision)
        assert browser.url == f"{HOME}?account-link={outcome}"
