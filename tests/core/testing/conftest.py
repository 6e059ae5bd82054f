from __future__ import annotations

from collections.abc import Iterator

import pytest

from crossapp_core.testing import Environment, LocalInngest
from tests.core.testing.apps import App


@pytest.fixture
def local() -> Iterator[LocalInngest]:
    """
    Environments that are gone after the test.
    """
    with LocalInngest() as local:
        yield local


@pytest.fixture
def env(local: LocalInngest) -> Environment:
    """
    An environment that accepts any event key.
    """
    return local.environment("shop")


@pytest.fixture
def app(env: Environment) -> App:
    """
    An app of that environment, without functions yet.
    """
    return App(env)
