"""The reference has every key that files may have, and no other; every setting; every command and option."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from connect.cli.main import app
from connect.project import later
from connect.project.audience import Audience, Limits
from connect.project.campaign import Campaign
from connect.project.conversions import Conversions
from connect.project.destination import Destination
from connect.project.message import (
    Attachment,
    CampaignMessage,
    EmailContent,
    HttpContent,
    PushContent,
    SmsContent,
)
from connect.project.policy import Batches, FrequencyCap, Hours, Policy, QuietHours
from connect.project.profile import Everyone, Profile
from connect.project.project import (
    Channels,
    Defaults,
    MessageDefaults,
    ProjectFile,
    Sheets,
    Subscriptions,
    TestRecipient,
    Unsubscribe,
)
from connect.project.segments import Segments
from connect.project.serve import ApiKey, Serve
from connect.project.tracking import Track, Utm
from connect.project.trigger import Api, Event, Immediate, Recurring, Scheduled
from connect.project.unsubscribe import PageWords
from connect.project.webhooks import Hook
from connect.vocabulary import Outcome, Reason, RunState, segments_reason
from connect.warehouses import catalog as warehouses
from connect.warehouses.destination import DELIVERIES, EVENTS, Described
from docs import markdown

REFERENCE = markdown.ROOT / "docs" / "reference"
CAMPAIGN, CONNECT, OUTCOMES = (REFERENCE / f"{name}.md" for name in ("campaign", "connect-yml", "outcomes"))

NOT_DEFAULTS = {"transactional", "content"}
"""Keys that `defaults.message` knows only to refuse them."""

KEYS: list[tuple[Path, str, Collection[str]]] = [
    (CAMPAIGN, "Campaign", Campaign.keys()),
    (CAMPAIGN, "trigger", Immediate.keys() | Scheduled.keys() | Recurring.keys() | Event.keys() | Api.keys()),
    (CAMPAIGN, "audience", Audience.keys()),
    (CAMPAIGN, "segments", Segments.keys()),
    (CAMPAIGN, "limits", Limits.keys()),
    (CAMPAIGN, "message", CampaignMessage.keys()),
    (CAMPAIGN, "email", EmailContent.keys()),
    (CAMPAIGN, "track", Track.keys()),
    (CAMPAIGN, "utm", Utm.keys()),
    (CAMPAIGN, "attachments", Attachment.keys()),
    (CAMPAIGN, "sms", SmsContent.keys()),
    (CAMPAIGN, "push", PushContent.keys()),
    (CAMPAIGN, "http", HttpContent.keys()),
    (CAMPAIGN, "policy", Policy.keys()),
    (CAMPAIGN, "frequency_cap", FrequencyCap.keys()),
    (CAMPAIGN, "batches", Batches.keys()),
    (CAMPAIGN, "quiet_hours", QuietHours.keys()),
    (CAMPAIGN, "countries", Hours.keys()),
    (CAMPAIGN, "conversions", Conversions.keys()),
    (CONNECT, "Keys", ProjectFile.keys()),
    (CONNECT, "webhooks", Hook.keys()),
    (CONNECT, "test_recipient", TestRecipient.keys()),
    (CONNECT, "providers", {"type", "rate", "concurrency", "timeout"}),
    (CONNECT, "channels", Channels.keys()),
    (CONNECT, "subscriptions", Subscriptions.keys()),
    (CONNECT, "destination", Destination.keys()),
    (CONNECT, "sheets", Sheets.keys()),
    (CONNECT, "unsubscribe", Unsubscribe.keys()),
    (CONNECT, "unsubscribe.words", PageWords.keys()),
    (CONNECT, "everyone", Everyone.keys()),
    (CONNECT, "profile", Profile.keys()),
    (CONNECT, "defaults", Defaults.keys() | (MessageDefaults.keys() - NOT_DEFAULTS)),
    (CONNECT, "serve", Serve.keys()),
    (CONNECT, "serve.keys", ApiKey.keys()),
]


def keys_of(page: Path, heading: str) -> list[str]:
    """The first column of the tables of keys right under a heading; a deeper heading begins a table of its own."""
    own = re.split(r"^#+ ", markdown.section(page, heading), maxsplit=1, flags=re.MULTILINE)[0]
    tables = re.findall(r"^\| key \|.*\n\|[-|]+\n((?:\|.*\n)+)", own, re.MULTILINE)
    return [key for table in tables for key in markdown.first_cells(table)]


@pytest.mark.parametrize(("page", "heading", "keys"), KEYS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_key_has_its_row_and_every_row_a_key(page: Path, heading: str, keys: Collection[str]) -> None:
    assert sorted(keys_of(page, heading)) == sorted(keys)


def test_every_model_that_people_write_is_in_the_list() -> None:
    """A new kind of mapping must find its way into the reference."""
    seen: set[type[BaseModel]] = set()

    def see(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
            seen.add(annotation)
            for info in annotation.model_fields.values():
                see(info.annotation)
                for part in info.metadata:
                    see(part)
        for inner in getattr(annotation, "__args__", ()):
            see(inner)

    see(Campaign)
    see(ProjectFile)
    listed = {frozenset(keys) for _, _, keys in KEYS}
    together = {Immediate, Scheduled, Recurring, Event, Api, Defaults, MessageDefaults}
    strangers = {model for model in seen - together if hasattr(model, "keys") and frozenset(model.keys()) not in listed}
    assert not strangers


@pytest.mark.parametrize("section", sorted(later.KEYS))
def test_what_comes_later_is_named(section: str) -> None:
    text = markdown.section(CAMPAIGN, "Not yet supported") + markdown.section(CONNECT, "Not yet supported")
    words = set(re.findall(r"`([a-z_]+)`", text))
    assert later.KEYS[section] - words == set()


def test_values_that_come_later_are_named() -> None:
    words = set(re.findall(r"`([a-z_]+)`", markdown.section(CAMPAIGN, "Not yet supported")))
    assert {value for values in later.VALUES.values() for value in values} - words == set()


def settings_table(page: Path) -> set[str]:
    return set(markdown.first_cells(markdown.section(page, "Settings"))) - {"setting"}


@pytest.mark.parametrize("name", sorted(warehouses.ADAPTERS))
def test_every_setting_of_a_warehouse_is_on_its_page(name: str) -> None:
    page = markdown.ROOT / "docs" / "warehouses" / f"{name}.md"
    fields = warehouses.load(name).Settings.model_fields
    assert settings_table(page) == {field.alias or name for name, field in fields.items()}


def test_every_outcome_and_reason_is_explained() -> None:
    told = set(markdown.first_cells(OUTCOMES.read_text("utf-8")))
    assert {outcome.value for outcome in Outcome} <= told
    assert {reason.value for reason in Reason if reason} - told == set()
    assert {state.value for state in RunState} - told == set()
    assert segments_reason(2) in told


def commands() -> list[tuple[str, Any]]:
    found = []
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        inner = getattr(command, "commands", {"": command})
        found += [(f"connect {name} {each}".strip(), one) for each, one in inner.items()]
    return found


@pytest.mark.parametrize(("name", "command"), commands(), ids=[name for name, _ in commands()])
def test_every_command_and_option_is_in_the_reference(name: str, command: Any) -> None:
    text = markdown.section(REFERENCE / "cli.md", name)
    for parameter in command.params:
        if parameter.name == "help" or getattr(parameter, "hidden", False):
            continue
        assert parameter.help, f"{name} {parameter.name} has no help"
        assert parameter.help.replace("|", "\\|") in text
        for option in parameter.opts if parameter.param_type_name == "option" else ():
            assert re.search(rf"^\| `[^`]*{re.escape(option)}\b", text, re.MULTILINE), f"{name} {option}"


OPTIONS = {
    name: {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for name, command in commands()
}
GROUPS = {name.rpartition(" ")[0] for name in OPTIONS}


def commands_in(text: str) -> list[str]:
    """What stands in backticks, also over the end of a line, or begins a line."""
    found = re.findall(r"`(connect\s+[a-z][^`]*)`|^(?:\$ )?(connect [a-z].*)$", text, re.MULTILINE)
    return [" ".join((inline or line).partition("#")[0].split()) for inline, line in found]


def unknown(written: str) -> list[str]:
    """The words of a command that there are not: its name, or options."""
    name = next((name for name in OPTIONS if f"{written} ".startswith(f"{name} ")), "")
    if not name:
        return [] if written in GROUPS else [written]
    return [word for word in written.split() if word.startswith("--") and word not in {*OPTIONS[name], "--help"}]


@pytest.mark.parametrize("page", markdown.pages(), ids=markdown.name)
def test_commands_on_pages_exist(page: Path) -> None:
    """What comes in a later version is not written as if it were there."""
    assert [word for written in commands_in(page.read_text()) for word in unknown(written)] == []


def test_a_command_that_is_not_there_would_be_seen() -> None:
    assert [unknown(written) for written in commands_in("By `connect\nfly`.\n\nconnect run it --hard --yes")] == [
        ["connect fly"],
        ["--hard"],
    ]


@pytest.mark.parametrize(("heading", "columns"), [("connect_deliveries", DELIVERIES), ("connect_events", EVENTS)])
def test_every_column_of_the_destination_is_explained(heading: str, columns: Mapping[str, Described]) -> None:
    page = markdown.section(markdown.ROOT / "docs" / "history.md", heading)
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", page, re.MULTILINE)
    assert rows == [(name, described.kind.value) for name, described in columns.items()]
