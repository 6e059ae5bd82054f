from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.docs import pages
from tests.docs.pages import ROOT

STRICT = (
    "-Werror",
    # inngest's framework modules define models in pydantic's old way
    "-Wignore:Support for class-based `config`:DeprecationWarning",
    # a page shows no end of the app, so its engine lives to the last
    "-Wignore:unclosed database in <sqlite3.Connection:ResourceWarning",
)

every_page = pytest.mark.parametrize(
    "page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages.find(ROOT)]
)


def played(page: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    """
    Run a page in a process of its own, for a second page would define the same tables again.
    """
    return subprocess.run(
        [sys.executable, *STRICT, "-m", "tests.docs.pages", str(page)],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def written(directory: Path, text: str) -> Path:
    page = directory / "page.md"
    page.write_text(dedent(text), "utf-8")
    return page


class TestPages:
    @every_page
    def test_python_runs(self, page: Path, tmp_path: Path) -> None:
        """
        The Python of the page runs from top to bottom, without a warning.
        """
        result = played(page, tmp_path)

        assert result.returncode == 0, result.stderr
        assert result.stderr == ""

    @every_page
    def test_links_lead_somewhere(self, page: Path) -> None:
        """
        The page's links to files and headings find them.
        """
        assert pages.broken_links(page, ROOT) == []

    @every_page
    def test_code_names_its_language(self, page: Path) -> None:
        """
        No block of code hides from being run by not saying that it is Python.
        """
        assert pages.unnamed_fences(page.read_text("utf-8")) == []


class TestFind:
    def test_all_pages(self, tmp_path: Path) -> None:
        """
        Pages are found at the top, in docs/ at any depth, and beside packages and examples, but not in environments.
        """
        names = ["README.md", "docs/a.md", "docs/decisions/b.md", "packages/one/README.md", "examples/two/README.md"]
        for name in [*names, ".venv/lib/README.md", "docs/picture.svg"]:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()

        assert [str(page.relative_to(tmp_path)) for page in pages.find(tmp_path)] == sorted(names)


class TestRun:
    def test_one_namespace(self, tmp_path: Path) -> None:
        """
        A block sees what the blocks and the hidden set-up before it made, and shell commands aren't run.
        """
        page = written(
            tmp_path,
            """
            <!-- setup
            import os
            -->

            ```python
            total = 1
            ```

            1. In a list:

               ```python title="more"
               total += 1
               ```

            ```sh
            exit 1
            ```

            ~~~py
            print(total, os.sep)
            ~~~
            """,
        )

        result = played(page, tmp_path)

        assert (result.stdout, result.stderr, result.returncode) == ("2 /\n", "", 0)

    def test_open_end(self, tmp_path: Path) -> None:
        """
        A block that is never closed goes on to the end of the page, as on GitHub.
        """
        assert played(written(tmp_path, "```python\nprint(1)\n"), tmp_path).stdout == "1\n"

    def test_await(self, tmp_path: Path) -> None:
        """
        A page may await at its top level, in one event loop for all of its blocks.
        """
        page = written(
            tmp_path,
            """
            ```python
            import asyncio

            queue = asyncio.Queue()
            loop = asyncio.get_running_loop()
            await queue.put(1)
            ```

            ```python
            print(await queue.get(), loop is asyncio.get_running_loop())
            ```
            """,
        )

        assert played(page, tmp_path).stdout == "1 True\n"

    def test_annotations(self, tmp_path: Path) -> None:
        """
        Annotations of a page find the names that they mean, also those of a later block.
        """
        page = written(
            tmp_path,
            """
            ```python
            from __future__ import annotations

            class Outer:
                inner: Inner
            ```

            ```python
            from typing import get_type_hints

            class Inner: ...

            print(get_type_hints(Outer)["inner"] is Inner)
            ```
            """,
        )

        assert played(page, tmp_path).stdout == "True\n"

    def test_error_names_the_line(self, tmp_path: Path) -> None:
        """
        What fails is shown with its line on the page.
        """
        page = written(tmp_path, "\n# A page\n\n```python\nfine = 1\nfine.nothing\n```\n")

        result = played(page, tmp_path)

        assert result.returncode == 1
        assert f'File "{page}", line 6' in result.stderr
        assert "fine.nothing" in result.stderr

    @pytest.mark.parametrize(
        "code",
        ["import warnings; warnings.warn('old')", "from crossapp_core.events import Nothing", "1 +", "await missing()"],
    )
    def test_failures(self, code: str, tmp_path: Path) -> None:
        """
        A warning, a name that isn't there and a mistake in the syntax fail a page.
        """
        assert played(written(tmp_path, f"```python\n{code}\n```\n"), tmp_path).returncode == 1

    def test_warnings_at_exit(self, tmp_path: Path) -> None:
        """
        What is left open is told, although it can't change the exit code any more.
        """
        page = written(tmp_path, "```python\nimport socket\ns = socket.socket()\n```\n")

        assert "ResourceWarning" in played(page, tmp_path).stderr


class TestUnnamedFences:
    def test_lines(self) -> None:
        """
        A fence without a language is told by its line.
        """
        assert pages.unnamed_fences("a\n\n```\nx = 1\n```\n\n```text\ny\n```\n") == [3]


class TestBrokenLinks:
    def test_broken(self, tmp_path: Path) -> None:
        """
        A link to no file, to no heading, or out of the project is told.
        """
        project = tmp_path / "project"
        (project / "docs").mkdir(parents=True)
        (project / "docs" / "guide.md").write_text("# A guide\n")
        (tmp_path / "outside.md").touch()
        page = project / "README.md"
        page.write_text(
            "# Top\n[a](docs/none.md) [b](docs/guide.md#none) ![c](none.svg)\n[d](#none) [e](../outside.md)\n\n"
            "[f]: none.txt\n"
        )

        assert pages.broken_links(page, project) == [
            "docs/none.md",
            "docs/guide.md#none",
            "none.svg",
            "#none",
            "../outside.md",
            "none.txt",
        ]

    def test_sound(self, tmp_path: Path) -> None:
        """
        Links to files, folders, headings and other sites are fine, and code isn't searched for links.
        """
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "guide.md").write_text("# The `send` step, *again* & again\n## Why\n## Why\n")
        page = tmp_path / "README.md"
        page.write_text(
            "# Top\n[a](docs) [b](docs/guide.md#the-send-step-again--again) [c](docs/guide.md#why-1) [d](#top)\n"
            '[e](https://example.com/x) [f](mailto:a@example.com) [g](docs/guide.md "A guide")\n\n'
            "`[x](none.md)`\n\n```text\n[x](none.md)\n# Not a heading\n```\n"
        )

        assert pages.broken_links(page, tmp_path) == []
        assert "not-a-heading" not in pages.anchors(page.read_text())
