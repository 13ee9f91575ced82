"""People are written to by e-mail, text, push and requests, by adapters whose providers repeat all that they hear."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.stories.no_contact_data_at_rest.apis import Providers, providers
from tests.stories.no_contact_data_at_rest.house import ROLES, SQL, House

PROJECT = """\
name: canaries
secret: ${CONNECT_SECRET}
mode: live
test_recipient: {email: staff@acme.example, phone_number: "+61491570006", device_token: staff, platform: ios}
sources:
  shop: {url: "duckdb:///shop.duckdb"}
unsubscribe: {url: "https://acme.example/off?t={{ url.token }}&e={{ user.email | encode }}"}
subscriptions: {sql: "select id, address, status from opt_outs"}
"""
CAMPAIGN = """\
status: live
trigger: {{type: immediate}}
audience:
  sql: {sql}
  limits: {{max: 1000}}
message:
  content:
{contents}
policy:
  in_doubt: skip
  quiet_hours: {{from: "{begin:%H:%M}", to: "{end:%H:%M}", timezone: project}}
"""
EMAIL = """\
    - channel: email
      provider: {provider}
      from: Acme <hello@acme.example>
      subject: "{{{{ user.first_name }}}}, {{{{ user.balance }}}}"
      html: |
        <p>{{{{ user.first_name }}}} {{{{ user.last_name }}}}</p><p>{{{{ url.unsubscribe }}}}</p>
      text: |
        role_{{{{ user.role }}}}_ {{{{ user.first_name }}}} {{{{ user.account }}}} {{{{ user.born }}}}
        {{{{ user.note }}}}
        {{{{ url.unsubscribe_link }}}}
"""
CONTENTS = {
    "postmark": EMAIL.format(provider="postmark"),
    "resend": EMAIL.format(provider="resend"),
    "twilio": """\
    - channel: sms
      body: "role_{{ user.role }}_ {{ user.first_name }} {{ user.note }} {{ url.unsubscribe_link }}"
""",
    "fcm": """\
    - channel: push
      title: "{{ user.first_name }} {{ user.account }}"
      body: "role_{{ user.role }}_ {{ user.note }}"
      data: {city: "{{ user.profile.city }}", balance: "{{ user.balance }}"}
      image: "https://acme.example/{{ user.id }}.png"
      url: "https://acme.example/{{ user.last_name | encode }}"
      collapse_key: "{{ user.id }}"
      android: {priority: HIGH, data: {code: "{{ user.profile.code }}"}}
""",
    "http": """\
    - channel: http
      url: "%s/hook/{{ user.id }}?e={{ user.email | encode }}"
      headers: {X-Person: "{{ user.id }}", X-Account: "{{ user.account }}"}
      body: {role: "role_{{ user.role }}_", tags: "{{ user.tags }}", names: ["{{ user.first_name }}"]}
""",
    "own": """\
    - channel: http
      headers: {X-Person: "{{ user.id }}"}
      body: "role_{{ user.role }}_ {{ user.first_name }} {{ user.note }}"
