from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TypeAlias

import pytest

from tests.crashes.processes import Zygote

Tell: TypeAlias = Callable[..., None]


# one worker of pytest-xdist for each: the zygote takes longer to start than anything else here
_SERVERS = [
    pytest.param(name, marks=pytest.mark.xdist_group(f"crashes on {name}")) for name in ("postgresql", "mariadb")
]


@pytest.fixture(params=_SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    """
    A server with transactions of many at once, each in turn.
    """
    return str(request.param)


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """
    Forks processes of both apps.
    """
    with Zygote() as zygote:
        yield zygote


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """
    Prints lines: those who let it go on for long want to see them.
    """

    def tell(*lines: str) -> None:
        with capsys.disabled() if "CROSSAPP_KILLS" in os.environ else nullcontext():
            sys.stdout.write("\n".join(["", *lines, ""]))

    return tell
