"""Every provider has a page of one shape: every setting, what it can do, every reason that its tables can give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from connect.providers import catalog, smtp_replies
from connect.providers.events import Bounce, parse_events_of
from connect.providers.interface import Capabilities, Idempotency, Status
from connect.vocabulary import Channel, Platform
from docs import markdown, matrix

NAMES = sorted(catalog.providers)
FOLDER = markdown.ROOT / "docs" / "providers"
ERRORS = markdown.ROOT / "docs" / "reference" / "errors.md"
PAGES = sorted({FOLDER / matrix.page_of(name) for name in NAMES})

SERVER = (
    "`connect serve` takes them at `/webhooks/` and the account's name, below `serve.base_url`:"
    " [webhooks](../webhooks.md)."
)
"""What stands on every page that tells how to set webhooks up."""


def page(name: str) -> Path:
    return FOLDER / matrix.page_of(name)


def reports(name: str) -> bool:
    return parse_events_of(catalog.load(name)) is not None


# Shape


def test_every_provider_has_a_page_and_every_page_a_provider() -> None:
    assert {file for file in FOLDER.glob("*.md") if file.stem != "index"} == set(PAGES)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_its_providers_name(name: str) -> None:
    text = page(name).read_text()
    assert text.startswith(f"# {name}\n") or f"`{name}`" in text


@pytest.mark.parametrize("name", NAMES)
def test_pages_have_the_same_headings_in_the_same_order(name: str) -> None:
    events = ["Events"] if reports(name) else []
    headings = re.findall(r"^## (.+)$", markdown.without_blocks(page(name).read_text()), re.MULTILINE)
    assert headings == ["Setup", "Settings", "Capabilities", *events, "When it fails"]


@pytest.mark.parametrize("name", [name for name in NAMES if reports(name)])
def test_pages_say_what_is_there_of_webhooks(name: str) -> None:
    assert markdown.section(page(name), "Events").startswith(f"\n\n{SERVER}\n\n")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_to_be_installed_is_the_first_step(name: str) -> None:
    extra = f'pip install "connect-campaigns[{catalog.extras.get(name)}]"'
    setup, fails = (markdown.section(page(name), heading) for heading in ("Setup", "When it fails"))
    assert (f"1. `{extra}`" in setup) == (name in catalog.extras)
    assert ("`missing-extra`" in fails and extra in fails) == (name in catalog.extras)


# Settings


def keys_of(model: type[BaseModel]) -> set[str]:
    """As they are written in connect.yml."""
    return {field.alias or name for name, field in model.model_fields.items()}


def tables(name: str, title: str) -> set[str]:
    """What stands first in the rows of the tables of this title, among the settings."""
    found = re.findall(
        rf"^\| {title} \|.*\n\|[-|]+\n((?:\|.*\n)+)", markdown.section(page(name), "Settings"), re.MULTILINE
    )
    return {key for table in found for key in markdown.first_cells(table)}


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from models(inner)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_on_the_page_and_no_other(name: str) -> None:
    settings = catalog.load(name).Settings
    assert tables(name, "setting") == keys_of(settings)
    inner = [model for field in settings.model_fields.values() for model in models(field.annotation)]
    assert tables(name, "key") == {key for model in inner for key in keys_of(model)}


# Capabilities


def can(name: str) -> dict[str, str]:
    """Row → how it has to begin."""
    capabilities = catalog.load(name).capabilities
    size = matrix.size(capabilities.max_call_bytes)
    return {
        "channels": matrix.channels(capabilities),
        "devices": matrix.devices(capabilities),
        "reaches people": matrix.yes(capabilities.reaches_people),
        "one call": f"{capabilities.max_batch:,} " + (f"messages, {size}" if capabilities.max_call_bytes else ""),
        "one message": matrix.size(capabilities.max_message_bytes) if capabilities.max_message_bytes else "",
        "at a time": f"{capabilities.default_concurrency} ",
        "repeated messages": matrix.repeated(capabilities),
        "sandbox": matrix.yes(capabilities.sandbox),
        "events": matrix.yes(reports(name)),
        "keeps messages on disk": matrix.yes(capabilities.persists_messages),
    }


def rows(name: str) -> dict[str, str]:
    """Row → its text, in the column of this provider."""
    lines = re.findall(r"^\|(.*)\|$", markdown.section(page(name), "Capabilities"), re.MULTILINE)
    header, *table = [[cell.strip() for cell in line.split("|")] for line in lines]
    column = header.index(f"`{name}`") if f"`{name}`" in header else 1
    return {cells[0]: cells[column].replace("*", "") for cells in table if cells[0] in can(name)}


@pytest.mark.parametrize("name", NAMES)
def test_the_capabilities_of_a_page_are_those_of_the_code(name: str) -> None:
    capabilities = catalog.load(name).capabilities
    wanted, told = can(name), rows(name)
    needless = {"devices"} - ({"devices"} if Channel.push in capabilities.channels else set())
    needless |= set() if capabilities.reaches_people else {"sandbox", "events"}
    needless |= set() if capabilities.max_message_bytes or "one message" in told else {"one message"}
    assert list(told) == [row for row in wanted if row not in needless]
    assert {row: text for row, text in told.items() if not text.startswith(wanted[row])} == {}


# When it fails


def modules(name: str) -> list[str]:
    """The modules of one adapter: its own, and those that begin with its name."""
    module = catalog.providers[name].partition(":")[0].rpartition(".")[2]
    files = sorted(Path(catalog.__file__).parent.glob(f"{module}*.py"))
    others = {place.partition(":")[0].rpartition(".")[2] for place in catalog.providers.values()} - {module}
    return [
        file.stem
        for file in files
        if file.stem == module or (file.stem.startswith(f"{module}_") and not others & {file.stem})
    ]


def pairs(value: object) -> Iterator[tuple[StrEnum, str]]:
    """Every (status, reason) and (bounce, reason) in a table, in mappings and lists of whatever shape."""
    match value:
        case (Status() | Bounce() as kind, str(reason)) if reason and not isinstance(reason, Status):
            yield kind, reason
        case (_, Bounce() as kind, str(reason)):
            yield kind, reason
        case dict():
            for each in value.values():
                yield from pairs(each)
        case list() | tuple():
            for each in value:
                yield from pairs(each)


def meanings(name: str, kind: type[StrEnum]) -> set[tuple[str, str]]:
    """What the tables of an adapter say: (status or bounce, reason)."""
    constants = [
        value for module in modules(name) for value in vars(import_module(f"connect.providers.{module}")).values()
    ]
    return {(each.value, reason) for each, reason in pairs(constants) if isinstance(each, kind)}


def explained(name: str) -> set[tuple[str, str]]:
    """(status, reason) of the rows of a page. A * says that it may be the recipient's fault."""
    found = set()
    rows = re.findall(r"^\| (.*) \| (.*) \| .* \|$", markdown.section(page(name), "When it fails"), re.MULTILINE)
    for reasons, statuses in rows:
        for reason, mark in re.findall(r"`(\w+)`(\*?)", reasons):
            found |= {(status, reason) for status in re.findall(r"`(\w+)`", statuses)}
            found |= {("rejected_recipient", reason)} if mark else set()
    return found


