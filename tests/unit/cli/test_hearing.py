"""`connect validate` about webhooks of providers that would come to nothing."""

from __future__ import annotations

from typing import Any

import pytest

PROJECT = """\
name: club
secret: ${{CONNECT_SECRET}}
providers:
  texts: {texts}
channels: {{sms: texts}}
{more}
"""
CAMPAIGN = """\
trigger: {type: immediate}
audience:
  people: [{id: 1, phone_number: "+61412345678"}]
message:
  content: [{channel: sms, body: Hi}]
"""
BIRD = (
    "{type: messagebird, access_key: '${CONNECT_SECRET}', workspace_id: 00000000-0000-4000-8000-000000000000, "
    "channel_id: 00000000-0000-4000-8000-000000000001%s}"
)
TWILIO = (
    "{type: twilio, account_sid: AC00000000000000000000000000000000, auth_token: '${CONNECT_SECRET}', from: '+1'%s}"
)
VONAGE = "{type: vonage, api_key: abcd, api_secret: '${CONNECT_SECRET}'%s}"
SIGNED, CALLED = ", webhook_secret: '${CONNECT_SECRET}'", ", status_callback: https://hooks.club.example/webhooks/texts"
WRITE, SERVED = "subscriptions: {write: off}", "serve: {base_url: https://hooks.club.example}"


@pytest.mark.parametrize(
    ("texts", "more", "codes"),
    [
        (BIRD % "", "", []),  # no webhooks are asked for
        (BIRD % SIGNED, "", ["webhooks-not-heeded", "webhooks-unproved"]),
        (BIRD % SIGNED, WRITE, ["webhooks-unproved"]),
        (BIRD % SIGNED, SERVED, ["webhooks-not-heeded"]),
        (BIRD % (SIGNED + ", webhook_url: https://hooks.club.example/bird"), WRITE, []),
        (BIRD % SIGNED, f"{WRITE}\n{SERVED}", []),
        (TWILIO % SIGNED, WRITE, ["webhooks-unproved"]),
        (TWILIO % CALLED, WRITE, []),
        (TWILIO % CALLED, "", ["webhooks-not-heeded"]),
        (VONAGE % SIGNED, WRITE, []),
    ],
)
def test_what_is_reported_and_comes_to_nothing(club: Any, texts: str, more: str, codes: list[str]) -> None:
    (club.root / "connect.yml").write_text(PROJECT.format(texts=texts, more=more))
    (club.root / "campaigns/spring.yml").write_text(CAMPAIGN)
    told = club.connect("validate", "--no-warehouse", "--json").json
    warned = [one for one in told["campaigns"][0]["problems"] if one["code"].startswith("webhooks-")]
    assert [one["code"] for one in warned] == codes
    assert all(one["severity"] == "warning" for one in warned)
    line = next(number for number, text in enumerate(PROJECT.splitlines(), 1) if "texts: {texts}" in text)
    assert {(one["file"], one["line"]) for one in warned} <= {("connect.yml", line)}


def test_it_is_said_once_and_points_at_the_setting(club: Any) -> None:
    (club.root / "connect.yml").write_text(PROJECT.format(texts=BIRD % SIGNED, more=WRITE))
    for name in ("spring", "summer"):
        (club.root / f"campaigns/{name}.yml").write_text(CAMPAIGN)
    told = club.connect("validate", "--no-warehouse")
    assert told.err.count("webhooks-unproved") == 1
    line = (club.root / "connect.yml").read_text().splitlines()[3]
    assert f"connect.yml:4:{line.index('webhook_secret') + 1}: warning[webhooks-unproved]" in told.err
