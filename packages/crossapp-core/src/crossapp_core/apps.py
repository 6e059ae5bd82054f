"""
Which app this is, which peers it has, and the secrets between them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from pydantic import SecretStr

from crossapp_core import problems
from crossapp_core.errors import CrossAppConfigError, UnknownPeerError
from crossapp_core.pickling import NotPicklable
from crossapp_core.proofs import Key

INNGEST_CLOUD = "https://inn.gs"
"""Where the events of Inngest's cloud go."""

_VARIABLES = {
    "event_key": "INNGEST_EVENT_KEY",
    "secret": "CROSS_APP_SECRET",
    "previous_secret": "CROSS_APP_SECRET_PREVIOUS",
    "base_url": "INNGEST_BASE_URL",
    "display_name": "NAME",
    "web_url": "WEB_URL",
    "return_to_origins": "RETURN_TO",
}
_SHARED = ("secret", "previous_secret")
_NAME = "CROSS_APP_NAME"


@dataclass(frozen=True, init=False)
class Peer(NotPicklable):
    """
    Another app, reached through its Inngest. `Settings` checks it.

    Args:
        app_id: Its id, `ai-hero` for example.
        event_key: A key of its Inngest environment.
        secret: What both apps sign their events with: at least 32 bytes, the same on both sides.
        previous_secret: The secret until the last rotation: events signed with it are still taken.
        base_url: Origin of its event API.
        display_name: How people call it; empty for its id.
        web_url: Origin of its pages.
        return_to_origins: Where a person may be sent back to; empty for `web_url` alone.
        sketch: Whether it is written without this library, after the original sketch: it may send events without
            source, version and proof, and is sent none of those that are the library's own.
        env_prefix: Prefix of its environment variables, for messages.
    """

    app_id: str
    event_key: SecretStr
    secret: SecretStr
    previous_secret: SecretStr | None
    base_url: str = field(repr=False)  # a key may have been pasted into it
    display_name: str
    web_url: str
    return_to_origins: tuple[str, ...]
    sketch: bool
    env_prefix: str | None
    _names: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __init__(
        self,
        *,
        app_id: str,
        event_key: SecretStr | str = "",
        secret: SecretStr | str = "",
        previous_secret: SecretStr | str | None = None,
        base_url: str = INNGEST_CLOUD,
        display_name: str = "",
        web_url: str = "",
        return_to_origins: Iterable[str] = (),
        sketch: bool = False,
        env_prefix: str | None = None,
    ) -> None:
        vars(self).update(
            app_id=app_id,
            event_key=_hidden(event_key),
            secret=_hidden(secret),
            previous_secret=_hidden(previous_secret) if previous_secret else None,
            base_url=base_url.removesuffix("/"),
            display_name=display_name,
            web_url=web_url.removesuffix("/"),
            return_to_origins=tuple(origin.removesuffix("/") for origin in return_to_origins),
            sketch=sketch,
            env_prefix=env_prefix,
            _names={},
        )

    @cached_property
    def signing_key(self) -> Key:
        """
        What signs events to this peer.

        Raises:
            ValueError: There is no secret, as may be with a sketch peer.
        """
        return Key(self.secret)

    @cached_property
    def verifying_keys(self) -> tuple[Key, ...]:
        """
        What verifies events from this peer.
        """
        return tuple(Key(secret) for secret in (self.secret, self.previous_secret) if secret)

    @property
    def is_signing(self) -> bool:
        """
        Whether there is a secret; only a sketch peer may have none.
        """
        return bool(self.secret)

    @property
    def event_key_name(self) -> str:
        """
        What to call the event key in a message.
        """
        return self.label("event_key")

    def label(self, attribute: str) -> str:
        """
        What to call one of the peer's settings in a message: the environment variable, if there is one.
        """
        if attribute in self._names:
            return self._names[attribute]
        return f"{self.env_prefix}_{_VARIABLES[attribute]}" if self.env_prefix else f"the {attribute} of {self.app_id}"


