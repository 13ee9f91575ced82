"""Secrets stay out of whatever is printed."""

from __future__ import annotations

import json
import logging
import traceback

from pydantic import BaseModel

from connect.redact import HIDDEN, Redactor, Secret


class Account(BaseModel):
    password: Secret


def test_a_secret_prints_as_stars_everywhere():
    secret = Secret("correct horse")
    shown = f"{secret} {secret!r} {[secret]} %s" % secret
    assert "horse" not in shown
    assert shown.count(HIDDEN) == 4
    assert secret.reveal() == "correct horse"


def test_a_model_with_a_secret_does_not_dump_it():
    account = Account(password="correct horse")
    assert account.password.reveal() == "correct horse"
    for shown in (repr(account), account.model_dump_json(), str(account.model_dump())):
        assert "horse" not in shown
        assert HIDDEN in shown
    assert "horse" not in json.dumps(Account.model_json_schema())


def test_equality_hash_and_truth_are_those_of_the_value():
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert (bool(Secret("")), bool(Secret("a"))) == (False, True)


def test_a_traceback_does_not_show_it():
    def fail(secret: Secret) -> None:
        raise ValueError(f"can not use {secret}")

    secret = Secret("correct " + "horse")
    try:
        fail(secret)
    except ValueError:
        assert "horse" not in traceback.format_exc()


def test_known_values_are_replaced_the_longest_first():
    redactor = Redactor(["horse", "correct horse battery"])
    assert redactor.text("a correct horse battery, a horse") == f"a {HIDDEN}, a {HIDDEN}"
    redactor.know(["staple"])
    assert redactor.text("staple") == HIDDEN


def test_short_values_are_words():
    assert Redactor(["on", "abc"]).text("going on, abc") == "going on, abc"


def test_log_records_are_redacted_with_their_arguments(caplog):
    logger = logging.getLogger("redacted")
    redactor = Redactor(["correct horse"])
    logger.addFilter(redactor)
    try:
        logger.warning("signing in with %s to %s", "correct horse", "mail")
    finally:
        logger.removeFilter(redactor)
    assert caplog.messages == [f"signing in with {HIDDEN} to mail"]
