"""`webhooks` in connect.yml: what is wrong is shown at its place, and a secret never."""

from __future__ import annotations

from pathlib import Path

import pytest

from connect.errors import UserError
from connect.project.load import load_project
from connect.project.project import Project
from connect.project.settings import Adapters
from connect.vocabulary import HappeningType

SIGNING = "whsec_YSBzZWNyZXQgb2YgbWFueSBsZXR0ZXJz"


def load(root: Path, hook: str, **more: str) -> Project:
    (root / "connect.yml").write_text(f"name: shop\nwebhooks:\n  crm: {hook}\n")
    environment = {"SIGNING": SIGNING, **more}
    return load_project(root, target=None, mode=None, environment=environment, adapters=Adapters())


def mistake(root: Path, hook: str, **more: str) -> tuple[str, str]:
    """(place, code) of the only problem."""
    with pytest.raises(UserError) as found:
        load(root, hook, **more)
    (problem,) = found.value.problems
    assert "shhh" not in str(problem)
    return str(problem.location), problem.code


def test_an_endpoint_is_told_everything_unless_it_says_otherwise(tmp_path: Path) -> None:
    hook = load(tmp_path, "{url: 'https://crm.example/in?a=b', signing_secret: '${SIGNING}'}").webhooks["crm"]
    assert hook.url == "https://crm.example/in?a=b"
    assert hook.events == tuple(HappeningType)
    assert (hook.enabled, hook.allow_private) == (True, False)
    assert SIGNING not in repr(hook)
    assert "crm.example" not in repr(hook)


def test_events_are_named(tmp_path: Path) -> None:
    text = "{url: https://crm.example/, signing_secret: '${SIGNING}', events: [bounced, clicked]}"
    assert load(tmp_path, text).webhooks["crm"].events == (HappeningType.bounced, HappeningType.clicked)


@pytest.mark.parametrize(
    ("hook", "place", "code"),
    [
        ("{url: 'https://crm.example/'}", "connect.yml:3:3", "missing-key"),
        ("{url: crm.example, signing_secret: '${SIGNING}'}", "connect.yml:3:14", "bad-url"),
        ("{url: 'https://crm.example/a b', signing_secret: '${SIGNING}'}", "connect.yml:3:14", "bad-url"),
        ("{url: 'http://crm.example/', signing_secret: '${SIGNING}'}", "connect.yml:3:14", "plain-http"),
        ("{url: https://crm.example/, signing_secret: whsec_shhh}", "connect.yml:3:52", "literal-secret"),
        ("{url: https://crm.example/, signing_secret: '${SHORT}'}", "connect.yml:3:52", "bad-value"),
        ("{url: https://crm.example/, signing_secret: '${NOT}'}", "connect.yml:3:52", "bad-value"),
        ("{url: https://crm.example/, signing_secret: '${NONE}'}", "connect.yml:3:52", "missing-secret"),
        (
            "{url: https://crm.example/, signing_secret: '${SIGNING}', events: [bounce]}",
            "connect.yml:3:75",
            "bad-value",
        ),
        ("{url: https://crm.example/, signing_secret: '${SIGNING}', secrets: 1}", "connect.yml:3:66", "unknown-key"),
    ],
)
def test_a_mistake_is_shown_at_its_place(tmp_path: Path, hook: str, place: str, code: str) -> None:
    assert mistake(tmp_path, hook, SHORT="whsec_c2hoaA==", NOT="shhh, not base64") == (place, code)


def test_a_password_in_a_url_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(UserError) as found:
        load(tmp_path, "{url: 'https://ada:shhh@crm.example/', signing_secret: '${SIGNING}'}")
    assert "literal-secret" in {problem.code for problem in found.value.problems}
    assert "shhh" not in str(found.value)


def test_an_endpoint_of_ones_own_network_may_speak_plain_http(tmp_path: Path) -> None:
    text = "{url: http://10.0.0.7/, signing_secret: '${SIGNING}', allow_private: true}"
    assert load(tmp_path, text).webhooks["crm"].allow_private
