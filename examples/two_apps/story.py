"""
Tells on a terminal, or into a file, what happened between two apps, and whether it is what was expected.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TextIO

_BOLD, _DIM, _RED, _GREEN, _CYAN = "1", "2", "31", "32", "36"


class Story:
    """
    A story, told line by line.

    Args:
        out: Where it is told.
        colour: Whether with colours.
    """

    def __init__(self, out: TextIO, *, colour: bool) -> None:
        self._out = out
        self._colour = colour
        self.kept = 0
        """How many expectations were met."""
        self.broken: list[str] = []
        """What wasn't as expected."""

    def title(self, text: str) -> None:
        """
        What it is about.
        """
        self._say(self._in(_BOLD, text))

    def setting(self, text: str) -> None:
        """
        Where it takes place.
        """
        self._say(self._in(_DIM, text))

    def chapter(self, text: str) -> None:
        """
        What somebody does.
        """
        self._say("", self._in(_BOLD, text))

    def crossing(self, source: str, target: str, event: str, detail: str = "") -> None:
        """
        An event on its way.
        """
        self._say(f"  {f'{source} → {target}':<28} {self._in(_CYAN, f'{event:<27}')} {detail}".rstrip())

    def holds(self, app: str, table: str, rows: Sequence[Sequence[object]]) -> None:
        """
        What stands in a database.
        """
        self._say(f"  {self._in(_DIM, f'{app} holds, in {table}:')}")
        cells = [[str(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            self._say("    " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
        if not rows:
            self._say("    nothing")

    def expect(self, what: str, wanted: object, got: object) -> None:
        """
        Something that must be so; the story goes on if it isn't.
        """
        if wanted == got:
            self.kept += 1
            self._say(f"  {self._in(_GREEN, '✓')} {what} {got}")
            return
        self.problem(f"{what} {got}, not {wanted}")

    def problem(self, text: str) -> None:
        """
        Something that must not be; the story goes on if it can.
        """
        self.broken.append(text)
        self._say(f"  {self._in(_RED, f'✗ {text}')}")

    def end(self) -> bool:
        """
        The end; True if all was as expected.
        """
        self._say("")
        if self.broken:
            self._say(self._in(_RED, "Not as it should be:"), *(f"  {line}" for line in self.broken))
            return False
        self._say(self._in(_GREEN, f"All {self.kept} expectations were met."))
        return True

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _say(self, *lines: str) -> None:
        for line in lines:
            print(line, file=self._out)


def wants_colour(out: TextIO) -> bool:
    """
    Whether colours are wanted: on a terminal, unless NO_COLOR is set or it is a dumb one.
    """
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
