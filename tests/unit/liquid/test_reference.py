"""Every example of docs/reference/liquid.md prints what the page says, and the page leaves nothing out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from markupsafe import Markup

from connect.liquid import Library
from connect.liquid.context import OBJECTS
from connect.liquid.environment import Environment
from connect.liquid.filters import FILTERS
from connect.project.text import Text

PAGE = (Path(__file__).parents[3] / "docs/reference/liquid.md").read_text()
BLOCK = re.compile(r"^```(liquid|json)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    template: str
    printed: str
    escape: bool


def blocks(kind: str, told: str) -> list[tuple[str, str]]:
    found = [(match[2].strip(), match[3]) for match in BLOCK.finditer(PAGE) if match[1] == kind]
    return [(info, text) for info, text in found if info.startswith(told)]


def examples() -> list[Example]:
    found = [(info, text) for info, text in blocks("liquid", "") if not info.startswith("templates/")]
    made = []
    for info, text in found:
        lines = text.splitlines()
        template = "\n".join(line for line in lines if not line.startswith("→ "))
        printed = "\n".join(line[2:] for line in lines if line.startswith("→ "))
        made.append(Example(template, printed, info == "html"))
    return made


def library() -> Library:
    files = {info.removeprefix("templates/"): text.rstrip("\n") for info, text in blocks("liquid", "templates/")}
    texts = {name: Text(source=source, file=f"templates/{name}") for name, source in files.items()}
    return Library(texts, events=True)


def scope() -> dict[str, object]:
    data = json.loads(blocks("json", "")[0][1], parse_float=Decimal)
    data["now"] = datetime.fromisoformat(data["now"])
    data["user"]["ends_at"] = datetime.fromisoformat(data["user"]["ends_at"])
    data["user"]["born"] = date.fromisoformat(data["user"]["born"])
    for anchor in ("unsubscribe", "permalink"):
        data["url"][anchor] = Markup(data["url"][anchor])
    return data


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.template[:50])
def test_an_example_prints_what_the_page_says(example: Example) -> None:
    template = library().compile(Text(source=example.template), escape=example.escape)
    rendered = template.render(scope(), random_seed=b"someone")
    assert rendered.strip() == example.printed.strip()


def used(pattern: str) -> set[str]:
    return {name for example in examples() for name in re.findall(pattern, example.template)}


def test_every_filter_has_an_example() -> None:
    assert set(FILTERS) - used(r"\|\s*(\w+)") == set()


def test_every_tag_has_an_example() -> None:
    environment = Environment(escape=False, undefined="refuse", nulls="blank", nodes=lambda name: [])
    tags = set(environment.tags) - {"content", "output", "illegal"}
    assert tags - used(r"(?:\{%-?|\n)\s*(#|\w+)") == set()


def test_every_object_has_an_example() -> None:
    assert set(OBJECTS) - used(r"\b(\w+)\b") == set()