@dataclass(frozen=True, init=False)
class Settings(NotPicklable):
    """
    One app and its peers.

    Args:
        app_id: The app itself, `total-typescript` for example.
        peers: The other apps.
        display_name: How people call the app; its id if it is empty.
        dev: Development: plain http to a peer's Inngest is allowed.

    Raises:
        CrossAppConfigError: With all that is wrong, and what to do about each.
    """

    app_id: str
    peers: Mapping[str, Peer]
    """By app id."""
    display_name: str
    dev: bool

    def __init__(self, app_id: str, peers: Iterable[Peer] = (), *, display_name: str = "", dev: bool = False) -> None:
        listed = tuple(peers)
        vars(self).update(
            app_id=app_id,
            peers=MappingProxyType({peer.app_id: peer for peer in listed}),
            display_name=display_name or app_id,
            dev=dev,
        )
        wrong = list(problems.of_settings(app_id, listed, display_name=display_name, dev=dev))
        if wrong:
            raise CrossAppConfigError(f"the settings of {app_id}", wrong)

    def __hash__(self) -> int:
        return hash((self.app_id, frozenset(self.peers.values()), self.display_name, self.dev))

    @classmethod
    def from_env(
        cls,
        app_id: str,
        *,
        peers: Mapping[str, str],
        sketch: Collection[str] = (),
        dev: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        """
        Read the peers' settings from the environment.

        With the prefix `AI_HERO` these are `AI_HERO_INNGEST_EVENT_KEY`, `AI_HERO_INNGEST_BASE_URL` (default
        https://inn.gs), `AI_HERO_NAME`, `AI_HERO_WEB_URL` and `AI_HERO_RETURN_TO` (origins, separated by commas); then
        `CROSS_APP_SECRET` and, during a rotation, `CROSS_APP_SECRET_PREVIOUS`. With more than one peer each has secrets
        of its own, `AI_HERO_CROSS_APP_SECRET` for example; these names work with a single peer too. How people call the
        app itself is `CROSS_APP_NAME`.

        Args:
            app_id: The app itself.
            peers: The prefix of the variables of each peer, by app id.
            sketch: The ids of those peers that are written without this library; they may have no secret.
            dev: Development: plain http to a peer's Inngest is allowed.
            environ: What to read, `os.environ` if None.

        Raises:
            CrossAppConfigError: With all that is missing or wrong.
        """
        source = os.environ if environ is None else environ
        if strangers := sorted({sketch} if isinstance(sketch, str) else set(sketch) - set(peers)):
            problem = f"sketch must list ids of peers, like {sorted(peers)}, got {strangers}"
            raise CrossAppConfigError(f"the settings of {app_id}", [problem])
        alone = len(peers) == 1
        listed = [_peer(id_, prefix, source, alone=alone, sketch=id_ in sketch) for id_, prefix in peers.items()]
        return cls(app_id, listed, display_name=source.get(_NAME, ""), dev=dev)

    @property
    def sketches(self) -> frozenset[str]:
        """
        The ids of the sketch peers.
        """
        return frozenset(id_ for id_, peer in self.peers.items() if peer.sketch)

    def peer(self, app_id: str) -> Peer:
        """
        The peer with that id.

        Raises:
            UnknownPeerError: There is none.
        """
        try:
            return self.peers[app_id]
        except KeyError:
            raise UnknownPeerError(app_id, self.peers) from None


def _peer(app_id: str, prefix: str, environ: Mapping[str, str], *, alone: bool, sketch: bool) -> Peer:
    names = {attribute: f"{prefix}_{variable}" for attribute, variable in _VARIABLES.items()}
    for attribute in _SHARED if alone else ():
        if not environ.get(names[attribute]):
            names[attribute] = _VARIABLES[attribute]
    values = {attribute: environ.get(name, "") for attribute, name in names.items()}
    peer = Peer(
        app_id=app_id,
        event_key=values["event_key"],
        secret=values["secret"],
        previous_secret=values["previous_secret"],
        base_url=values["base_url"] or INNGEST_CLOUD,
        display_name=values["display_name"],
        web_url=values["web_url"],
        return_to_origins=[origin.strip() for origin in values["return_to_origins"].split(",") if origin.strip()],
        sketch=sketch,
        env_prefix=prefix,
    )
    vars(peer).update(_names=names)
    return peer


def _hidden(secret: SecretStr | str) -> SecretStr:
    return secret if isinstance(secret, SecretStr) else SecretStr(secret)
