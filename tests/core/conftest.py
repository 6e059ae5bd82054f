from __future__ import annotations

from collections.abc import Iterator

import pytest

from crossapp_core import CrossAppClient
from crossapp_core.testing import Environment, LocalInngest
from tests.core.sending import KEY, NOW, Caller, Gate, settings


@pytest.fixture(params=[True, False], ids=["async", "sync"])
def caller(request: pytest.FixtureRequest) -> Caller:
    """
    Calls a client in each flavour in turn.
    """
    return Caller(request.param)


@pytest.fixture
def local() -> Iterator[LocalInngest]:
    """
    Environments that are gone after the test.
    """
    with LocalInngest() as local:
        yield local


@pytest.fixture
def granter(local: LocalInngest) -> Environment:
    """
    The Inngest of the app that the client sends to.
    """
    return local.environment("granter", keys=[KEY])


@pytest.fixture
def client(granter: Environment) -> Iterator[CrossAppClient]:
    """
    A client that sends there over the network.
    """
    with CrossAppClient(settings(granter.url), clock=lambda: NOW) as client:
        yield client


@pytest.fixture
def gate() -> Iterator[Gate]:
    """
    An event API that answers when it is told to.
    """
    gate = Gate()
    yield gate
    gate.close()
