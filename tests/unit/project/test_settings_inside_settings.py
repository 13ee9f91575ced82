"""A setting may be a mapping of settings, or a list of them: each is read as carefully as one of the account's own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import BaseModel, ConfigDict

from connect.project.settings import Adapters
from connect.redact import Secret

HEAD = "name: shop\nproviders:\n  mail:\n    type: relay\n"
KEY = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----"


class Signature(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    domain: str
    key: Secret
    strict: bool = False
    valid: timedelta = timedelta(days=7)


class Relay(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    one: Signature | None = None
    several: tuple[Signature, ...] = ()


ADAPTERS = Adapters(providers={"relay": lambda: Relay})


def read(folder, settings):
    folder.write("connect.yml", HEAD + settings)
    return folder.project(environment={"KEY": KEY}, adapters=ADAPTERS).providers["mail"].settings


def problems(folder, settings):
    return folder.project_problems(HEAD + settings, environment={"KEY": KEY}, adapters=ADAPTERS)


def test_they_are_read_as_others_are(folder):
    one = read(folder, "    one: {domain: acme.example, key: '${KEY}', strict: true, valid: 6h}\n").one
    assert (one.key.reveal(), one.strict, one.valid) == (KEY, True, timedelta(hours=6))
    several = read(folder, "    several:\n      - {domain: a, key: '${KEY}'}\n      - {domain: b, key: 'x${KEY}'}\n")
    assert [each.domain for each in several.several] == ["a", "b"]
    assert read(folder, "    one: ~\n").one is None
    assert read(folder, "    one: {domain: a, key: '${KEY}', strict: ~}\n").one.strict is False


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ("    one: {domain: a, key: hunter2}\n", 5),
        ("    one:\n      domain: a\n      key: |\n        -----BEGIN PRIVATE KEY-----\n        hunter2\n", 7),
        ("    several:\n      - {domain: a, key: '${KEY}'}\n      - {domain: b, key: hunter2}\n", 7),
    ],
)
def test_a_secret_inside_must_be_a_reference_too(folder, settings, line):
    found = problems(folder, settings)
    assert [(problem.code, problem.location.line) for problem in found] == [("literal-secret", line)]
    assert "hunter2" not in "".join(map(str, found))


@pytest.mark.parametrize(
    ("settings", "code", "name"),
    [
        ("    one: {domain: a, key: '${KEY}', strict: yes}\n", "wrong-type", "`strict`"),
        ("    one: {domain: a, key: '${KEY}', valid: 5}\n", "bad-duration", ""),
        ("    one: {domain: a, key: '${KEY}', domian: b}\n", "unknown-key", "`providers.mail.one.domian`"),
        ("    one: {domain: ~, key: '${KEY}'}\n", "missing-key", "`providers.mail.one.domain`"),
        ("    several: [{domain: a}]\n", "missing-key", "`providers.mail.several.key`"),
        ("    one: '${KEY}'\n", "wrong-type", "`providers.mail.one`"),
        ("    one: {domain: a, key: '${GONE}'}\n", "missing-secret", "GONE"),
    ],
)
def test_one_mistake(folder, settings, code, name):
    (problem,) = problems(folder, settings)
    assert (problem.code, name in problem.message) == (code, True)
    assert problem.location.line == 5
    assert "hunter2" not in str(problem)
