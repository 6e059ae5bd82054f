"""
The pages of the docs: their Python, which runs, and their links, which lead somewhere.

`python -m tests.docs.pages PAGE` runs the Python of one page, from top to bottom in one namespace. What a page needs
but needn't show stands in a comment, which runs in its place:

    <!-- setup
    engine = create_engine("sqlite://")
    -->
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from urllib.parse import unquote

ROOT = Path(__file__).parents[2]

_LANGUAGES = {"python", "py", "python3"}
_FENCE = re.compile(
    r"^ *(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)\n(?P<code>.*?)(?:^ *(?P=fence)[`~]* *$|\Z)", re.DOTALL | re.MULTILINE
)
_SETUP = re.compile(r"^<!-- setup *\n(?P<code>.*?)^-->", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.*?) *#*$", re.MULTILINE)
_LINK = re.compile(r"\]\(<?([^)>\s]+)>?(?: +\"[^\"]*\")?\)|^ *\[[^\]]+\]: +(\S+)", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@dataclass(frozen=True)
class Block:
    """
    A piece of Python on a page.
    """

    line: int
    """Where its first line of code stands, from 1."""
    code: str


def find(root: Path) -> list[Path]:
    """
    All pages of a project.
    """
    patterns = ("*.md", "docs/**/*.md", "packages/*/*.md", "examples/**/*.md")
    return sorted(path for pattern in patterns for path in root.glob(pattern))


def blocks(text: str) -> list[Block]:
    """
    The Python on a page, shown or not, in its order.
    """
    fences = list(_FENCE.finditer(text))
    found = [match for match in fences if _language(match) in _LANGUAGES]
    found += [match for match in _SETUP.finditer(text) if not any(_within(match, fence) for fence in fences)]
    found.sort(key=lambda match: match.start())
    return [Block(text.count("\n", 0, match.start("code")) + 1, dedent(match["code"])) for match in found]


def unnamed_fences(text: str) -> list[int]:
    """
    The lines of code blocks that don't say what language they are in, so that nobody knows whether they should run.
    """
    return [text.count("\n", 0, match.start()) + 1 for match in _FENCE.finditer(text) if not _language(match)]


def broken_links(page: Path, root: Path) -> list[str]:
    """
    The links of a page to files that aren't there, or to headings that no page has.
    """
    text = _prose(page.read_text("utf-8"))
    targets = (match[1] or match[2] for match in _LINK.finditer(text))
    return [target for target in targets if not _ELSEWHERE.match(target) and not _leads_somewhere(target, page, root)]


def anchors(text: str) -> set[str]:
    """
    What links to a page may name after `#`, as GitHub makes it from the headings.
    """
    seen: Counter[str] = Counter()
    found = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    for heading in _HEADING.findall(_without_code_blocks(text)):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def run(page: Path) -> None:
    """
    Run the Python of a page; `await` works at its top level.
    """
    module = ModuleType("page")
    sys.modules["page"] = module
    with asyncio.Runner() as runner:
        for block in blocks(page.read_text("utf-8")):
            # the empty lines make tracebacks show the page's own lines
            source = "\n" * (block.line - 1) + block.code
            code = compile(source, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            result = eval(code, module.__dict__)
            if inspect.iscoroutine(result):
                runner.run(result)


def _language(fence: re.Match[str]) -> str:
    return next(iter(re.split(r"[\s{,]", fence["info"].strip().lower())), "")


def _within(inner: re.Match[str], outer: re.Match[str]) -> bool:
    return outer.start() <= inner.start() < outer.end()


def _without_code_blocks(text: str) -> str:
    return _COMMENT.sub("", _FENCE.sub("", text))


def _prose(text: str) -> str:
    return _INLINE_CODE.sub("", _without_code_blocks(text))


def _leads_somewhere(target: str, page: Path, root: Path) -> bool:
    name, _, anchor = unquote(target).partition("#")
    path = (page.parent / name).resolve() if name else page
    if not path.is_relative_to(root) or not path.exists():
        return False
    return not anchor or (path.suffix == ".md" and anchor in anchors(path.read_text("utf-8")))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        run(Path(argument))
