"""A command imports what it needs when it runs, and no more: help is instant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "alembic",
    "asyncio",
    "babel",
    "boto3",
    "croniter",
    "cryptography",
    "duckdb",
    "email_validator",
    "inscriptis",
    "liquid",
    "lxml",
    "phonenumbers",
    "pyarrow",
    "pydantic",
    "pyreqwest",
    "ruamel.yaml",
    "sqlalchemy",
    "sqlglot",
    "uvloop",
)

_CODE = """
import sys
from connect.cli.main import app
from connect.cli.terminal import failing
sys.argv = ['connect', *{arguments!r}]
code = failing(app)
print('imported:', *(name for name in {heavy!r} if name in sys.modules), file=sys.stderr)
sys.exit(code)
"""


def imported(*arguments: str, heavy: tuple[str, ...] = HEAVY, folder: Path | None = None) -> tuple[int, list[str]]:
    """(exit code, what was imported of these)"""
    code = _CODE.format(arguments=arguments, heavy=heavy)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    return done.returncode, done.stderr.partition("imported:")[2].split()


def test_help_imports_nothing_heavy() -> None:
    assert imported("--help") == (0, [])


@pytest.mark.parametrize(
    "arguments", [["run"], ["validate"], ["init"], ["doctor"], ["runs"], ["runs", "list"]], ids=" ".join
)
def test_the_help_of_a_command_neither_but_for_typers_own(arguments: list[str]) -> None:
    assert imported(*arguments, "--help", heavy=tuple({*HEAVY} - {"pydantic"})) == (0, [])


PROJECT = """\
name: light
secret: ${CONNECT_SECRET}
providers:
  mail: {type: memory}
channels: {email: mail}
"""
CAMPAIGN = """\
trigger: {type: immediate}
audience:
  people: [{id: 1, email: ann@mail.example}]
message:
  content:
    - {channel: email, from: a@mail.example, subject: Hello, text: "Hi {{ user.id }}"}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONNECT_SECRET", "only for this test, and of no use")
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "connect.yml").write_text(PROJECT)
    (tmp_path / "campaigns" / "hello.yml").write_text(CAMPAIGN)
    return tmp_path


ENGINES = ("alembic", "boto3", "duckdb", "phonenumbers", "psycopg", "pyreqwest", "sqlalchemy", "uvloop")


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["show", "hello"], (*ENGINES, "liquid", "sqlglot")),
        (["validate", "--no-warehouse"], ENGINES),
    ],
    ids=["show", "validate"],
)
def test_files_are_looked_at_without_engines(arguments: list[str], heavy: tuple[str, ...], project: Path) -> None:
    assert imported(*arguments, heavy=heavy, folder=project) == (0, [])


def test_what_a_warehouse_needs_is_seen_by_this_test(project: Path) -> None:
    code, found = imported("validate", heavy=ENGINES, folder=project)
    assert code == 0
    assert "duckdb" in found
