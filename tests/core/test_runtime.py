from __future__ import annotations

from collections.abc import Iterator

import inngest
import pytest
from sqlalchemy import Engine, create_engine

from crossapp_core import CrossAppConfigError, Peer, Settings
from crossapp_core.runtime import Runtime

SECRET = "the secret of the two apps, for tests"
URL = "https://inn.example"


@pytest.fixture
def engine() -> Iterator[Engine]:
    """
    An engine that is never used.
    """
    engine = create_engine("sqlite://")
    yield engine
    engine.dispose()


def runtime(engine: Engine, *, own_key: str, peers_key: str, own_url: str = URL) -> Runtime[None]:
    """
    A shop with those event keys of its own and of its peer's environment.
    """
    client = inngest.Inngest(
        app_id="shop", event_key=own_key, is_production=False, api_base_url=own_url, event_api_base_url=own_url
    )
    peer = Peer(app_id="ai-hero", env_prefix="AI_HERO", event_key=peers_key, secret=SECRET, base_url=URL)
    return Runtime(client, engine, settings=Settings("total-typescript", [peer]), host=None)


class TestOwnKey:
    def test_swapped(self, engine: Engine) -> None:
        """
        A peer's key that is the app's own would send all events back to the app: that is said at once.
        """
        with pytest.raises(CrossAppConfigError, match="AI_HERO_INNGEST_EVENT_KEY is the key of our own") as caught:
            runtime(engine, own_key="key-of-the-shop", peers_key="key-of-the-shop")

        assert "key-of-the-shop" not in str(caught.value)

    @pytest.mark.parametrize(
        ("own_key", "own_url"), [("key-of-the-shop", URL), ("key-of-the-school", "https://other.example")]
    )
    def test_apart(self, engine: Engine, own_key: str, own_url: str) -> None:
        """
        Another key, or the same word at another server, as development servers take it, is fine.
        """
        made = runtime(engine, own_key=own_key, peers_key="key-of-the-school", own_url=own_url)

        assert made.settings.peer("ai-hero").base_url == URL
