"""Secrets of HTTP contents: references in the file, in the ledger and in memory; values only on demand."""

from __future__ import annotations

import pickle

import pytest

from connect.errors import UserError
from connect.project.campaign import STORED_WITHOUT, secrets_of

CAMPAIGN = """
trigger: {type: immediate}
audience: {sql: select 1}
message:
  content:
    - channel: http
      provider: box
      url: https://acme.example/hook
      headers:
        Authorization: "Basic ${HOOK_USER}:${HOOK_PASSWORD}"
        X-Key: ${file:hook.key}
        X-Plain: "{{ user.id }}"
      signing_secret: ${HOOK_PASSWORD}
      body: {text: "You owe ${HOOK_PASSWORD}"}
    - {channel: sms, body: "${HOOK_PASSWORD}"}
"""
VALUES = {
    "CONNECT_SECRET": "0123456789abcdef",
    "SMTP_PASSWORD": "hunter2-hunter2",
    "HOOK_USER": "canary-user",
    "HOOK_PASSWORD": "canary pass/word",
}


@pytest.fixture
def loaded(folder):
    folder.write("hook.key", "canary-key\n")
    folder.write("campaigns/hook.yml", CAMPAIGN)
    from connect.project.campaigns import load_campaign

    found = load_campaign(folder.project(environment=VALUES), "hook")
    assert found.problems == ()
    return found


def test_the_texts_that_hold_secrets(loaded):
    assert secrets_of(loaded.campaign) == {
        "Basic ${HOOK_USER}:${HOOK_PASSWORD}",
        "${file:hook.key}",
        "${HOOK_PASSWORD}",
    }


def test_a_campaign_without_any_has_none(folder):
    assert secrets_of(folder.campaign().campaign) == set()


def test_values_are_put_in_on_demand_and_hidden_from_then_on(folder, loaded):
    project = folder.project(environment=VALUES)
    assert project.redactor.text("canary-user canary-key") == "canary-user canary-key"
    revealed = {text: project.reveal(text) for text in secrets_of(loaded.campaign)}
    assert revealed == {
        "Basic ${HOOK_USER}:${HOOK_PASSWORD}": "Basic canary-user:canary pass/word",
        "${file:hook.key}": "canary-key",
        "${HOOK_PASSWORD}": "canary pass/word",
    }
    assert project.redactor.text("canary-user canary-key canary pass/word canary%20pass%2Fword") == "*** *** *** ***"
    assert "canary" not in repr(project) + repr(project.vault)


def test_text_without_references_is_as_it_is(folder):
    assert folder.project().reveal("You owe ${{ user.total }}") == "You owe ${{ user.total }}"


def test_a_value_is_never_read_as_a_reference_again(folder):
    project = folder.project(environment={**VALUES, "HOOK_USER": "${HOOK_PASSWORD}"})
    assert project.reveal("${HOOK_USER}") == "${HOOK_PASSWORD}"


def test_dotenv_and_the_keyring_are_asked_too(folder):
    import keyring
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1

        def get_password(self, service, username):
            return {("hook", "acme"): "canary-of-the-ring"}.get((service, username))

        def set_password(self, service, username, password): ...

    folder.write(".env", "FROM_FILE=canary-of-dotenv\n")
    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    try:
        project = folder.project()
        assert project.reveal("${keyring:hook/acme} ${FROM_FILE}") == "canary-of-the-ring canary-of-dotenv"
        with pytest.raises(UserError) as caught:
            project.reveal("${keyring:hook/other}")
        assert caught.value.problems[0].hint == "store it: keyring set hook other"
    finally:
        keyring.set_keyring(before)


def test_a_missing_secret_names_the_reference(folder):
    with pytest.raises(UserError) as caught:
        folder.project(environment=VALUES).reveal("${HOOK_USER} ${NO_SUCH}")
    (problem,) = caught.value.problems
    assert (problem.code, "${NO_SUCH}" in problem.message, ".env" in problem.hint) == ("missing-secret", True, True)
    assert "canary" not in str(caught.value)


def test_what_is_missing_is_found_when_the_campaign_is_read(folder):
    folder.write("campaigns/hook.yml", CAMPAIGN)
    from connect.project.campaigns import load_campaign

    found = load_campaign(folder.project(environment={**VALUES, "HOOK_USER": ""}), "hook")
    assert found.campaign is None
    assert [(problem.code, problem.location.line) for problem in found.problems] == [
        ("missing-secret", 9),
        ("missing-secret", 10),
    ]
    assert "canary" not in "".join(map(str, found.problems))


def test_no_value_is_in_the_campaign(loaded):
    campaign = loaded.campaign
    everything = campaign.model_dump_json() + campaign.model_dump_json(exclude=STORED_WITHOUT) + repr(campaign)
    everything += repr(loaded) + repr(loaded.texts) + str(pickle.dumps(campaign))
    assert "canary" not in everything
    assert "${HOOK_PASSWORD}" in everything
