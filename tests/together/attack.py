"""
What is to come of an attack: nothing.
"""

from __future__ import annotations

import logging

import pytest

from tests.hosts import SECRET
from tests.together.apps import OTHER_KEY, OTHER_SECRET, SCHOOL_KEY, SHOP_KEY, App
from tests.together.world import World

PRIVATE = [SECRET, OTHER_SECRET, SHOP_KEY, SCHOOL_KEY, OTHER_KEY, "eyJ", "ada@", "example.com", "eve@"]
"""What no log and no error may hold."""


class Attack:
    """
    What is to have come of an event that shouldn't be: nothing, but one failed run that says why.
    """

    def __init__(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        self.world = world
        self._caplog = caplog
        self._before = self._state()
        caplog.set_level(logging.DEBUG)

    def _state(self) -> object:
        return self.world.rows(), self.world.crossed()

    async def failed(self, app: App, function: str, *, answered: bool = False) -> str:
        """
        Let it happen, check that nothing came of it, and return what the failed run says.

        Args:
            app: Whom it was sent to.
            function: What ran because of it.
            answered: Whether the peer signed it, and so is told that it can't be read.
        """
        runs = len(app.environment.log.runs)
        await self.world.settle()
        run, *others = app.environment.log.runs[runs - 1 :]
        later = [other for other in others if other.function_id != f"{function}-failure"]  # which tells the app
        assert (run.function_id, run.status, run.attempts) == (function, "failed", 1)
        assert answered or (later, self._state()) == ([], self._before)
        assert self.leaks() == []
        assert run.error is not None
        assert len(run.error.message) < 500
        return run.error.message

    def leaks(self) -> list[str]:
        """
        What is private and stands in a log or in what Inngest was told.
        """
        apps = self.world.shop, self.world.school
        told = [*logged(self._caplog), *(text for app in apps for text in [*app.reported, repr(app.problems)])]
        return [word for word in PRIVATE if word in "\n".join(told)]


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    # aiosqlite logs all that it binds at DEBUG: a driver's log is its app's to switch on
    return [caplog.handler.format(record) for record in caplog.records if not record.name.startswith("aiosqlite")]
