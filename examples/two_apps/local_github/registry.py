"""
Who has an account at the provider, and which apps they sign in to.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant

SCOPES = ("read:user", "user:email")
METHODS = ("client_secret_post", "client_secret_basic")
"""How an app may show its secret."""


@dataclass(frozen=True)
class Email:
    """
    An address of somebody.
    """

    address: str = field(repr=False)
    primary: bool = True
    verified: bool = True


@dataclass(frozen=True)
class Person:
    """
    Somebody with an account at the provider.
    """

    id: int
    """Never given to another; the login may be."""
    login: str
    name: str | None = None
    emails: tuple[Email, ...] = ()


@dataclass(frozen=True)
class Client(ClientMixin):
    """
    An app that people sign in to.
    """

    id: str
    secret: str = field(repr=False)
    callback: str
    """The one URL that people are sent back to."""

    def get_client_id(self) -> str:
        """
        Its id.
        """
        return self.id

    def get_default_redirect_uri(self) -> str:
        """
        Where people are sent back to if the app doesn't say.
        """
        return self.callback

    def get_allowed_scope(self, scope: object) -> str:
        """
        Those of the scopes that there are.
        """
        wanted = str(scope or "").split()
        return " ".join(each for each in SCOPES if each in wanted)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """
        Whether people may be sent there.
        """
        return redirect_uri == self.callback

    def check_client_secret(self, client_secret: str) -> bool:
        """
        Whether that is the app's secret.
        """
        return hmac.compare_digest(client_secret.encode(), self.secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """
        Whether the app may show its secret in that way.
        """
        return method in METHODS

    def check_response_type(self, response_type: str) -> bool:
        """
        Whether it may ask for that.
        """
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """
        Whether it may have that.
        """
        return grant_type == AuthorizationCodeGrant.GRANT_TYPE
