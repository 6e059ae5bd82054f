"""
Stands in for GitHub in tests, in the demo and on a developer's machine. Whoever signs in there chooses whom to be:

    python -m examples.two_apps.local_github.app

listens at port 8003, for the shop at port 8001 and the school at port 8002.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import parse_qsl

import uvicorn
from authlib.oauth2 import OAuth2Error
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from examples.two_apps.local_github.registry import Client, Email, Person
from examples.two_apps.local_github.server import Message, Server, Token
from examples.two_apps.sign_in.github import CALLBACK

AUTHORIZE, TOKEN, API = "/login/oauth/authorize", "/login/oauth/access_token", "/api/v3"
_PORT = 8003
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
_STYLE = """
:root { color-scheme: light dark; font: 1.05rem/1.6 system-ui, sans-serif; }
body { max-width: 24rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { line-height: 1.2; }
form { display: grid; gap: .75rem; }
button { font: inherit; padding: .6rem .8rem; overflow-wrap: anywhere; }
"""

PEOPLE = (
    Person(1815, "ada", "Ada Lovelace", (Email("ada@example.com"), Email("ada@work.example", primary=False))),
    Person(1906, "grace", "Grace Hopper", (Email("grace@example.com"),)),
    Person(1912, "alan", None, (Email("alan@example.com", verified=False),)),
)
"""Those who have an account there; alan hasn't confirmed his address."""


class LocalGitHub:
    """
    A provider with some people and the apps that they sign in to.

    Args:
        clients: The apps.
        people: Who has an account; the list may be changed while it runs.
    """

    def __init__(self, clients: Sequence[Client], people: Sequence[Person] = PEOPLE) -> None:
        self.people = list(people)
        self.server = Server(clients)
        self.app = FastAPI(title="A stand-in for GitHub")
        self.app.get(AUTHORIZE)(self._ask)
        self.app.post(AUTHORIZE)(self._answer)
        self.app.post(TOKEN)(self._exchange)
        self.app.get(f"{API}/user")(self._user)
        self.app.get(f"{API}/user/emails")(self._emails)

    async def _ask(self, request: Request) -> Response:
        asked = await _read(request)
        try:
            grant = self.server.consent(asked)
        except OAuth2Error as error:
            return _shown(self.server.handle_error_response(asked, error))
        buttons = "\n".join(_button(person) for person in self.people)
        return _page(
            f"Sign in to {grant.client.get_client_id()}", f'<form method="post">\n{buttons}\n{_CANCEL}\n</form>'
        )

    async def _answer(self, request: Request) -> Response:
        asked = await _read(request)
        chosen = asked.form.get("person")
        person = next((each for each in self.people if str(each.id) == chosen), None)
        try:
            grant = self.server.consent(asked)
        except OAuth2Error as error:
            return _shown(self.server.handle_error_response(asked, error))
        # without a person it answers that access was denied
        return _shown(self.server.create_authorization_response(asked, person, grant))

    async def _exchange(self, request: Request) -> Response:
        return _shown(self.server.create_token_response(await _read(request)))

    async def _user(self, request: Request) -> Response:
        token = await self._token(request, "read:user")
        if isinstance(token, Response):
            return token
        return JSONResponse({"id": token.person.id, "login": token.person.login, "name": token.person.name})

    async def _emails(self, request: Request) -> Response:
        token = await self._token(request, "user:email")
        if isinstance(token, Response):
            return token
        addresses = [
            {"email": each.address, "primary": each.primary, "verified": each.verified} for each in token.person.emails
        ]
        return JSONResponse(addresses)

    async def _token(self, request: Request, scope: str) -> Token | Response:
        asked = await _read(request)
        try:
            return self.server.bearer(asked, scope)
        except OAuth2Error as error:
            return _shown(self.server.handle_error_response(asked, error))


def clients_at(shop: str, school: str, *, secret: str) -> dict[str, Client]:
    """
    The two apps, each as the provider knows it.

    Args:
        shop: The shop's origin.
        school: The school's origin.
        secret: What both show.
    """
    return {name: Client(name, secret, origin + CALLBACK) for name, origin in (("shop", shop), ("school", school))}


def variables(origin: str, client: Client) -> dict[str, str]:
    """
    The environment variables by which an app finds the provider.
    """
    return {
        "GITHUB_CLIENT_ID": client.id,
        "GITHUB_CLIENT_SECRET": client.secret,
        "GITHUB_AUTHORIZE_URL": origin + AUTHORIZE,
        "GITHUB_TOKEN_URL": origin + TOKEN,
        "GITHUB_API_URL": origin + API,
    }


_CANCEL = "<button>Cancel</button>"


def _button(person: Person) -> str:
    return f'<button name="person" value="{person.id}">{escape(person.name or person.login)}</button>'


def _page(title: str, content: str) -> HTMLResponse:
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p>This stands in for GitHub. Who are you there?</p>
{content}
</body>
</html>
"""
    return HTMLResponse(page, headers=_HEADERS)


def _shown(response: object) -> Response:
    assert isinstance(response, Response)  # noqa: S101 (for the type checker)
    return response


async def _read(request: Request) -> Message:
    form = (await request.body()).decode(errors="replace")
    return Message(request.method, str(request.url), request.headers, parse_qsl(request.url.query), parse_qsl(form))


def main() -> None:
    """
    Serve it, until somebody presses Ctrl+C.
    """
    clients = clients_at("http://127.0.0.1:8001", "http://127.0.0.1:8002", secret="only-for-trying-out")  # noqa: S106
    uvicorn.run(LocalGitHub([*clients.values()]).app, host="127.0.0.1", port=_PORT)


if __name__ == "__main__":
    main()
