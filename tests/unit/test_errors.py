"""Errors as people read them."""

from __future__ import annotations

import pytest

from connect.errors import (
    ConnectError,
    Disposition,
    Location,
    OutsideError,
    Problem,
    RunTrouble,
    Severity,
    UserError,
    raise_errors,
)

PLACE = Location("campaigns/news.yml", 7, 12, "    subject: Hi {{ user.nam }}")


def test_a_problem_shows_its_place_its_line_a_caret_and_what_to_do():
    problem = Problem("unknown-name", "there is no column `nam`", "did you mean `name`?", PLACE)
    assert str(problem).splitlines() == [
        "campaigns/news.yml:7:12: error[unknown-name]: there is no column `nam`",
        "  |     subject: Hi {{ user.nam }}",
        "  |            ^",
        "  hint: did you mean `name`?",
    ]


def test_without_a_place_or_a_hint_there_is_one_line():
    problem = Problem("null-values", "some are null", severity=Severity.warning)
    assert str(problem) == "warning[null-values]: some are null"


@pytest.mark.parametrize("column", [1, 90, 500, 995])
def test_a_long_line_is_cut_around_the_column(column):
    text = "".join(chr(97 + number % 26) for number in range(1000))
    shown, caret = str(Problem("x", "y", location=Location("f", 1, column, text))).splitlines()[1:]
    assert len(shown) <= 170
    assert shown[caret.index("^")] == text[column - 1]


def test_tabs_do_not_move_the_caret():
    shown, caret = str(Problem("x", "y", location=Location("f", 1, 3, "\t\tkey: value"))).splitlines()[1:]
    assert shown[caret.index("^")] == "k"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError.of("a", "b"), 2),
        (OutsideError.of("a", "b"), 3),
        (RunTrouble(Disposition.pause, Problem("a", "b")), 3),
        (ConnectError(Problem("a", "b")), 1),
    ],
)
def test_exit_codes(error, code):
    assert error.exit_code == code
    assert error.problems == (Problem("a", "b"),)
    assert str(error) == "error[a]: b"


def test_every_error_is_raised_at_once_and_warnings_are_not():
    warning = Problem("w", "careful", severity=Severity.warning)
    raise_errors([])
    raise_errors([warning])
    first, second = Problem("a", "one"), Problem("b", "two")
    with pytest.raises(UserError) as caught:
        raise_errors([first, warning, second])
    assert caught.value.problems == (first, second)
    assert str(caught.value) == "error[a]: one\n\nerror[b]: two"
