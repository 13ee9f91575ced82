"""A command imports what it needs when it runs, and no more: help is instant."""

from __future__ import annotations

import subprocess
import sys

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
print(*(name for name in {heavy!r} if name in sys.modules), file=sys.stderr)
sys.exit(code)
"""


def imported(*arguments: str, heavy: tuple[str, ...] = HEAVY) -> tuple[int, list[str]]:
    """(exit code, what was imported of these)"""
    code = _CODE.format(arguments=arguments, heavy=heavy)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.split()


def test_help_imports_nothing_heavy() -> None:
    assert imported("--help") == (0, [])


@pytest.mark.parametrize(
    "arguments", [["run"], ["validate"], ["init"], ["doctor"], ["runs"], ["runs", "list"]], ids=" ".join
)
def test_the_help_of_a_command_neither_but_for_typers_own(arguments: list[str]) -> None:
    assert imported(*arguments, "--help", heavy=tuple({*HEAVY} - {"pydantic"})) == (0, [])
