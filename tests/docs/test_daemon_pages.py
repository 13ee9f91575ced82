"""What the pages about the daemon say, the daemon does: its lines, its options, its time to stop."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex

import pytest
import typer

from connect.cli.main import app
from connect.schedule.daemon import Pace
from connect.vocabulary import RunState
from docs import markdown

GUIDE = markdown.ROOT / "docs" / "daemon.md"
DEPLOY = markdown.ROOT / "docs" / "deploy"
SAYS = {"info", "warning", "error", "trouble"}


def actions() -> set[str]:
    """The first word of every line that the daemon writes."""
    found = set()
    connect = markdown.ROOT / "connect"
    for file in [*(connect / "schedule").glob("*.py"), connect / "pipeline" / "sealing.py"]:
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr=attr), args=[ast.Constant(value=str(said)), *_]) if attr in SAYS:
                    found.add(said)
    return found | {f"run-{state}" for state in RunState if state.ended} | {"run-waits", "run-paused"}


def test_every_line_is_explained_and_every_explanation_a_line() -> None:
    told = set(markdown.first_cells(markdown.section(GUIDE, "Logs")))
    assert "fire-time-skipped" in actions()
    assert actions() - told == set()
    assert told - actions() - {"run-stopped"} == set()


@pytest.fixture
def unit() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / "connect.service")
    return parser


def options(command: str) -> set[str]:
    root = typer.main.get_command(app)
    return {option for parameter in root.commands[command].params for option in parameter.opts}  # type: ignore[attr-defined]


def test_the_unit_waits_longer_than_the_daemon_drains(unit: configparser.RawConfigParser) -> None:
    assert Pace().drain < int(unit["Service"]["TimeoutStopSec"])
    assert Pace().longest * 2 < int(unit["Service"]["WatchdogSec"])


def test_the_unit_gives_options_that_exist(unit: configparser.RawConfigParser) -> None:
    _, command, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert command == "daemon"
    assert {argument for argument in arguments if argument.startswith("--")} <= options("daemon")


def test_the_image_runs_commands_that_exist() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    default, check = (json.loads(found) for found in re.findall(r"^ *CMD (\[.*\])$", text, re.MULTILINE))
    assert (default[0], check[:2]) == ("daemon", ["connect", "status"])
    assert {argument for argument in default[1:] if argument.startswith("--")} <= options("daemon")
    assert {argument for argument in check[2:] if argument.startswith("--")} <= options("status")
