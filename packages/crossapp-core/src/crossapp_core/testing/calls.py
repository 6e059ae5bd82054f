"""
One request to an app's functions, in the SDK's own protocol.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from crossapp_core.testing.functions import Function
from crossapp_core.testing.log import ReceivedEvent

_BACKOFF = [timedelta(seconds=30), *(timedelta(minutes=m) for m in (1, 2, 5, 10, 20, 40, 60, 120))]


@dataclass(frozen=True)
class Reply:
    """
    What the app answered; status 500 also where it didn't.
    """

    status: int
    headers: Mapping[str, str]
    content: object

    @property
    def final(self) -> bool:
        """
        Whether the app has forbidden another attempt.
        """
        return self.headers.get("x-inngest-no-retry") == "true"

    @property
    def error(self) -> dict[str, object]:
        """
        What went wrong, as Inngest keeps it; an answer that the SDK hasn't written is quoted.
        """
        return error_of(self.content, otherwise=f"the app answered {self.status}: {self.content!s:.500}")

    @classmethod
    def crashed(cls, name: str, message: str) -> Reply:
        """
        What stands for an answer that never came.
        """
        return cls(500, {}, {"name": name, "message": message})


async def call(function: Function, *, step: str, body: Mapping[str, object]) -> Reply:
    """
    Call *function*, in this process if its app is known, and tell what came back.
    """
    url = httpx.URL(function.url).copy_set_param("stepId", step)
    try:
        response = await function.deployment.request("POST", url, json.dumps(body).encode())
    except Exception as error:  # noqa: BLE001 (whatever the app dies of, its server lives on)
        return Reply.crashed(type(error).__name__, str(error))
    return Reply(response.status_code, response.headers, _content(response))


def request_body(
    function: Function,
    event: ReceivedEvent,
    *,
    run_id: str,
    attempt: int,
    step: str,
    steps: Mapping[str, object],
    plan: bool = False,
) -> dict[str, object]:
    """
    What a call tells the SDK about the run.

    Args:
        function: The function.
        event: What it runs on.
        run_id: The run.
        attempt: How often this call was made before.
        step: The one step to execute; `step` for whatever comes next.
        steps: What is remembered of those before.
        plan: Whether the next step is only to be named, to be executed by a call of its own.
    """
    sent = envelope_of(event)
    return {
        "ctx": {
            "attempt": attempt,
            "max_attempts": function.attempts,
            "disable_immediate_execution": plan,
            "use_api": False,
            "run_id": run_id,
            "fn_id": function.id,
            "step_id": step,
            "stack": {"stack": list(steps), "current": len(steps)},
        },
        "event": sent,
        "events": [sent],
        "steps": steps,
        "use_api": False,
    }


def envelope_of(event: ReceivedEvent) -> dict[str, object]:
    """
    *event* as functions get it.
    """
    return {"id": event.id or event.internal_id, "name": event.name, "data": event.data, "ts": event.ts}


def error_of(reported: object, *, otherwise: str) -> dict[str, object]:
    """
    The error that an app reported, in the shape that Inngest keeps; with the message *otherwise* if it is none.
    """
    match reported:
        case {"message": str(message), **rest}:
            return {"name": rest.get("name") or "Error", "message": message, "stack": rest.get("stack")}
    return {"name": "Error", "message": otherwise, "stack": None}


def delay_before(attempt: int, reply: Reply) -> timedelta:
    """
    How long to wait before that *attempt* (1 is the first repetition): what the app asked for, else Inngest's table.
    """
    wanted = reply.headers.get("retry-after")
    if wanted is None:
        return _BACKOFF[min(attempt, len(_BACKOFF)) - 1]
    if wanted.isdecimal():
        return timedelta(seconds=int(wanted))
    return until(wanted)


def until(iso_date: str) -> timedelta:
    """
    How far a time that the SDK took from the real clock lies ahead, in whole seconds.

    Rounded up, because some milliseconds have gone by since the SDK added them to its clock.
    """
    ahead = datetime.fromisoformat(iso_date) - datetime.now(UTC)
    return timedelta(seconds=max(0, math.ceil(ahead.total_seconds())))


def _content(response: httpx.Response) -> object:
    try:
        content: object = response.json()
    except ValueError:
        return response.text
    return content
