"""
An OAuth 2 provider in memory, on Authlib's server: the authorization code grant with PKCE, and bearer tokens.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from authlib.oauth2 import AuthorizationServer, OAuth2Request, ResourceProtector
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, InvalidRequestError, OAuth2Payload, TokenMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6750 import BearerTokenGenerator, BearerTokenValidator
from authlib.oauth2.rfc7636 import CodeChallenge
from fastapi import Response
from fastapi.responses import JSONResponse

from examples.two_apps.local_github.registry import METHODS, SCOPES, Client, Person

_CODE_LASTS, _TOKEN_LASTS = 600, 3600

Fields: TypeAlias = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class _Code(AuthorizationCodeMixin):
    code: str = field(repr=False)
    client_id: str
    redirect_uri: str
    scope: str
    person: Person
    code_challenge: str = field(repr=False)
    code_challenge_method: str
    expires_at: float

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


@dataclass(frozen=True)
class Token(TokenMixin):
    """
    An access token.
    """

    person: Person
    scope: str
    expires_at: float

    def get_scope(self) -> str:
        """
        What it is good for.
        """
        return self.scope

    def is_expired(self) -> bool:
        """
        Whether its time is over.
        """
        return self.expires_at < time.time()

    def is_revoked(self) -> bool:
        """
        Never: nobody can.
        """
        return False


class Message(OAuth2Request):
    """
    A request, as Authlib reads it.
    """

    def __init__(self, method: str, uri: str, headers: Mapping[str, str], query: Fields, form: Fields) -> None:
        super().__init__(method, uri, headers=headers)
        self._query, self._form = dict(query), dict(form)
        self.payload = _Payload([*query, *form])

    @property
    def args(self) -> dict[str, str | None]:
        """
        Of the query.
        """
        return {**self._query}

    @property
    def form(self) -> dict[str, str]:
        """
        Of the body.
        """
        return self._form


class _Payload(OAuth2Payload):
    def __init__(self, fields: Fields) -> None:
        self._data = dict(fields)
        self._lists: dict[str, list[str]] = defaultdict(list)
        for name, value in fields:
            self._lists[name].append(value)

    @property
    def data(self) -> dict[str, str]:
        return self._data

    @property
    def datalist(self) -> dict[str, list[str]]:
        return self._lists


class Server(AuthorizationServer):
    """
    The provider's memory, and what Authlib asks of it.
    """

    def __init__(self, clients: Sequence[Client]) -> None:
        super().__init__(scopes_supported=SCOPES)
        self.clients = {client.id: client for client in clients}
        self.codes: dict[str, _Code] = {}
        self.tokens: dict[str, Token] = {}
        self.register_grant(_Grant, [_Challenge()])
        self._protector = ResourceProtector()
        self._protector.register_token_validator(_Bearer(self.tokens))
        self.register_token_generator("default", BearerTokenGenerator(_new_token))
        # at DEBUG, Authlib writes down whole tokens
        logging.getLogger(AuthorizationCodeGrant.__module__).setLevel(logging.INFO)

    def consent(self, message: Message) -> AuthorizationCodeGrant:
        """
        What an app asks somebody for.

        Raises:
            OAuth2Error: It asks in a wrong way.
        """
        grant: AuthorizationCodeGrant = self.get_consent_grant(message)  # type: ignore[no-untyped-call]
        return grant

    def bearer(self, message: Message, scope: str) -> Token:
        """
        The token that a request shows.

        Raises:
            OAuth2Error: It shows none that is good for *scope*.
        """
        token: Token = self._protector.validate_request([scope], message)  # type: ignore[no-untyped-call]
        return token

    def query_client(self, client_id: str) -> Any:
        """
        The app with that id, or None.
        """
        return self.clients.get(client_id)

    def save_token(self, token: dict[str, str | int], request: OAuth2Request) -> None:
        """
        Remember whose token it is.
        """
        self.tokens[str(token["access_token"])] = Token(
            person=_person(request),
            scope=str(token.get("scope", "")),
            expires_at=time.time() + _TOKEN_LASTS,
        )

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """
        Nobody listens.
        """

    def create_oauth2_request(self, request: Message) -> Message:
        """
        Ours are such already.
        """
        return request

    def handle_response(self, status: int, body: object, headers: object) -> Response:
        """
        Authlib's answer as FastAPI has it.
        """
        named = dict(headers) if isinstance(headers, list) else {}
        return JSONResponse(body, status, named) if isinstance(body, dict) else Response(str(body), status, named)


class _Grant(AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    server: Server

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        asked = _fields(request)
        self.server.codes[code] = _Code(
            code=code,
            client_id=asked["client_id"],
            redirect_uri=asked.get("redirect_uri", ""),
            scope=request.scope,
            person=_person(request),
            code_challenge=asked["code_challenge"],
            code_challenge_method=asked["code_challenge_method"],
            expires_at=time.time() + _CODE_LASTS,
        )

    def query_authorization_code(self, code: str, client: ClientMixin) -> _Code | None:
        # Taken out whatever comes next: a code is good for one attempt.
        found = self.server.codes.pop(code, None)
        if found is None or found.client_id != client.get_client_id() or found.expires_at < time.time():
            return None
        return found

    def delete_authorization_code(self, authorization_code: _Code) -> None:
        pass

    def authenticate_user(self, authorization_code: _Code) -> Person:
        return authorization_code.person


class _Challenge(CodeChallenge):
    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012 (Authlib's way)

    def validate_code_challenge(self, grant: AuthorizationCodeGrant, redirect_uri: str) -> None:
        super().validate_code_challenge(grant, redirect_uri)
        asked = _fields(grant.request)
        # stricter than GitHub: an app that forgets PKCE is to be found out here
        if not asked.get("code_challenge") or not asked.get("code_challenge_method"):
            msg = "PKCE is required"
            raise InvalidRequestError(msg)


class _Bearer(BearerTokenValidator):
    def __init__(self, tokens: Mapping[str, Token]) -> None:
        super().__init__()
        self._tokens = tokens

    def authenticate_token(self, token_string: str) -> Token | None:
        return self._tokens.get(token_string)


def _new_token(**_: object) -> str:
    return f"gho_{secrets.token_urlsafe(27)}"


def _person(request: OAuth2Request) -> Person:
    person: Person = request.user  # type: ignore[assignment]  # Authlib takes anything
    return person


def _fields(request: OAuth2Request) -> Mapping[str, str]:
    return {} if request.payload is None else request.payload.data
