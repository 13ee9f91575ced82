"""What is announced before a run, and what keeps it from beginning: accounts that can not carry it, no sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from connect.testing.rigs.apns import a_key
from connect.testing.smtp import SmtpServer

BY_PLATFORM = {"ios": "apple", "android": ["google", "relay"], "default": "relay"}
ACCOUNTS = {name: {"type": "memory"} for name in ("apple", "google", "relay")}


def smtp(house: Any, server: SmtpServer) -> dict[str, object]:
    """An account that carries e-mail only, and has no sandbox."""
    house.shop.write(".env", f"CONNECT_SECRET=a-secret-of-the-shop-0123456789\nSMTP_PASSWORD={server.password}\n")
    login = {"username": server.username, "password": "${SMTP_PASSWORD}", "ca_file": str(server.ca_file)}
    return {"type": "smtp", "host": server.host, "port": server.port, "local_hostname": "sender.example", **login}


def sends_by(err: str) -> list[str]:
    """The lines that say by which accounts."""
    lines = err.splitlines()
    first = next(number for number, line in enumerate(lines) if "sends by  " in line)
    more = [line for line in lines[first + 1 :] if line.startswith(" " * 12)]
    return [lines[first].partition("sends by  ")[2], *(line.strip() for line in more)]


def test_one_way_for_all_channels_is_said_once(house: Any, contents: Any) -> None:
    house.configure(channels=dict.fromkeys(("email", "sms"), "mail"))
    house.campaign(contents["email"], contents["sms"])
    house.crowd(1)

    assert sends_by(house.run().err) == ["mail (memory)"]


def test_ways_that_differ_are_said_for_each_channel(house: Any, contents: Any) -> None:
    house.configure(
        providers=ACCOUNTS, channels={"email": ["mail", "relay"], "sms": "texts", "http": "texts", "push": BY_PLATFORM}
    )
    house.campaign(*contents.values())
    house.crowd(1)

    assert sends_by(house.run().err) == [
        "email by mail (memory), else relay (memory)",
        "sms and http by texts (memory)",
        "push to ios by apple (memory); to android by google (memory), else relay (memory); "
        "to other devices by relay (memory)",
    ]


@pytest.mark.parametrize(
    ("channel", "route"),
    [("sms", "post"), ("push", {"ios": "phones", "default": "post"}), ("http", ["hook", "post"])],
)
def test_an_account_that_can_not_carry_a_content(
    house: Any, contents: Any, server: SmtpServer, channel: str, route: object
) -> None:
    """Also where it would only take over."""
    house.configure(providers={"post": smtp(house, server)}, channels={channel: route})
    house.campaign(contents["email"], contents[channel])
    house.crowd(1)

    ended = house.run()

    assert (ended.code, ended.error.code) == (2, "provider-channel")
    assert ended.error.message == f"`post` does not carry {channel}: it is for email"
    assert ended.error.hint == f"name another one under `channels.{channel}`"
    house.nothing_happened()
    assert server.connections == 0
    validated = house.shop.connect("validate")
    assert (validated.code, validated.error.code) == (2, "provider-channel")


@pytest.fixture
def apple(house: Any) -> dict[str, object]:
    """An account that reaches iPhones only."""
    (house.shop.root / "key.p8").write_text(a_key()[0])
    key = {"team_id": "ACME000001", "key_id": "KEY0000001", "private_key": "${file:key.p8}"}
    return {"type": "apns", "topic": "example.acme.app", **key}


def test_an_account_that_does_not_reach_a_platform(house: Any, contents: Any, apple: Any) -> None:
    house.configure(providers={"apple": apple}, channels={"push": {"ios": "apple", "android": ["phones", "apple"]}})
    house.campaign(contents["push"])
    house.crowd(1)

    ended = house.run()

    assert (ended.code, ended.error.code) == (2, "provider-platform")
    assert ended.error.message == "`apple` does not reach android devices"
    house.nothing_happened()


def test_a_device_that_the_only_account_does_not_reach_is_refused(house: Any, contents: Any, apple: Any) -> None:
    """Nobody said so in connect.yml: the account knows what it carries."""
    house.configure(providers={"apple": apple}, channels={"push": "apple"})
    house.campaign(contents["push"])
    house.people(house.person(1, platform="android"), house.person(2, platform="web"))

    ended = house.report()

    assert ended.code == 1
    assert ended.counts == {("push", "refused", "no_provider"): 4}


@pytest.mark.parametrize("mode", ["live", "offline"])
def test_the_sandbox_is_for_test_mode(house: Any, contents: Any, mode: str) -> None:
    house.configure(mode=mode)
    house.campaign(contents["email"])
    house.crowd(1)

    ended = house.run("--sandbox")

    assert (ended.code, ended.error.code) == (2, "sandbox-needs-test")
    house.nothing_happened()


def test_an_account_that_has_none_is_refused(house: Any, contents: Any, server: SmtpServer) -> None:
    recipient = "test_recipient: {email: tester@shop.example}\n"
    house.configure(providers={"mail": smtp(house, server)}, more=recipient)
    house.campaign(contents["email"])
    house.crowd(1)

    ended = house.run("--mode", "test", "--sandbox")

    assert (ended.code, ended.error.code) == (2, "no-sandbox")
    assert "`smtp` has no mode in which it checks messages" in ended.error.message
    house.nothing_happened()
    assert server.connections == 0


def test_one_that_reaches_nobody_needs_none(house: Any, contents: Any) -> None:
    house.configure(mode="test", more="test_recipient: {email: tester@shop.example}\n")
    house.campaign(contents["email"])
    house.crowd(1)

    ended = house.run("--sandbox")

    assert ended.code == 0
    assert "sandbox" in ended.err
    assert house.shop.addresses() == ["tester@shop.example"]


@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_request_that_nobody_says_where_to_send(house: Any, contents: Any, command: str) -> None:
    house.configure(providers={"hook": {"type": "http"}})
    house.campaign({key: value for key, value in contents["http"].items() if key != "url"})
    house.crowd(1)

    ended = house.run() if command == "run" else house.shop.connect("validate")

    assert (ended.code, ended.error.code) == (2, "no-endpoint")
    assert ended.error.message == "neither the http content nor `hook` says where its requests go"
    house.nothing_happened()


@pytest.mark.parametrize("command", ["run", "validate"])
def test_an_audience_that_says_nothing_of_devices(house: Any, contents: Any, command: str) -> None:
    """Else everybody would be skipped for having no phone."""
    house.campaign(contents["email"], contents["push"])
    house.people(house.person(1))
    campaign = house.shop.root / "campaigns" / "hello.yml"
    campaign.write_text(campaign.read_text().replace("select * from", "select id, email, first_name from"))

    ended = house.run() if command == "run" else house.shop.connect("validate")

    assert (ended.code, ended.error.code) == (2, "missing-column")
    assert "neither `channels` nor `device_token`" in ended.error.message
    house.nothing_happened()
