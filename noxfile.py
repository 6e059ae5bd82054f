"""
What developers and the CI run: `nox -s demo`, likewise `tests`, `lowest`, `bench`, `lint`, `types`, `docs` and `build`.

Arguments after `--` go on to the tool: `nox -s tests -- tests/tt -k catalog`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import zipfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_external_run = True
nox.options.sessions = ["lint", "types", "docs", "tests"]

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
IN_PARALLEL = ["-n", "auto", "--maxprocesses", "4", "--dist", "loadgroup"]
PACKAGES = [ROOT / "packages" / name for name in ("crossapp-core", "crossapp-tt", "crossapp-ah")]


@nox.session
def demo(session: nox.Session) -> None:
    """
    Play a purchase and a refund through both example apps, and tell what crossed the bridge; `-- --flask` for Flask.
    """
    _install(session, "examples")
    session.run("python", "-m", "examples.two_apps.demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """
    Run all tests with coverage, or those that are given without.
    """
    _install(session, "tests", "examples", "types")
    session.run(
        "python",
        "-m",
        "pytest",
        *(session.posargs or [*IN_PARALLEL, "--cov", "--cov-report=term"]),
    )


@nox.session
def lowest(session: nox.Session) -> None:
    """
    Run the tests with the lowest versions that the packages' metadata admits.
    """
    _install(session, "tests", "examples", "types", pins=_lowest())
    session.run("python", "-m", "pytest", *(session.posargs or IN_PARALLEL))


@nox.session
def bench(session: nox.Session) -> None:
    """
    Measure how fast it is, and print the table of docs/reference/speed.md.
    """
    _install(session, "tests", "examples")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """
    Live random histories of linked apps with all that goes wrong; `-- --steps 1000000 --seed 1 --seeds 50`.
    """
    _install(session, "tests")
    session.run("python", "-m", "crossapp_core.testing.simulation", *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """
    Kill the example apps 200 times on PostgreSQL and on MariaDB, at other instants each time, and look what is left;
    then run the races, 200 rounds each.
    """
    _install(session, "tests", "examples")
    usual = {"CROSSAPP_KILLS": "200", "CROSSAPP_ROUNDS": "200", "CROSSAPP_SEED": str(secrets.randbelow(10**6))}
    what = session.posargs or ["tests/crashes", "tests/races"]
    session.run("python", "-m", "pytest", *what, env={**usual, **os.environ})


@nox.session
def lint(session: nox.Session) -> None:
    """
    Check style and format.
    """
    _install(session, "lint", packages=False)
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """
    Check types with mypy and with pyright.
    """
    _install(session, "types", "tests", "examples")
    session.run("mypy", *session.posargs)
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """
    Run the Python in the docs and follow their links.
    """
    _install(session, "tests", "examples")
    session.run("python", "-m", "pytest", "tests/docs", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """
    Build wheels and source distributions into dist/ and check what is in the wheels.
    """
    _install(session, "build", packages=False)
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    for package in PACKAGES:
        session.run("python", "-m", "build", "--outdir", str(dist), str(package), silent=True)
    for package in PACKAGES:
        (wheel,) = dist.glob(f"{package.name.replace('-', '_')}-*.whl")
        if problems := _problems(package, wheel):
            session.error(f"{wheel.name}: {'; '.join(problems)}")
        session.log(f"{wheel.name} is complete")


def _lowest() -> list[str]:
    requirements = {
        requirement
        for package in PACKAGES
        for requirement in nox.project.load_toml(package / "pyproject.toml")["project"]["dependencies"]
    }
    return sorted(requirement.replace(">=", "==") for requirement in requirements)


def _install(session: nox.Session, *groups: str, packages: bool = True, pins: Sequence[str] = ()) -> None:
    # pip takes seconds to find out that nothing is missing, so a file in the environment remembers it
    wanted = [argument for package in PACKAGES if packages for argument in ("--editable", str(package))]
    wanted += [*nox.project.dependency_groups(PYPROJECT, *groups), *pins]
    described = [*wanted, *((package / "pyproject.toml").read_text("utf-8") for package in PACKAGES if packages)]
    fingerprint = sha256("\n".join(described).encode()).hexdigest()
    stamp = Path(session.virtualenv.location) / "installed.sha256"
    if not stamp.exists() or stamp.read_text("utf-8") != fingerprint:
        session.install(*wanted)
        stamp.write_text(fingerprint, "utf-8")


def _problems(package: Path, wheel: Path) -> list[str]:
    source = package / "src"
    files = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
        licenses = [archive.read(name) for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    problems = [f"{name} is missing" for name in sorted(files - names) if not name.endswith(".pyc")]
    problems += [] if any(name.endswith("/py.typed") for name in names) else ["there is no py.typed"]
    problems += [] if licenses == [(ROOT / "LICENSE").read_bytes()] else ["its LICENSE is not the workspace's"]
    wanted = ("License-Expression: MIT", "License-File: LICENSE", "Requires-Python: >=3.11")
    return problems + [f"METADATA has no {line}" for line in wanted if line not in metadata.splitlines()]
