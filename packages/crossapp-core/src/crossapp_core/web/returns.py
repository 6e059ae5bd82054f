"""
Where a person goes after they confirmed or declined: back to the app where they started, and nowhere else.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from crossapp_core.apps import Peer

PARAMETER = "account-link"
"""Tells the page there what happened: `linked`, `declined` or `failed`."""

LONGEST = 1000
"""Characters of a return_to."""

SETTINGS_PATH = "/account-link"

# RFC 3986's own characters: no white space, no backslash, nothing beyond ASCII that might become a slash or a dot
_URL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")


def is_plain(return_to: str | None) -> bool:
    """
    Whether it is worth being handed on: a path or a URL, in plain characters.
    """
    if not return_to or len(return_to) > LONGEST or not _URL.fullmatch(return_to):
        return False
    return return_to.startswith(("/", "https://", "http://")) and not return_to.startswith("//")


def landing(peer: Peer, return_to: str | None) -> str:
    """
    The URL that a person goes back to: *return_to*, if it is one of the peer's, else the peer's root, or our own
    settings page if nothing says where its pages are.
    """
    if return_to and is_plain(return_to):
        if return_to.startswith("/"):
            if peer.web_url and _stays(return_to):
                return f"{peer.web_url}{return_to}"
        elif any(_is_of(return_to, origin) for origin in origins_of(peer)):
            return return_to
    return f"{peer.web_url}/" if peer.web_url else SETTINGS_PATH


def origins_of(peer: Peer) -> tuple[str, ...]:
    """
    Where a person may be sent back to.
    """
    return peer.return_to_origins or ((peer.web_url,) if peer.web_url else ())


def telling(url: str, outcome: str) -> str:
    """
    The same URL, with what happened in its query.
    """
    url, mark, fragment = url.partition("#")
    address, _, query = url.partition("?")
    kept = [part for part in query.split("&") if part and part.partition("=")[0] != PARAMETER]
    return f"{address}?{'&'.join([*kept, f'{PARAMETER}={outcome}'])}{mark}{fragment}"


def _is_of(url: str, origin: str) -> bool:
    # by its beginning, so that no two parsers can disagree about its host
    return url == origin or url.startswith((f"{origin}/", f"{origin}?", f"{origin}#"))


def _stays(path: str) -> bool:
    # some servers decode a path before they redirect to it
    plain = unquote(path)
    return not plain.startswith("//") and "\\" not in plain
