"""
What keeps other sites from acting in the name of whoever is signed in here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from fastapi import Request

_LARGEST_FORM = 10_000
_MOST_FIELDS = 20
_LOCAL_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f-\xa0\u2028\u2029]{0,2000}")


def local_path(value: str | None) -> str:
    """
    A path of this app to go on to; `/` in place of all that might lead elsewhere.

    Browsers take a backslash for a slash and pass over tabs and line breaks, so `/\\t/evil.example` is another site.
    """
    return value if value is not None and _LOCAL_PATH.fullmatch(value) else "/"


def is_from_another_site(headers: Mapping[str, str], origin: str) -> bool:
    """
    Whether another site had a browser send a request; one of a program says nothing of it, and isn't.

    Args:
        headers: Those of a request that changes something.
        origin: That of this app.
    """
    said = {name.lower(): value for name, value in headers.items()}
    if (site := said.get("sec-fetch-site")) is not None:
        return site not in ("same-origin", "none")
    return said.get("origin", origin) != origin


async def read_form(request: Request) -> dict[str, str]:
    """
    The fields of a form; none of one that is larger than ours or isn't read as one.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM:
            return {}
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=_MOST_FIELDS))
    except ValueError:
        return {}
