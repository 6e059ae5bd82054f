"""
What signing in reads from an app's environment.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

_SHORTEST_SECRET = 32
_URL = r"^https?://[^/\s]+(/\S*)?$"


class Settings(BaseModel):
    """
    How people sign in; without GitHub's client id, by password alone.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    dev: bool
    """Whether cookies may travel without TLS, and a secret is made up where there is none."""
    origin: str = Field(pattern=r"^https?://[^/\s]+$")
    """Where people reach the app. It can't be read from a request: whoever sends one writes its Host."""
    session_secret: SecretStr = Field(default=SecretStr(""), validation_alias="SESSION_SECRET")
    """Signs the session cookie; the same in all processes of the app, and in no other app."""
    github_client_id: str = Field(default="", validation_alias="GITHUB_CLIENT_ID")
    github_client_secret: SecretStr = Field(default=SecretStr(""), validation_alias="GITHUB_CLIENT_SECRET")
    github_authorize_url: str = Field(
        default="https://github.com/login/oauth/authorize", validation_alias="GITHUB_AUTHORIZE_URL", pattern=_URL
    )
    github_token_url: str = Field(
        default="https://github.com/login/oauth/access_token", validation_alias="GITHUB_TOKEN_URL", pattern=_URL
    )
    github_api_url: str = Field(default="https://api.github.com/", validation_alias="GITHUB_API_URL", pattern=_URL)

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, origin: str, dev: bool) -> Self:
        """
        The settings in environment variables.

        Args:
            environ: The variables.
            origin: Where people reach the app, unless `WEB_ORIGIN` is set.
            dev: Whether this is for trying out.
        """
        return cls.model_validate({**environ, "origin": environ.get("WEB_ORIGIN") or origin, "dev": dev})

    @field_validator("github_api_url")
    @classmethod
    def _ends_with_a_slash(cls, url: str) -> str:
        return url.rstrip("/") + "/"  # so that paths are joined to it, not put in the place of its last part

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.dev and len(self.session_secret.get_secret_value().encode()) < _SHORTEST_SECRET:
            msg = f"SESSION_SECRET needs {_SHORTEST_SECRET} bytes, the same in all processes of this app"
            raise ValueError(msg)
        if self.github_client_id and not self.github_client_secret.get_secret_value():
            msg = "GITHUB_CLIENT_SECRET is not set, but GITHUB_CLIENT_ID is"
            raise ValueError(msg)
        return self

    @property
    def has_github(self) -> bool:
        """
        Whether people can sign in with GitHub.
        """
        return bool(self.github_client_id)

    @property
    def form_targets(self) -> list[str]:
        """
        Other origins that forms of these pages lead to: browsers want those named that a redirect leads to, too.
        """
        url = urlsplit(self.github_authorize_url)
        return [f"{url.scheme}://{url.netloc}"] if self.has_github else []

    def session_key(self) -> str:
        """
        What signs the session cookie; in development perhaps made up, so that a restart signs everybody out.
        """
        return self.session_secret.get_secret_value() or secrets.token_urlsafe(_SHORTEST_SECRET)
