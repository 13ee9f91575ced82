"""`connect doctor` on every provider there is, against its local server: what it finds, and what to do about wrong
credentials. The accounts are those of the rigs, written into connect.yml as people write them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from connect.channels.message import Mailbox, Outgoing
from connect.redact import Secret
from connect.testing import rigs
from connect.testing.messages import MAKE
from connect.testing.providers import ProviderRig, Situation
from connect.vocabulary import Channel

PROJECT = """\
name: club
secret: ${CONNECT_SECRET}
providers:
  account: SETTINGS
"""


class Written:
    """Settings as they stand in connect.yml: secrets are references, to `.env`, or to a file where they have lines.

    guessed: keys and passwords are others, of the same form.
    """

    def __init__(self, root: Path, kind: str, rig: ProviderRig, *, guessed: bool = False) -> None:
        self._root, self._guessed = root, guessed
        self.secrets: dict[str, str] = {}
        self._dotenv: dict[str, str] = {}
        shown = {"type": kind, "timeout": "5s", **self._settings(rig.account().settings)}
        (root / "connect.yml").write_text(PROJECT.replace("SETTINGS", json.dumps(shown)))
        (root / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in self._dotenv.items()))

    def _settings(self, settings: BaseModel) -> dict[str, Any]:
        fields = type(settings).model_fields
        return {
            fields[name].alias or name: self._value(name, getattr(settings, name)) for name in settings.model_fields_set
        }

    def _value(self, name: str, value: Any) -> Any:
        match value:
            case Secret():
                return self._reference(name, value.reveal())
            case BaseModel():
                return self._settings(value)
            case timedelta():
                return f"{value.total_seconds():.0f}s"
            case Mapping():
                return {key: self._value(f"{name}_{len(self._dotenv)}", inner) for key, inner in value.items()}
            case tuple() | list() | frozenset():
                return [self._value(name, inner) for inner in value]
        return value

    def _reference(self, name: str, secret: str) -> str:
        secret = _guess(secret) if self._guessed else secret
        self.secrets[name] = secret
        if "\n" in secret or "'" in secret:
            (self._root / f"{name}.secret").write_text(secret)
            return f"${{file:{name}.secret}}"
        self._dotenv[name.upper()] = secret
        return f"${{{name.upper()}}}"


@pytest.fixture(params=rigs.names())
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, ProviderRig]]:
    with rigs.rig(request.param, tmp_path) as running:
        yield request.param, running


def _guess(secret: str) -> str:
    """Another of the same form; documents stay what they are."""
    return secret[:-1] + ("B" if secret.endswith("A") else "A") if len(secret) < 100 else secret


def examined(club: Any, written: Written) -> tuple[int, dict[str, Any]]:
    """(exit code, what was found of the account). No secret is shown."""
    ended = club.connect("doctor", "--json")
    assert [name for name, secret in written.secrets.items() if secret in ended.out + ended.err] == []
    (found,) = (check for check in ended.json["checks"] if check["what"] == "provider")
    return ended.code, found


def test_it_finds_an_account_that_works(club: Any, rig: tuple[str, ProviderRig]) -> None:
    name, running = rig
    written = Written(club.root, name, running)

    code, found = examined(club, written)

    assert (code, found["ok"], found["hint"]) == (0, True, "")
    assert found["found"]
    assert running.arrived() == []
    shown = club.connect("doctor")
    assert (shown.code, shown.err) == (0, "")
    assert f"✓ provider account: {found['found']}" in shown.out.splitlines()


NOT_FOUND_OUT = {
    "memory": "there are none",
    "memory_idempotent": "there are none",
    "outbox": "there are none",
}
"""Providers whose credentials `doctor` can not find to be wrong."""
SIGNING = {"aws_sms", "ses", "sns"}
"""Those whose fakes take another signature for a broken request: they are told to refuse everything."""


def test_it_says_what_to_do_about_wrong_credentials(club: Any, rig: tuple[str, ProviderRig]) -> None:
    name, running = rig
    if name not in NOT_FOUND_OUT:
        running.arrange(Situation.bad_credentials, to_nobody(running), "as arranged")
    written = Written(club.root, name, running, guessed=name not in SIGNING)

    code, found = examined(club, written)

    assert (code, found["ok"]) == ((0, True) if name in NOT_FOUND_OUT else (3, False))
    assert found["found"]
    assert bool(found["hint"]) is (name not in NOT_FOUND_OUT)
    shown = club.connect("doctor").out.splitlines()
    assert f"{'✓' if found['ok'] else '✗'} provider account: {found['found']}" in shown
    assert not found["hint"] or f"  hint: {found['hint']}" in shown


def test_it_says_that_nobody_answers(club: Any, rig: tuple[str, ProviderRig]) -> None:
    name, running = rig
    if Situation.broken_before_write in running.cannot or name in ANSWERS:
        return
    running.arrange(Situation.broken_before_write, to_nobody(running), "")
    written = Written(club.root, name, running)

    code, found = examined(club, written)

    assert (code, found["ok"]) == (3, False)
    assert found["hint"]


ANSWERS = {
    "memory": "there is nobody to answer",
    "memory_idempotent": "there is nobody to answer",
    "smtp": "its rig breaks off later, in the middle of a message",
}
"""Providers that a broken connection does not keep `doctor` from."""


def to_nobody(rig: ProviderRig) -> Outgoing:
    """A message without an address, which some fakes take for everybody's."""
    for channel, blank in ((Channel.email, {"to": (Mailbox(""),)}), (Channel.sms, {"to": ""})):
        if channel in rig.adapter.capabilities.channels:
            made = MAKE[channel](0)
            return replace(made, message=replace(made.message, **blank))  # type: ignore[arg-type]
    return MAKE[Channel.push](0)
