"""
The pages of account linking as HTML, and the headers that keep them to themselves.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Collection, Mapping
from hashlib import sha256
from http import HTTPStatus

from crossapp_core.web.requests import LinkResponse

_PRIVATE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_NOTHING = "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"


class Templates:
    """
    Fills the pages.

    Args:
        here: What people call the app.

    Raises:
        ImportError: Jinja2 isn't installed.
    """

    def __init__(self, here: str) -> None:
        try:
            import jinja2
        except ImportError as error:
            msg = "the pages of account linking need Jinja2: pip install 'crossapp-core[pages]'"
            raise ImportError(msg) from error
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("crossapp_core.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
        )
        style = self._environment.get_template("style.css").render()
        self._environment.globals.update(here=here, style=style)
        self._style = f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'"

    def page(
        self,
        name: str,
        content: Mapping[str, object],
        *,
        status: int = 200,
        form_targets: Collection[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> LinkResponse:
        """
        Answer with a page.

        Args:
            name: Of the template.
            content: What stands in it.
            status: The HTTP status.
            form_targets: Where the answers to its forms may lead, as CSP sources.
            headers: Further headers.
        """
        html = self._environment.get_template(name).render(content)
        actions = " ".join(["'self'", *dict.fromkeys(form_targets)])
        policy = (
            f"default-src 'none'; style-src {self._style}; form-action {actions}; "
            "frame-ancestors 'none'; base-uri 'none'"
        )
        kind = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy}
        return LinkResponse(status, {**_PRIVATE, **kind, **(headers or {})}, html.encode())


def redirect(url: str, headers: Mapping[str, str] | None = None) -> LinkResponse:
    """
    Lead the browser on, by GET.
    """
    place = {"Location": url, "Content-Security-Policy": _NOTHING}
    return LinkResponse(HTTPStatus.SEE_OTHER, {**_PRIVATE, **place, **(headers or {})})


def json_response(content: Mapping[str, object]) -> LinkResponse:
    """
    Answer a script.
    """
    return _json(200, "application/json", content, None)


def problem(
    status: int, code: str, sentence: str, headers: Mapping[str, str] | None = None, **more: str
) -> LinkResponse:
    """
    Tell a script what is wrong, as RFC 9457 has it.
    """
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": sentence}
    return _json(status, "application/problem+json", {**content, "code": code, **more}, headers)


def _json(status: int, kind: str, content: Mapping[str, object], headers: Mapping[str, str] | None) -> LinkResponse:
    own = {"Content-Type": kind, "Content-Security-Policy": _NOTHING}
    body = json.dumps(content, ensure_ascii=False).encode()
    return LinkResponse(status, {**_PRIVATE, **own, **(headers or {})}, body)
