"""
A simulated world, and what happened in it as a story that can be told again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from crossapp_core.testing.simulation.resting import Resting

Happening: TypeAlias = tuple[str, dict[str, Any]]
"""A method of `World`, and its arguments."""

_ALWAYS = 4  # lines of what follows from one happening, in a story


class World(Resting):
    """
    A few apps, their people, the network between them, and all that happens to them.

    `shop` sells, `school` opens, `studio` does both if there is one; people are `ada`, `bob` and `cleo` everywhere.

    Args:
        seller: Makes the app that sells.
        granter: Makes the app that opens.
        both: Make, on one place, a seller and a granter that are one app; without them there is none.
        sketch: Whether there is a peer without this library, which sells to the school and opens for the shop.
        served: Whether the functions run as the SDK serves them, by `LocalInngest`: slower, and just the same.
    """

    happened: list[tuple[Happening, int]]
    """All that happened, and the line of `lines` at which it began."""

    def reset(self) -> None:
        """
        Begin another history.
        """
        self.happened = []
        super().reset()

    def play(self, name: str, **arguments: Any) -> None:
        """
        Let something happen that a story is to tell.

        Raises:
            BrokenError: Something isn't true that must be.
        """
        self.happened.append(((name, arguments), len(self.lines)))
        if name != "work":
            self.steps += 1
        method: Callable[..., None] = getattr(self, name)
        method(**arguments)
        self.look()

    def replay(self, happenings: Iterable[Happening]) -> None:
        """
        Let another history happen from its beginning.

        Raises:
            BrokenError: Something isn't true that must be.
        """
        self.reset()
        for name, arguments in happenings:
            self.play(name, **arguments)

    def source(self, title: str) -> str:
        """
        What happened, as a test in Python.
        """
        makers = [make for made in self._makers.values() for make in made]
        seller, granter, *both = makers
        made = f"{_name(seller)}, {_name(granter)}"
        made += f", both=({', '.join(map(_name, both))})" if both else ""
        made += ", sketch=True" if self.sketches else ""
        ends = [*(start for _, start in self.happened[1:]), len(self.lines)]
        body = [f'    """\n    {title}\n    """', f"    world = World({made})"]
        for (happening, start), end in zip(self.happened, ends, strict=True):
            body.append(f"    {_call(happening)}")
            told = self.lines[start:end]
            body += [f"    # {line}" for line in told[:_ALWAYS]]
            if len(told) > _ALWAYS:
                body.append(f"    # … and {len(told) - _ALWAYS} more")
        return "\n".join([*_imports(makers), "", "", "def test_story() -> None:", *body, ""])


def _call(happening: Happening) -> str:
    name, arguments = happening
    return f"world.{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def _name(maker: Any) -> str:
    return str(getattr(maker, "__name__", maker))


def _imports(makers: Sequence[Any]) -> list[str]:
    lines = {f"from {maker.__module__} import {_name(maker)}" for maker in makers}
    return [*sorted(lines), "from crossapp_core.testing.simulation import World"]
