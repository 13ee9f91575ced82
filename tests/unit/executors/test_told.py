"""Trouble that another process hears of: the same when it was raised on purpose, and without a value of a row."""

from __future__ import annotations

import pickle

from connect.errors import Disposition, OutsideError, Problem, RunTrouble
from connect.executors.told import told
from connect.ledger.refusals import LeaseLost


def caught(problem):
    try:
        raise problem
    except Exception as found:  # noqa: BLE001 - whatever it is
        return found


def test_what_is_raised_on_purpose_arrives_as_it_is():
    for problem in (LeaseLost("run-1"), RunTrouble(Disposition.fail, Problem("code", "words"))):
        there = pickle.loads(pickle.dumps(told(problem)))
        assert (type(there), there.problems, vars(there)) == (type(problem), problem.problems, vars(problem))


def test_of_anything_else_only_its_type_and_place_are_told():
    there = told(caught(ValueError("what about ann@mail.example?")))
    assert there.problems[0].code == "worker-failed"
    assert there.problems[0].message.startswith("a worker process has met ValueError in caught, line ")
    assert "ann" not in str(there)


def test_an_error_that_does_not_travel_is_told_in_words():
    class Local(RunTrouble):
        """Nobody else finds this class."""

    there = told(Local(Disposition.fail, Problem("code", "words")))
    assert type(there) is RunTrouble
    assert (there.disposition, there.problems[0].code) == (Disposition.fail, "code")

    holding = OutsideError.of("other", "words")
    holding.line = lambda: None  # type: ignore[attr-defined]
    there = pickle.loads(pickle.dumps(told(holding)))
    assert (type(there), there.problems) == (OutsideError, holding.problems)
