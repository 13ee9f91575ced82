"""Every stable error code has an entry in the reference, and every entry a code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from docs import markdown

PAGE = markdown.ROOT / "docs" / "reference" / "errors.md"

CODE = re.compile(r"[a-z]+(-[a-z]+)+")
NOT_CODES = {"quoted-printable", "no-referrer", "no-store", "stand-in"}
NOT_CODES |= {"campaign-live", "connect-campaigns", "skip-next"}
NOT_CODES |= {"client-info", "delivery-status", "event-data", "message-id", "user-variables", "x-sg-id"}
"""Words with hyphens that are handed to something else than a problem."""


def codes() -> dict[str, str]:
    """Every code → where it is used. The tests' own tools, `connect.testing`, have codes for nobody."""
    found: dict[str, str] = {}
    for file in sorted((markdown.ROOT / "connect").rglob("*.py")):
        if "testing" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            for text in _candidates(node):
                if CODE.fullmatch(text) and text not in NOT_CODES:
                    found.setdefault(text, f"{file.relative_to(markdown.ROOT)}:{getattr(node, 'lineno', 0)}")
    return found


def _candidates(node: ast.AST) -> Iterator[str]:
    """The first text that is given to a call (`Problem("code", …)`, `refuse("code", …)`), or that begins a tuple."""
    match node:
        case ast.Call(func=ast.Attribute(attr="get")):
            return  # a header's name, with which something is looked up
        case ast.Call(func=ast.Attribute(attr="info" | "warning" | "trouble")):
            return  # the action of a line of the log
        case ast.Call():
            yield from [text for argument in node.args[:2] for text in _texts(argument)][:1]
        case ast.Tuple(elts=[first, *_]):
            yield from _texts(first)


def _texts(node: ast.AST) -> list[str]:
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body), *_texts(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def entries() -> list[str]:
    """The codes of the page's tables: one in each row."""
    return re.findall(r"^\| `([a-z-]+)` \|", PAGE.read_text(), re.MULTILINE)


def test_the_code_is_read_well_enough() -> None:
    """One of each way in which codes are written: a guard for `codes`."""
    assert {"no-project", "wrong-type", "sql-error", "provider-config", "smtp-auth", "ses-paused", "run-exists"} <= set(
        codes()
    )
    assert len(codes()) > 80


def test_every_code_has_an_entry() -> None:
    assert {code: place for code, place in codes().items() if code not in entries()} == {}


def test_every_entry_has_a_code() -> None:
    assert set(entries()) - {"internal"} - set(codes()) == set()


def test_entries_are_told_once_and_in_order() -> None:
    for heading in markdown.headings(PAGE)[1:]:
        section = re.findall(r"^\| `([a-z-]+)` \|", markdown.section(PAGE, heading), re.MULTILINE)
        assert section == sorted(section), heading
    assert len(entries()) == len(set(entries()))


def test_entries_say_what_it_means_and_what_to_do() -> None:
    rows = [line.strip("|").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows if len(row) != 3 or len(row[1].strip()) < 10 or len(row[2].strip(" |")) < 5] == []


def test_codes_on_other_pages_exist() -> None:
    """`error[code]` is how the terminal shows them."""
    known = set(codes())
    for page in markdown.pages():
        assert set(re.findall(r"(?:error|warning)\[([a-z-]+)\]", page.read_text())) - known - {"code"} == set(), page
