"""
What the tests of settings share: a shop whose peers are right or wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from crossapp_core import Peer, Settings
from crossapp_core.errors import CrossAppConfigError

KEY = "kEy_of-the-School"
SECRET = "the secret of the shop and the school"
PREVIOUS = "the secret that these two had until now"
THIRD = "the secret of the shop and the third app"
ADVICE = 'python -c "import secrets; print(secrets.token_urlsafe(32))", the same in both apps'
ENVIRON = {"AI_HERO_INNGEST_EVENT_KEY": KEY, "CROSS_APP_SECRET": SECRET}


def peer(app_id: str = "ai-hero", **fields: Any) -> Peer:
    """
    A peer that is right, save for these fields.
    """
    return Peer(**{"app_id": app_id, "event_key": KEY, "secret": SECRET, **fields})


def problems(*peers: Peer, dev: bool = False) -> list[str]:
    """
    What the settings of the shop with these peers say is wrong, none of it a secret.
    """
    with pytest.raises(CrossAppConfigError) as caught:
        Settings("total-typescript", peers, dev=dev)
    assert not any(hidden in str(caught.value) for hidden in secrets_of(*peers))
    return list(caught.value.problems)


def problem(*, dev: bool = False, **fields: Any) -> str:
    """
    What is wrong with a peer that differs in these fields from one that is right.
    """
    [only] = problems(peer(**fields), dev=dev)
    return only


def problems_from(environ: dict[str, str], **peers: str) -> list[str]:
    """
    What is wrong with this environment, by the peers' prefixes.
    """
    with pytest.raises(CrossAppConfigError) as caught:
        Settings.from_env("total-typescript", peers=peers or {"ai-hero": "AI_HERO"}, environ=environ)
    hidden = [
        value for name, value in environ.items() if name.endswith(("KEY", "SECRET", "PREVIOUS")) and len(value) > 3
    ]
    assert not any(value in str(caught.value) for value in hidden)
    return list(caught.value.problems)


def secrets_of(*peers: Peer) -> Iterator[str]:
    """
    What must not be shown of these peers.
    """
    for each in peers:
        for secret in (each.event_key, each.secret, each.previous_secret):
            if secret is not None and len(secret) > 3:
                yield secret.get_secret_value()
