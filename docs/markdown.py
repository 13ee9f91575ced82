"""Reads the pages, so that tests can hold them against the code: blocks, headings, tables, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pages() -> list[Path]:
    """Every page that is for people: the README, the changelog, and docs/."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and where it stands."""

    language: str
    text: str
    page: Path
    line: int
    note: str = ""
    """The HTML comment right above it, which readers do not see."""

    def __str__(self) -> str:
        return f"{name(self.page)}:{self.line}"

    @property
    def title(self) -> str:
        """What the comment in its first line says."""
        first = self.text.partition("\n")[0]
        return first.removeprefix("#").strip() if first.startswith("#") else ""


_FENCE = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*) -->\n\n?)?^(?P<fence>```+)(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


def blocks(page: Path, heading: str = "") -> list[Block]:
    """The fenced blocks of a page, or of the section under one of its headings."""
    text = page.read_text("utf-8")
    start, end = _span(text, heading) if heading else (0, len(text))
    return [
        Block(
            found["language"].strip(),
            found["text"],
            page,
            text.count("\n", 0, found.start("fence")) + 1,
            found["note"] or "",
        )
        for found in _FENCE.finditer(text)
        if start <= found.start() < end
    ]


def _span(text: str, heading: str) -> tuple[int, int]:
    """Where a section begins and ends; what stands under deeper headings belongs to it."""
    plain = without_blocks(text)
    found = re.search(rf"^(#+) {re.escape(heading)}$", plain, re.MULTILINE)
    assert found, f"there is no heading `{heading}`"
    after = re.compile(rf"^#{{1,{len(found[1])}}} ", re.MULTILINE).search(plain, found.end())
    return found.end(), after.start() if after else len(text)


def without_blocks(text: str) -> str:
    """The text with every block blanked out, so that places stay."""
    return _FENCE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def section(page: Path, heading: str) -> str:
    """The text under a heading."""
    text = page.read_text("utf-8")
    start, end = _span(text, heading)
    return text[start:end]


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", without_blocks(page.read_text("utf-8")), re.MULTILINE)


def anchor(heading: str) -> str:
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def first_cells(text: str) -> list[str]:
    """What stands in backticks in the first column of the tables in a text; several in one cell are several."""
    rows = re.findall(r"^\|((?:[^|\n\\]|\\.)*)\|", text, re.MULTILINE)
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]


def links(page: Path) -> Iterator[tuple[str, str]]:
    """(file, anchor) of every link to another page or a place in this one."""
    text = re.sub(r"`[^`\n]*`", "", without_blocks(page.read_text("utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            file, _, place = target.partition("#")
            yield file, place
