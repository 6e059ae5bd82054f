"""
The pytest plugin: the fixture `crossapp`, and what happened in the environments beside a failed test.

pytest loads it in every project that has this package installed, so it imports nothing else until a test asks for it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

try:
    import pytest
except ImportError as error:  # pragma: no cover (the tests have it)
    msg = "crossapp_core.testing.plugin needs pytest: pip install 'crossapp-core[testing]'"
    raise ImportError(msg) from error

if TYPE_CHECKING:
    from crossapp_core.testing.kit import Kit

_KIT = pytest.StashKey["Kit"]()


@pytest.fixture
def crossapp(request: pytest.FixtureRequest) -> Iterator[Kit]:
    """
    Your app as it is, with built-in counterparts as its peers: see `crossapp_core.testing.Kit`.
    """
    from crossapp_core.testing.kit import Kit

    with Kit() as kit:
        request.node.stash[_KIT] = kit
        yield kit


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """
    Show beside a failed test what happened in its environments.
    """
    report = yield
    if report.failed and call.when == "call" and _KIT in item.stash:
        report.sections.append(("crossapp", item.stash[_KIT].story()))
    return report
