"""
What a test has asked to go wrong in one environment.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from crossapp_core.testing.functions import Function
from crossapp_core.testing.listener import Answer


@dataclass
class _Loss:
    function: str
    step: str | None
    times: int


@dataclass
class Faults:
    """
    The faults that are still to come.
    """

    down: bool = False
    """The event API answers 503."""
    canned: deque[Answer] = field(default_factory=deque)
    """The next answers of the event API."""
    _losses: list[_Loss] = field(default_factory=list)

    def can(self, status: int, body: object, headers: Mapping[str, str]) -> None:
        """
        Dictate an answer: bytes are sent as they are, None as an empty body, the rest as JSON.
        """
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        self.canned.append(Answer(status, content, dict(headers)))

    def lose(self, function: str, step: str | None, times: int) -> None:
        """
        Lose that many answers of *function*, named by either of its ids: *step*'s, or with None the final ones.
        """
        self._losses.append(_Loss(function, step, times))

    def loses(self, function: Function, step: str | None) -> bool:
        """
        Whether this answer is to be lost; each time counts.
        """
        for loss in self._losses:
            if loss.times > 0 and loss.function in (function.id, function.local_id) and loss.step == step:
                loss.times -= 1
                return True
        return False
