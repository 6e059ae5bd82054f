"""
The built wheels, and empty environments to install them in.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from tests.authorities import environ_that_trusts_all

ROOT = Path(__file__).parents[2]
PACKAGES = ("crossapp-core", "crossapp-tt", "crossapp-ah")

_PATIENCE = 300
"""Seconds for what downloads something."""


@dataclass(frozen=True)
class Installed:
    """
    An environment that holds nothing but what was installed there.
    """

    python: Path

    def run(self, *arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """
        Run its Python, without anything from here.
        """
        return subprocess.run(
            [self.python, "-I", *arguments] if cwd is None else [self.python, *arguments],
            cwd=cwd,
            env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )


def build(folder: Path) -> dict[str, Path]:
    """
    Build the wheel of each package.
    """
    for package in PACKAGES:
        _pip("wheel", "--no-deps", f"--wheel-dir={folder}", str(ROOT / "packages" / package))
    return {package: next(folder.glob(f"{package.replace('-', '_')}-*.whl")) for package in PACKAGES}


def install(folder: Path, *requirements: str) -> Installed:
    """
    Make an environment with *requirements* and what they need.
    """
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    _pip(f"--python={python}", "install", *requirements)
    return Installed(python)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    environ = environ_that_trusts_all()
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
