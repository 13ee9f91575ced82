"""Every provider has a page, with every setting and every reason that its tables can give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from connect.providers import catalog, smtp_replies
from connect.providers.interface import Status

PAGES = Path(__file__).parents[2] / "docs" / "providers"


def page(name: str) -> str:
    return (PAGES / f"{name.removesuffix('_idempotent')}.md").read_text()


@pytest.mark.parametrize("name", catalog.names())
def test_every_provider_has_a_page_with_every_setting(name: str) -> None:
    for setting in catalog.load(name).Settings.model_fields:
        assert f"`{setting}`" in page(name)


def modules(name: str) -> list[str]:
    """The modules of one adapter: its own, and those that begin with its name."""
    module = catalog.providers[name].partition(":")[0].rpartition(".")[2]
    files = sorted(Path(catalog.__file__).parent.glob(f"{module}*.py"))
    others = {catalog.providers[other].partition(":")[0].rpartition(".")[2] for other in catalog.names()} - {module}
    return [
        file.stem
        for file in files
        if file.stem == module or (file.stem.startswith(f"{module}_") and not others & {file.stem})
    ]


def meanings(value: object) -> Iterator[str]:
    """Every reason in a table: (status, reason), alone or in mappings and lists of whatever shape."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], Status) and isinstance(value[1], str):
        yield value[1]
    elif isinstance(value, dict):
        for each in value.values():
            yield from meanings(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from meanings(each)


def reasons(name: str) -> set[str]:
    found = {
        reason
        for module in modules(name)
        for value in vars(import_module(f"connect.providers.{module}")).values()
        for reason in meanings(value)
    }
    if name == "smtp":  # by enhanced code, whatever their status
        found |= set(smtp_replies.REASONS_BY_ENHANCED_CODE.values()) | set(smtp_replies.SIGN_IN.values())
        found |= {reason for table in smtp_replies.REASONS_BY_CODE.values() for reason in table.values()}
    return found - {""}


@pytest.mark.parametrize("name", catalog.names())
def test_every_reason_is_explained(name: str) -> None:
    explained = set(re.findall(r"`([a-z0-9_]+)`", page(name)))
    assert reasons(name) - explained == set()


@pytest.mark.parametrize("name", catalog.names())
def test_run_trouble_is_explained(name: str) -> None:
    """Codes of run-level trouble are written `provider-what` in the adapters."""
    folder = Path(catalog.__file__).parent
    sources = [(folder / f"{module}.py").read_text() for module in modules(name)]
    codes = {code for source in sources for code in re.findall(rf'"({name.replace("_", "-")}-[a-z-]+)"', source)}
    assert codes or name.startswith("memory")
    assert {code for code in codes if f"`{code}`" not in page(name)} == set()