""",
}
SENT = "select * from people where role = 'sent'"
ACCOUNTS = ("postmark", "resend", "twilio", "fcm", "http")


class Apis(House):
    """A project whose accounts are the adapters that people use."""

    def __init__(self, root: Path, known: Providers) -> None:
        super().__init__(root, PROJECT + known.yaml(), known.secrets)
        self.providers = known

    def news(self, name: str, *contents: str, sql: str = SQL) -> None:
        """A campaign with these contents. The hours in which texts would wait are others than now."""
        written = "".join(CONTENTS[each] for each in contents).replace("%s", self.providers.urls["http"])
        hours = (datetime.now(UTC) + timedelta(hours=10), datetime.now(UTC) + timedelta(hours=12))
        self.write(name, CAMPAIGN.format(sql=sql, contents=written, begin=hours[0], end=hours[1]))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Apis]:
    with providers() as known:
        yield Apis(tmp_path, known)


def of(reasons: Counter[str], *outcomes: str) -> int:
    return sum(count for reason, count in reasons.items() if reason.split()[0] in outcomes)


@pytest.mark.parametrize("email", ["postmark", "resend"])
def test_through_every_outcome(house: Apis, email: str) -> None:
    house.people("odd", "garbled")
    house.news("news", email, "twilio", "fcm", "http")
    reasons = house.reasons("news")
    assert house.found() == set()

    people = len(ROLES) + 2
    devices = 4 * (people - 1) - 4 + 1  # one has none, and of two rows with one key one counts
    assert sum(reasons.values()) >= 3 * people + devices - 10, reasons
    assert reasons["sent"] > 70
    # Unknown, taken and garbled by text and push; of an endpoint a 200 says enough, of Resend only the call's.
    assert reasons["unknown in_doubt"] == 3 * (1 + 4) + 2 + (2 if email == "postmark" else 0)
    assert reasons["failed unregistered"] == 4
    assert reasons["failed bad_device_token"] == 4
    assert reasons["failed invalid_number"] == 1
    assert reasons["failed endpoint_gone"] == 1
    assert of(reasons, "failed") >= 3 + 3 + 4 * 3, reasons
    assert {"refused invalid_device", "refused missing_key", "refused content_too_large"} <= reasons.keys()

    run = json.loads(house.run("runs", "list", "--json").stdout)[0]["id"]
    for command in (
        ("runs", "show", run, "--json"),
        ("report", "news"),
        ("report", "news", "--json"),
        ("preview", "news", "--real"),
        ("validate", "--json"),
        ("doctor",),
    ):
        assert b"Traceback (most recent call last)" not in house.run(*command).stderr
    assert house.found() == set()


@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_run_that_pauses_over_what_a_provider_says(house: Apis, account: str) -> None:
    house.people()
    house.news("news", "own" if account == "http" else account, sql=SENT)
    for mood in ("credentials", "quota"):
        house.providers.feel(mood)
        assert house.run("run", "news", "--yes").returncode == 3
        assert b"provider-config" in house.said[-1][1] or b"provider-quota" in house.said[-1][1]
        assert b"paused" in house.run("runs", "list").stdout
        house.run("runs", "list", "--json")
        house.run("doctor")
        assert house.found() == set()
    house.providers.feel("")
    assert house.reasons("news") == {"sent": 3 * (4 if account == "fcm" else 1)}
    assert house.found() == set()


def test_nobody_answers_and_nobody_makes_sense(house: Apis) -> None:
    """Resend is not among them: what it has not answered is asked again, for ten minutes."""
    house.people()
    for mood in ("drop", "garbled"):
        house.news(mood, "postmark", "twilio", "fcm", "http", sql=SENT)
        house.providers.feel(mood)
        reasons = house.reasons(mood)
        assert reasons["unknown in_doubt"] + reasons["sent"] == 3 * (1 + 1 + 4 + 1)
        assert reasons["unknown in_doubt"] >= 3 * (1 + 1), reasons  # a 200 of an endpoint is a word
        assert house.found() == set()


@pytest.mark.parametrize("account", ["postmark", "resend", "fcm"])
def test_killed_while_a_call_is_in_the_air(house: Apis, account: str) -> None:
    house.people()
    house.news("news", account, sql=SENT)
    house.providers.feel("hang")
    house.interrupted("news", signal.SIGKILL, ready=house.providers.moody[account].hanging)
    assert house.found() == set()
    house.providers.feel("")
    reasons = house.reasons("news")
    assert reasons["unknown in_doubt"] >= 1 or account == "resend"
    assert set(reasons) <= {"sent", "unknown in_doubt"}
    assert house.found() == set()


@pytest.mark.parametrize("account", ["postmark", "fcm"])
def test_an_adapter_that_breaks_with_all_it_knows_in_its_words(house: Apis, account: str) -> None:
    house.people()
    house.news("news", account)
    done = house.run("run", "news", "--yes", "--json", WHEN="inside")
    assert done.returncode == 3
    assert b"error[internal]: ValueError" in done.stderr
    assert b"scripted.py" in done.stderr
    assert house.found() == set()
    house.run("runs", "list", "--json")
    house.reasons("news")
    assert house.found() == set()
