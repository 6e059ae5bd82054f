"""
The account-link token: one app tells the other, by way of a person's browser, which of its accounts wants to be linked.

It is a JWT (RFC 7519) signed with the secret of the two apps. It shows who asks and for whom, and holds for minutes;
that it is used only once is for the transaction that makes the link to see to.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import jwt
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from crossapp_core.errors import CrossAppConfigError, LinkTokenError
from crossapp_core.wire import Email, Id

if TYPE_CHECKING:
    from crossapp_core.apps import Peer, Settings
    from crossapp_core.proofs import Key

TYPE = "crossapp-link+jwt"
"""The token's `typ`: what was signed for something else is no link token."""

LONGEST_LIFE = timedelta(minutes=10)
"""From issue to expiry."""

LEEWAY = timedelta(seconds=30)
"""How far the clocks of two apps may differ."""

_ALGORITHM = "HS256"
_HEADER = {"alg", "typ", "kid"}
_JWS = jwt.PyJWS(algorithms=[_ALGORITHM])  # below the claims, whose times PyJWT compares with a clock of its own
_LONGEST = 40_000  # characters: more than the longest claims take with each of their characters escaped
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")  # unsigned is well formed, too
_LAST_SECOND = 253_402_300_799  # of the year 9999, and of datetime

_Seconds = Annotated[int, Field(ge=0, le=_LAST_SECOND)]
_TokenId = Annotated[str, StringConstraints(pattern=r"^[!-~]{16,191}$")]
_ReturnTo = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\p{Cc}\u{2028}\u{2029}]*$")]


@dataclass(frozen=True)
class LinkToken:
    """
    What a token says that was found to be right.
    """

    issuer: str
    """The app where the link began."""
    user_id: str
    """Whose account there."""
    email: str | None = field(repr=False)
    """The address of that account, normalised, for the person to recognise it."""
    return_to: str | None = field(repr=False)
    """Where the person wants to go afterwards; whether that is allowed is yet to be checked."""
    id: str
    """What makes it usable only once."""
    issued_at: datetime
    expires_at: datetime


