"""The daemon's lines."""

from __future__ import annotations

import io
import json
import logging
from datetime import UTC, datetime, timedelta, timezone

import pytest

from connect.errors import ConnectError, Location, Problem, UserError
from connect.redact import Redactor
from connect.schedule.log import Log, libraries_told
from connect.testing import FakeClock

AT = datetime(2026, 11, 20, 12, 0, 3, 250_000, tzinfo=UTC)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(stream):
    return lambda form: Log(stream, form, Redactor(["hunter2-hunter2"]), FakeClock(AT))


def test_a_line_of_json(log, stream):
    sydney = datetime(2026, 11, 20, 23, 0, tzinfo=timezone(timedelta(hours=11)))
    log("json").info("run-queued", campaign="weekly", run="0abc", fire_time=sydney, count=3, reason="", until=None)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line) == {
        "at": "2026-11-20T12:00:03.250Z",
        "level": "info",
        "action": "run-queued",
        "campaign": "weekly",
        "run": "0abc",
        "fire_time": "2026-11-20T12:00:00.000Z",
        "count": 3,
    }


def test_lines_for_people(log, stream):
    log("text").info("run-completed", campaign="weekly", run="0abc")
    log("text").warning("fire-time-skipped", campaign="weekly", reason="paused by hand", count=2)
    log("text").info("ledger-back")
    assert stream.getvalue().splitlines() == [
        "2026-11-20 12:00:03  run-completed  weekly  (run 0abc)",
        "2026-11-20 12:00:03  fire-time-skipped  warning: weekly: paused by hand  (count 2)",
        "2026-11-20 12:00:03  ledger-back",
    ]


@pytest.mark.parametrize("form", ["json", "text"])
def test_secrets_are_hidden_in_every_value(log, stream, form):
    log(form).error("run-trouble", campaign="x hunter2-hunter2", reason="535 hunter2-hunter2", other="hunter2-hunter2")
    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("***") == 3


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_line_is_one_line(log, stream, form):
    log(form).info("x", campaign="a\nb", reason="c\r\nd")
    assert stream.getvalue().count("\n") == 1


def test_trouble_of_our_own_is_told_with_its_place_and_hint(log, stream):
    first = Problem("bad-cron", "`61 * * * *` never comes", "five fields", Location("campaigns/a.yml", 3, 9, "cron: x"))
    log("json").trouble("file-broken", UserError(first, Problem("bad-value", "and this")), campaign="a")
    line = json.loads(stream.getvalue())
    assert (line["level"], line["code"], line["where"]) == ("error", "bad-cron", "campaigns/a.yml:3:9")
    assert line["reason"] == "`61 * * * *` never comes; and this"
    assert line["hint"] == "five fields"


@pytest.mark.parametrize(
    "problem", [ValueError("ann@mail.example is 42"), ConnectError(), KeyError("ann@mail.example")]
)
def test_of_what_nobody_raised_on_purpose_only_the_type_is_told(log, stream, problem):
    log("json").trouble("daemon-trouble", problem)
    assert "mail.example" not in stream.getvalue()
    assert json.loads(stream.getvalue())["reason"] == f"internal error: {type(problem).__name__}"


def test_who_reads_the_lines_may_go(log):
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    Log(Gone(), "json", Redactor(), FakeClock()).info("ledger-back")


def test_secrets_of_a_project_that_was_read_again_are_hidden_too(log, stream):
    lines = log("json")
    lines.redactor = Redactor(["another-secret"])
    lines.info("x", reason="another-secret")
    assert "another" not in stream.getvalue()


def test_what_a_library_logs_is_a_line_without_its_words(log, stream, capsys):
    with libraries_told(log("json")):
        try:
            raise ValueError("ada@example.com is not a number")
        except ValueError:
            logging.getLogger("sqlalchemy.pool").exception("could not reset %s", "ada@example.com")
    line = json.loads(stream.getvalue())
    assert (line["action"], line["reason"]) == ("library-warning", "sqlalchemy.pool: ValueError")
    assert "ada" not in stream.getvalue() + capsys.readouterr().err
