"""Short ways to compile and render, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from connect.liquid import Library, Template
from connect.project.text import Text

Compile = Callable[..., Template]
Render = Callable[..., str]


@pytest.fixture
def compiled() -> Compile:
    """compiled(source, files={name: source}, escape=…, undefined=…, nulls=…)"""

    def compiled(source: str, files: Mapping[str, str] | None = None, **options: object) -> Template:
        texts = {name: Text(source=text, file=f"templates/{name}") for name, text in (files or {}).items()}
        options = {"escape": False} | options
        text = Text(source=source, file="campaigns/hello.yml", line=7, column=12)
        return Library(texts).compile(text, **options)  # type: ignore[arg-type]

    return compiled


@pytest.fixture
def rendered(compiled: Compile) -> Render:
    """rendered(source, user={…}, …): with this person's row."""

    def rendered(
        source: str, *, user: object = None, scope: Mapping[str, object] | None = None, **options: object
    ) -> str:
        return compiled(source, **options).render({"user": user or {}, **(scope or {})}, random_seed=b"someone")

    return rendered