class _Claims(BaseModel):
    """
    All claims but issuer and audience; what else there is says nothing to us.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)

    sub: Id
    email: Email | None
    jti: _TokenId
    iat: _Seconds
    exp: _Seconds
    nbf: _Seconds = 0
    return_to: _ReturnTo | None


_WANTED = {
    "sub": "1 to 191 printable characters without white space around them",
    "email": "an e-mail address or null",
    "jti": "16 to 191 visible ASCII characters, as uuid4().hex has them",
    "iat": "a time in whole seconds since 1970",
    "exp": "a time in whole seconds since 1970",
    "nbf": "a time in whole seconds since 1970, if it is there",
    "return_to": "a text of at most 2000 characters without control characters, or null",
}
_ARGUMENTS = {"sub": "user_id", "jti": "id", "iat": "now", "exp": "now"}


def issue(
    settings: Settings,
    target: str,
    *,
    user_id: str,
    email: str | None = None,
    return_to: str | None = None,
    id: str,  # noqa: A002
    now: datetime,
    life: timedelta = LONGEST_LIFE,
) -> str:
    """
    Make the token that asks *target* to link an account of this app.

    Args:
        settings: Those of this app.
        target: The peer where the person will confirm.
        user_id: The account here.
        email: Its address, if there is one to show.
        return_to: Where the person wants to go afterwards.
        id: Never used before and not to be guessed, 16 characters at least.
        now: The time.
        life: How long it holds, in whole seconds; 10 minutes at most.

    Raises:
        UnknownPeerError: There is no such peer.
        CrossAppConfigError: There is no secret to sign with, as may be with a sketch peer.
        ValueError: An argument is wrong; the message names it and doesn't repeat it.
    """
    peer = settings.peer(target)
    if not peer.is_signing:
        problem = f"{peer.label('secret')} is not set: a link with {target} needs one, the same in both apps"
        raise CrossAppConfigError(f"the settings of {settings.app_id}", [problem])
    if not timedelta(seconds=1) <= life <= LONGEST_LIFE:
        msg = f"life must be 1 to {LONGEST_LIFE.total_seconds():.0f} s"
        raise ValueError(msg)
    iat = int(_unix(now))
    content = {"sub": user_id, "email": email, "jti": id, "iat": iat, "exp": iat + int(life.total_seconds())}
    claims, wrong = _read({**content, "return_to": return_to})
    if claims is None:
        msg = f"{_ARGUMENTS.get(wrong, wrong)} must be {_WANTED[wrong]}"
        raise ValueError(msg)
    content = {"iss": settings.app_id, "aud": target, **content, "email": claims.email, "return_to": return_to}
    key = peer.signing_key
    return jwt.encode(content, key.octets, algorithm=_ALGORITHM, headers={"typ": TYPE, "kid": key.id})


def verify(token: object, *, settings: Settings, now: datetime) -> LinkToken:
    """
    Check all of a token that came in, save whether it was used before.

    Args:
        token: Whatever the browser brought.
        settings: Those of this app.
        now: The time; it may differ by 30 s from the issuer's.

    Raises:
        LinkTokenError: With the check that failed: `malformed`, `crit`, `alg`, `typ`, `header`, `key`, `signature`,
            `iss`, `aud`, `claim`, `lifetime`, `not_yet_valid` or `expired`, which is also their order.
    """
    seconds = _unix(now)
    compact = _compact(token)
    peer, key = _signer(_header(compact), settings)
    content = _signed(compact, key)
    if content.get("iss") != peer.app_id:
        raise LinkTokenError("iss", f"the token is signed with the secret of {peer.app_id}, but issued by another app")
    if content.get("aud") != settings.app_id:  # so a list is refused, whoever is in it
        raise LinkTokenError("aud", f"the token is not issued for {settings.app_id} alone")
    claims, wrong = _read(content)
    if claims is None:
        raise LinkTokenError("claim", f"{wrong} must be {_WANTED[wrong]}")
    _check_times(claims, seconds)
    return LinkToken(
        issuer=peer.app_id,
        user_id=claims.sub,
        email=claims.email,
        return_to=claims.return_to,
        id=claims.jti,
        issued_at=datetime.fromtimestamp(claims.iat, UTC),
        expires_at=datetime.fromtimestamp(claims.exp, UTC),
    )


def _compact(token: object) -> str:
    if not isinstance(token, str) or len(token) > _LONGEST or not _COMPACT.fullmatch(token):
        raise LinkTokenError("malformed", "the token is no compact JWS: was all of the link opened?")
    return token


def _header(compact: str) -> Mapping[str, object]:
    header = _json_object(compact.partition(".")[0])
    if header is None:
        raise LinkTokenError("malformed", "the token's header is no JSON object")
    return header


def _signer(header: Mapping[str, object], settings: Settings) -> tuple[Peer, Key]:
    if "crit" in header:
        raise LinkTokenError("crit", "the token wants extensions that we don't have")
    if header.get("alg") != _ALGORITHM:
        raise LinkTokenError("alg", f"the token must be signed by {_ALGORITHM}")
    if header.get("typ") != TYPE:
        raise LinkTokenError("typ", f"the token must be of the type {TYPE}")
    if set(header) != _HEADER:
        raise LinkTokenError("header", f"the token's header must hold {', '.join(sorted(_HEADER))} and nothing else")
    for peer in settings.peers.values():
        for key in peer.verifying_keys:
            if key.id == header["kid"]:
                return peer, key
    raise LinkTokenError("key", "the token is signed with a secret that we don't know: was it rotated in one app only?")


def _signed(compact: str, key: Key) -> Mapping[str, object]:
    # the errors of PyJWT and json hold parts of the token, so ours are raised where they are forgotten
    try:
        payload: bytes | None = _JWS.decode(compact, key.octets, algorithms=[_ALGORITHM])
    except jwt.PyJWTError:
        payload = None
    if payload is None:
        raise LinkTokenError("signature", "the token is not what was signed with the secret of the two apps")
    content = _loaded(payload)
    if content is None:
        raise LinkTokenError("malformed", "the token's content is no JSON object")
    return content


def _json_object(segment: str) -> dict[str, object] | None:
    try:
        return _loaded(urlsafe_b64decode(f"{segment}=="))
    except ValueError:
        return None


def _loaded(octets: bytes) -> dict[str, object] | None:
    try:
        content = json.loads(octets)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _read(content: Mapping[str, object]) -> tuple[_Claims | None, str]:
    try:
        return _Claims.model_validate(content), ""
    except ValidationError as error:
        return None, str(error.errors(include_input=False)[0]["loc"][0])


def _check_times(claims: _Claims, now: float) -> None:
    leeway, longest = LEEWAY.total_seconds(), LONGEST_LIFE.total_seconds()
    if not 0 < claims.exp - claims.iat <= longest:
        raise LinkTokenError("lifetime", f"the token must expire within {longest:.0f} s of its issue")
    if max(claims.iat, claims.nbf) > now + leeway:
        raise LinkTokenError("not_yet_valid", "the token holds only later: is the clock right in both apps?")
    if claims.exp <= now - leeway:
        raise LinkTokenError("expired", "the token has expired")


def _unix(now: datetime) -> float:
    if now.utcoffset() is None:
        msg = "now needs a time zone: datetime.now(UTC), not datetime.now()"
        raise ValueError(msg)
    return now.timestamp()
