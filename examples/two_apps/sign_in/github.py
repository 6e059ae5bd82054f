"""
Signs people in with GitHub: the authorization code flow, by Authlib.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx2
from authlib.integrations.starlette_client import OAuth, OAuthError
from fastapi import Request
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from crossapp_core.addresses import normalise_or_none
from examples.two_apps.sign_in.settings import Settings

CALLBACK = "/sign-in/github/callback"
_TIMEOUT = 10.0
_LONGEST_NAME = 200
_CODE = re.compile(r"[a-z_]{1,60}")


class GitHubError(Exception):
    """
    It came to nothing; why stands in `reason`, which has no secrets in it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Identity:
    """
    Who somebody is at GitHub.
    """

    id: str
    """GitHub's number of the account, which is never given to another."""
    name: str = field(repr=False)
    email: str | None = field(repr=False)
    """The primary address, normalised, if GitHub has verified it."""


class _Answer(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)


class _Profile(_Answer):
    id: Annotated[int, Field(strict=True, ge=1)]
    login: str
    name: str | None = None


class _Address(_Answer):
    email: str
    primary: bool
    verified: bool


_ADDRESSES = TypeAdapter(list[_Address])


class GitHub:
    """
    GitHub, or what the settings say stands in for it.
    """

    def __init__(self, settings: Settings) -> None:
        self._callback = settings.origin + CALLBACK
        self._client = OAuth().register(
            "github",
            client_id=settings.github_client_id,
            client_secret=settings.github_client_secret.get_secret_value(),
            authorize_url=settings.github_authorize_url,
            access_token_url=settings.github_token_url,
            api_base_url=settings.github_api_url,
            client_kwargs={
                "scope": "read:user user:email",
                "code_challenge_method": "S256",
                "token_endpoint_auth_method": "client_secret_post",
                "timeout": _TIMEOUT,
            },
        )

    async def begin(self, request: Request) -> RedirectResponse:
        """
        Send somebody to GitHub; what must come back from there is remembered in the session.
        """
        redirect: RedirectResponse = await self._client.authorize_redirect(request, self._callback)
        return redirect

    async def finish(self, request: Request) -> Identity:
        """
        Who came back from GitHub. The access token is used for that, and forgotten.

        Raises:
            GitHubError: Nobody did.
        """
        try:
            token = await self._client.authorize_access_token(request)
            return await self._identity(token)
        except OAuthError as error:
            reason = error.error if _CODE.fullmatch(error.error or "") else "error"  # anybody may have written it
        except httpx2.HTTPStatusError as error:
            reason = f"status {error.response.status_code}"
        except (httpx2.HTTPError, ValidationError, ValueError, KeyError) as error:
            reason = type(error).__name__
        # outside of the except block: tracebacks of the others show what was sent
        raise GitHubError(reason)

    async def _identity(self, token: dict[str, object]) -> Identity:
        profile = _Profile.model_validate(await self._get("user", token))
        addresses = _ADDRESSES.validate_python(await self._get("user/emails?per_page=100", token))
        mine = [each.email for each in addresses if each.primary and each.verified]
        name = (profile.name or profile.login)[:_LONGEST_NAME]
        return Identity(str(profile.id), name, normalise_or_none(mine[0]) if mine else None)

    async def _get(self, path: str, token: dict[str, object]) -> Any:
        response = await self._client.get(path, token=token, headers={"accept": "application/vnd.github+json"})
        response.raise_for_status()
        return response.json()
