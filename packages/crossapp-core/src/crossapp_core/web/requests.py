"""
What the pages of account linking take and answer, whatever the web framework.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl, urlsplit

LONGEST_BODY = 65_536
"""Bytes of a request that are read; what is longer is refused."""

_MOST_FIELDS = 50
_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"


class BadRequestError(Exception):
    """
    A request that can't be read, as an HTTP status.
    """

    def __init__(self, status: int, code: str, sentence: str) -> None:
        self.status = status
        self.code = code
        self.sentence = sentence
        super().__init__(code)


@dataclass(frozen=True)
class LinkRequest:
    """
    A request, as the framework has it.

    Args:
        method: `GET`, `POST` and so on.
        query: What stands after the question mark, as it came.
        headers: All headers, in whatever case.
        body: The body as it came; no more than `LONGEST_BODY` and one byte need be read of it.
    """

    method: str
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str:
        """
        One header, by its name in lower case; empty if there is none.
        """
        return self._headers.get(name, "")

    @cached_property
    def form(self) -> Mapping[str, str]:
        """
        The fields of the body: of a form, or of a JSON object.

        Raises:
            BadRequestError: It holds no fields that we can read.
        """
        if len(self.body) > LONGEST_BODY:
            raise BadRequestError(413, "too-large", f"A request may have {LONGEST_BODY // 1024} kB.")
        if not self.body:
            return {}
        if self._media_type == _JSON:
            return _json_fields(self.body)
        if self._media_type == _FORM:
            return _form_fields(self.body)
        raise BadRequestError(415, "media-type", f"Send a form ({_FORM}) or {_JSON}.")

    @property
    def is_json(self) -> bool:
        """
        Whether a script is asking, not a person's browser.
        """
        accept = self.header("accept")
        return self._media_type == _JSON or ("json" in accept and "text/html" not in accept)

    def parameters(self, name: str) -> list[str]:
        """
        All values that a name has in the query.
        """
        try:
            pairs = parse_qsl(self.query, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="replace")
        except ValueError:
            return []
        return [value for key, value in pairs if key == name]

    def cookies(self, name: str) -> list[str]:
        """
        All values that a cookie has; there are several if other paths or hosts have set it, too.
        """
        pairs = (part.strip().partition("=") for part in self.header("cookie").split(";"))
        return [value for key, _, value in pairs if key == name]

    @property
    def site(self) -> str:
        """
        Where it was sent from: `same`, `other`, or `unknown`, which is also what browsers without Sec-Fetch-Site say of
        pages that show nobody where they are.
        """
        if fetch_site := self.header("sec-fetch-site"):
            return "same" if fetch_site in ("same-origin", "none") else "other"
        origin = self.header("origin")
        if not origin:
            return "same"  # no browser: they all name the origin of what isn't GET
        if origin == "null":
            return "unknown"
        try:
            host = urlsplit(origin).netloc
        except ValueError:
            return "other"
        return "same" if host and host.lower() == self.header("host").lower() else "other"

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    @property
    def _media_type(self) -> str:
        return self.header("content-type").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class LinkResponse:
    """
    What to answer.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


def _form_fields(body: bytes) -> Mapping[str, str]:
    try:
        text = body.decode("ascii")  # a browser writes everything else as %XX
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise BadRequestError(400, "malformed", "The form can’t be read.") from None
    if len(dict(pairs)) != len(pairs):
        raise BadRequestError(400, "malformed", "The form has a field twice.")
    return dict(pairs)


def _json_fields(body: bytes) -> Mapping[str, str]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise BadRequestError(400, "malformed", "The body is no JSON object.")
    if any(not isinstance(value, str | None) for value in content.values()):
        raise BadRequestError(422, "malformed", "Each field must be a text or null.")
    return {name: value for name, value in content.items() if value is not None}
