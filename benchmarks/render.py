"""The 5 KB letter and the text message, rendered: Connect, python-liquid, and two engines of Jinja's language.

All four give the same text (the tests compare them). Connect renders as its runs do: bound to a batch of columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import jinja2
import liquid
import minijinja

from benchmarks import guests
from benchmarks.rows import Row, compared
from benchmarks.sizes import Size
from benchmarks.stopwatch import Work, rates
from benchmarks.straightforward import LETTERS
from connect.liquid import Library
from connect.project.text import Text

BATCH = 1000
URL = {"unsubscribe_link": "https://meridian.example/off?t=abcdefghijklmnopqrstuvwxyz"}

Guests = list[dict[str, object]]
Render = Callable[[], Iterator[str]]
"""Renders for everybody, one after the other: a run lets go of a text when it is sent."""


def html(size: Size) -> Iterator[Row]:
    """The letter without auto-escaping."""
    yield from _compared("render_html", "english.html", False, size)


def escaped(size: Size) -> Iterator[Row]:
    """The letter with auto-escaping, as it is sent."""
    yield from _compared("render_escaped", "english.html", True, size)


def sms(size: Size) -> Iterator[Row]:
    """The text message."""
    yield from _compared("render_sms", "text_message.txt", False, size)


def _compared(name: str, letter: str, escape: bool, size: Size) -> Iterator[Row]:
    people = guests.some(BATCH)
    found = rates({each: _work(render) for each, render in engines(letter, escape, people).items()}, size)
    base = (f"{name}_python_liquid", found.pop("python_liquid"))
    yield from compared(
        "texts/s of CPU", base, {f"{name}_{each}".removesuffix("_connect"): found[each] for each in found}
    )


def _work(render: Render) -> Work:
    return lambda: sum(1 for _ in render())


def engines(letter: str, escape: bool, people: Guests) -> dict[str, Render]:
    """Name → a way to render a letter for these people."""
    ours, jinja = _read(letter), _read(letter.replace(".html", ".jinja.html"))
    return {
        "python_liquid": _python_liquid(ours, escape, people),
        "connect": _connect(ours, escape, people),
        "jinja2": _jinja(jinja, escape, people),
        "minijinja": _minijinja(jinja, escape, people),
    }


def _read(letter: str) -> str:
    return (LETTERS / letter).read_text("utf-8")


def _python_liquid(source: str, escape: bool, people: Guests) -> Render:
    template = liquid.Environment(autoescape=escape).from_string(source)
    return lambda: (template.render(user=user, url=URL) for user in people)


def _connect(source: str, escape: bool, people: Guests) -> Render:
    template = Library({}).compile(Text(source=source, file="letter"), escape=escape)
    if not hasattr(template, "over"):
        return lambda: (template.render({"user": user, "url": URL}) for user in people)

    columns, everybody = guests.columns(people), range(len(people))

    def render() -> Iterator[str]:
        render_one = template.over(columns, {})
        return (render_one(index, b"", URL) for index in everybody)

    return render


def _jinja(source: str, escape: bool, people: Guests) -> Render:
    environment = jinja2.Environment(autoescape=escape, keep_trailing_newline=True)
    environment.filters["date"] = _date
    template = environment.from_string(source)
    return lambda: (template.render(user=user, url=URL) for user in people)


def _minijinja(source: str, escape: bool, people: Guests) -> Render:
    environment = minijinja.Environment(
        templates={"letter": source}, auto_escape_callback=lambda name: escape, keep_trailing_newline=True
    )
    environment.add_filter("date", _date)
    return lambda: (environment.render_template("letter", user=user, url=URL) for user in people)


def _date(value: date, form: str) -> str:
    return value.strftime(form)
