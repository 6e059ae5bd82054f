"""
What happened in a test, in a few lines beside its failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from crossapp_core.testing.environment import Environment
from crossapp_core.testing.log import Run
from crossapp_core.testing.peers.base import OWED, Rejection


def tell(environments: Iterable[Environment], rejected: Sequence[Rejection]) -> str:
    """
    Tell it, environment by environment.

    Args:
        environments: All of the test.
        rejected: What counterparts have refused.
    """
    lines: list[str] = []
    for environment in environments:
        lines += [f"{environment.name}:", *(f"  {line}" for line in _lines(environment))]
        lines += [f"  {each}" for each in rejected if each.app_id == environment.name]
    return "\n".join(lines)


def _lines(environment: Environment) -> Iterator[str]:
    log = environment.log
    for event in log.received:
        if event.name != OWED:
            yield f"received {event.name}{' once more, which runs nothing' if event.duplicate else ''}"
    for refusal in log.refused:
        yield f"refused a request: {refusal.status} {refusal.error}"
    for dropped in log.dropped:
        yield f"dropped {dropped.name}, as the test told it to"
    for run in log.runs:
        yield f"ran {run.function_id}: {run.status}{_why(run)}"
    if not log.received and not log.refused:
        yield "nothing came"


def _why(run: Run) -> str:
    tried = f" after {run.attempts} attempts" if run.attempts > 1 else ""
    return tried if run.error is None else f"{tried}: {run.error.name}: {run.error.message}"
