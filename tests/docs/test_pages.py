"""Every page stands alone, leads where it says, and is up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connect.warehouses import catalog as warehouses
from docs import generate, markdown

PAGES = markdown.pages()


def test_generated_pages_are_up_to_date() -> None:
    stale = [markdown.name(file) for file, text in generate.pages().items() if file.read_text() != text]
    assert not stale, "`make docs` writes them again"


def test_generating_knows_nothing_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = generate.command_line()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    assert generate.command_line() == before


def test_a_page_without_marks_is_not_overwritten() -> None:
    with pytest.raises(ValueError, match="stands between"):
        generate.between("# A page", "a table")


@pytest.mark.parametrize("page", PAGES, ids=markdown.name)
def test_links_lead_somewhere(page: Path) -> None:
    for file, place in markdown.links(page):
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{markdown.name(page)} links to {file}"
        if place:
            known = [markdown.anchor(heading) for heading in markdown.headings(target)]
            assert place in known, f"{markdown.name(page)} links to {file}#{place}"


def test_the_index_leads_to_every_page() -> None:
    index = markdown.ROOT / "docs" / "index.md"
    reached = {(index.parent / file).resolve() for file, _ in markdown.links(index) if file}
    missing = [markdown.name(page) for page in PAGES if page.parent != markdown.ROOT and page not in {index, *reached}]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=markdown.name)
def test_pages_begin_with_their_one_title(page: Path) -> None:
    titles = re.findall(r"^# .+$", markdown.without_blocks(page.read_text()), re.MULTILINE)
    assert len(titles) == 1
    assert page.read_text().startswith(titles[0])


FORBIDDEN = re.compile(
    r"/work\b|/tmp/|\bissue \d|\bissues? #\d|/home/|/root/|\bTODO\b|\bexactly[- ]once\b", re.IGNORECASE
)


@pytest.mark.parametrize("page", PAGES, ids=markdown.name)
def test_pages_stand_alone(page: Path) -> None:
    found = [match[0] for match in FORBIDDEN.finditer(page.read_text())]
    assert not found


SECTIONS = ("Setup", "Settings", "Least privilege", "Types", "When it fails", "What was tried")
"""What a page of an engine tells, in this order; others may stand between."""


@pytest.mark.parametrize("name", sorted(warehouses.ADAPTERS))
def test_every_warehouse_has_a_page_with_these_sections(name: str) -> None:
    page = markdown.ROOT / "docs" / "warehouses" / f"{name}.md"
    sections = re.findall(r"^## (.+)$", markdown.without_blocks(page.read_text()), re.MULTILINE)
    assert [section for section in sections if section in SECTIONS] == list(SECTIONS)
