"""
Issuing and verifying a link token, against bare PyJWT.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import jwt

from benchmarks.apps import EVENT_KEY, GRANTER, SECRET, SELLER, signing_settings
from benchmarks.measuring import OURS, Effort, Line, Note, race, repeat, shown
from crossapp_core import LinkTokenError, Peer, Settings, tokens

PEER = "PyJWT"
SELLING = signing_settings("http://127.0.0.1:1")
GRANTING = Settings(GRANTER, [Peer(app_id=SELLER, event_key=EVENT_KEY, secret=SECRET)])
ASKED: dict[str, Any] = {
    "user_id": "user_5Tn1",
    "email": "ada@example.com",
    "return_to": "https://www.totaltypescript.com/purchases/pur_7Hq2LkWb90xZ",
    "id": "0b7c1f0e6d8e4a5f9c3b2a1d0e9f8c7b",
}
LARGE = 2_000_000


def lines(effort: Effort) -> Iterator[Line | Note]:
    """
    The same token is made and read by both, with a time of this hour, since PyJWT has a clock of its own.
    """
    now = datetime.now(UTC)
    token = tokens.issue(SELLING, GRANTER, **ASKED, now=now)
    headers, claims = jwt.get_unverified_header(token), read_bare(token)
    works = {OURS: repeat(partial(ours, now)), PEER: repeat(partial(bare, claims, headers))}
    measured = race(works, effort, times=1000)
    yield Line("issue and verify a link token", PEER, measured[PEER], measured[OURS], "≤ 1.5")
    parts = race(
        {
            "issue": repeat(lambda: tokens.issue(SELLING, GRANTER, **ASKED, now=now)),
            "verify": repeat(lambda: tokens.verify(token, settings=GRANTING, now=now)),
            "PyJWT's encode": repeat(lambda: write_bare(claims, headers)),
            "PyJWT's decode": repeat(lambda: read_bare(token)),
        },
        effort,
        times=1000,
    )
    yield Note(f"Of a link token: {_each(parts)}.")
    header, payload, _ = token.split(".")
    wrong = {
        "of 2 MB": f"{header}.{'A' * LARGE}.{'A' * 43}",
        "of our length with a wrong signature": f"{header}.{payload}.{'A' * 43}",
        "of 40 kB with a wrong signature": f"{header}.{'A' * 39_000}.{'A' * 43}",
    }
    refusing = {what: repeat(partial(refuse, text, now)) for what, text in wrong.items()}
    yield Note(f"To refuse a link token takes: {_each(race(refusing, effort, times=100))}.")


def ours(now: datetime) -> tokens.LinkToken:
    """
    As a seller and a granter do it.
    """
    return tokens.verify(tokens.issue(SELLING, GRANTER, **ASKED, now=now), settings=GRANTING, now=now)


def bare(claims: dict[str, Any], headers: dict[str, Any]) -> dict[str, Any]:
    """
    As PyJWT does it, with its own checks of issuer, audience and times.
    """
    return read_bare(write_bare(claims, headers))


def write_bare(claims: dict[str, Any], headers: dict[str, Any]) -> str:
    """
    PyJWT's half of issuing.
    """
    return jwt.encode(claims, SECRET, algorithm="HS256", headers=headers)


def read_bare(token: str) -> dict[str, Any]:
    """
    PyJWT's half of verifying.
    """
    return jwt.decode(token, SECRET, algorithms=["HS256"], audience=GRANTER, issuer=SELLER)


def refuse(token: str, now: datetime) -> None:
    """
    Find that it is none that we take.
    """
    with suppress(LinkTokenError):
        tokens.verify(token, settings=GRANTING, now=now)
        raise AssertionError("it was taken")


def _each(measured: dict[str, Any]) -> str:
    return ", ".join(f"{what} {shown(sample.median)}" for what, sample in measured.items())
