"""
E-mail addresses: how they are compared, and how they are shown where they might be seen.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 254
"""Characters of an address, the limit of RFC 5321 (4.5.3.1.3, without the brackets)."""

_LONGEST_LOCAL_PART = 64
_LONGEST_RAW = 1000  # decomposed letters take more room than they end up with, but not that much
# White space, control and invisible characters; another @ would make two readings of one address.
_FORBIDDEN = re.compile(r"[\s@\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
# What IDNA leaves as it is, which is nearly every domain.
_PLAIN_LABEL = r"(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN_DOMAIN = re.compile(rf"{_PLAIN_LABEL}(?:\.{_PLAIN_LABEL})*")
# What is normal already, as nearly every address is: visible ASCII without capitals at a plain domain.
_NORMAL = re.compile(rf"[!-?\[-~]{{1,{_LONGEST_LOCAL_PART}}}@[a-z0-9]{{1,63}}(?:\.[a-z0-9]{{1,63}})*")


def normalise(address: str) -> str:
    """
    The form in which addresses are compared: NFC, trimmed, lower case, the domain in IDNA.

    Dots and what follows a plus sign stay: whose they are is for the mail provider to say.

    Raises:
        ValueError: It is no address; the message doesn't repeat it.
    """
    if len(address) <= LONGEST and _NORMAL.fullmatch(address):
        return address
    if len(address) > _LONGEST_RAW:
        raise _too_long(len(address))
    local, _, domain = _folded(address.strip()).rpartition("@")
    if not local or len(local) > _LONGEST_LOCAL_PART or _FORBIDDEN.search(local):
        msg = f"is no e-mail address: needs 1 to {_LONGEST_LOCAL_PART} visible characters before the one @"
        raise ValueError(msg)
    normal = f"{local}@{_ascii(domain)}"
    if len(normal) > LONGEST:
        raise _too_long(len(normal))
    return normal


def normalise_or_none(address: str | None) -> str | None:
    """
    Do as `normalise` does, with None for what is no address.
    """
    try:
        return None if address is None else normalise(address)
    except ValueError:
        return None


def masked(address: str) -> str:
    """
    Enough of an address for its owner to know it: `a…@example.com`.
    """
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}" if at else "…"


def _folded(text: str) -> str:
    # lower case can leave letters decomposed
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def _ascii(domain: str) -> str:
    if _PLAIN_DOMAIN.fullmatch(domain):
        return domain
    import idna  # its tables take longer to import than all of our events

    try:
        name = idna.encode(domain, uts46=True).decode().lower()
    except idna.IDNAError:
        name = ""
    if not name or name.endswith("."):
        msg = "is no e-mail address: the domain after the @ is none"
        raise ValueError(msg)
    return name


def _too_long(size: int) -> ValueError:
    return ValueError(f"is no e-mail address: has {size} characters, at most {LONGEST} are allowed")