@pytest.mark.parametrize("name", [name for name in NAMES if catalog.load(name).capabilities.reaches_people])
def test_every_reason_is_explained_with_its_status(name: str) -> None:
    assert meanings(name, Status)
    assert meanings(name, Status) - explained(name) == set()


def test_reasons_of_smtp_are_explained_whatever_their_status() -> None:
    """They are by enhanced code."""
    reasons = {*smtp_replies.REASONS_BY_ENHANCED_CODE.values(), *smtp_replies.SIGN_IN.values()}
    reasons |= {reason for table in smtp_replies.REASONS_BY_CODE.values() for reason in table.values()}
    assert reasons - {""} - set(markdown.first_cells(markdown.section(page("smtp"), "When it fails"))) == set()


@pytest.mark.parametrize("name", [name for name in NAMES if meanings(name, Bounce)])
def test_every_reason_of_a_bounce_is_explained(name: str) -> None:
    """Where the tables name them: some providers' own words are reasons."""
    told = set(re.findall(r"`(\w+)`", page(name).read_text()))
    assert {reason for _, reason in meanings(name, Bounce)} - told == set()


@pytest.mark.parametrize("name", NAMES)
def test_run_trouble_is_explained(name: str) -> None:
    """The codes of all accounts are `provider-what`; `test_errors` holds their list against the code."""
    every = markdown.first_cells(markdown.section(ERRORS, "Accounts"))
    codes = {code for code in every if code.startswith(name.replace("_", "-") + "-")}
    assert codes or name.startswith("memory")
    assert codes - set(markdown.first_cells(markdown.section(page(name), "When it fails"))) == set()


def test_every_code_of_an_account_begins_with_its_provider() -> None:
    beginnings = tuple(name.replace("_", "-") + "-" for name in NAMES)
    codes = markdown.first_cells(markdown.section(ERRORS, "Accounts"))
    assert [code for code in codes if not code.startswith(beginnings)] == []


# The matrix


def test_the_matrix_has_each_page_once() -> None:
    linked = re.findall(r"^\| \[\w+\]\((\w+\.md)\)", matrix.table(), re.MULTILINE)
    assert sorted(linked) == [file.name for file in PAGES]
    assert all(re.search(rf"^\| .*\b{name}\b", matrix.table(), re.MULTILINE) for name in NAMES)


def test_what_differs_on_one_page_stands_side_by_side() -> None:
    (row,) = [line for line in matrix.table().splitlines() if "memory_idempotent" in line]
    assert "| sent again / recognised for 24 hours |" in row
    assert row.count(" / ") == 1


OTHERWISE: dict[str, Any] = {
    "channels": frozenset({Channel.email, Channel.push, Channel.sms}),
    "max_batch": 2,
    "max_call_bytes": 2_000_000,
    "max_message_bytes": 2_000,
    "idempotency": Idempotency.request_key,
    "idempotency_lifetime": timedelta(hours=2),
    "attachments": False,
    "custom_headers": False,
    "reaches_people": False,
    "persists_messages": True,
    "default_concurrency": 2,
    "platforms": frozenset({Platform.ios}),
    "sandbox": True,
    "tracks": True,
}


@pytest.mark.parametrize("capability", Capabilities.__dataclass_fields__)
def test_the_matrix_has_every_capability(capability: str) -> None:
    """One that changes changes a cell."""
    some = Capabilities(frozenset({Channel.email, Channel.push}), idempotency=Idempotency.message_key)
    one, other = some, replace(some, **{capability: OTHERWISE[capability]})
    cells = [[column.tell(SimpleNamespace(capabilities=each)) for column in matrix.COLUMNS] for each in (one, other)]  # type: ignore[arg-type]
    assert cells[0] != cells[1]
