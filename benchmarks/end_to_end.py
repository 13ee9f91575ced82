"""The whole product against the straightforward script: an audience in DuckDB, messages to a receiver elsewhere.

Both are processes of their own, of which everything is counted: start-up, planning, reading, rendering, sending, and
for Connect also its ledger, which syncs every commit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes, project
from benchmarks.processes import Cost
from benchmarks.rows import Row
from benchmarks.sink import Kind, Sink
from benchmarks.sizes import Size


@dataclass(frozen=True)
class Ways:
    """One receiver, and what is sent to it by whom."""

    kind: Kind
    script: tuple[str, ...]
    account: project.Account
    content: str
    eight_bit: bool = True


def _emails(language: str, *, eight_bit: bool) -> Ways:
    return Ways("smtp", ("email", language), project.smtp, project.letter(language), eight_bit)


def email_8bit(size: Size) -> Iterator[Row]:
    """The English letter, where the server takes 8 bits: by CPU, and by the clock with the receiver on another core."""
    yield from _compared("email_8bit", _emails("english", eight_bit=True), size, wall=True)


def email_base64(size: Size) -> Iterator[Row]:
    """The Greek letter, where the server does not: base64 is what fits it."""
    yield from _compared("email_base64", _emails("greek", eight_bit=False), size)


def email_quoted(size: Size) -> Iterator[Row]:
    """The English letter, where the server does not: quoted-printable is what fits it."""
    yield from _compared("email_quoted", _emails("english", eight_bit=False), size)


def sms(size: Size) -> Iterator[Row]:
    """A text message in a POST of its own."""
    ways = Ways("http", ("sms",), project.http, project.TEXT_MESSAGE)
    yield from _compared("sms", ways, size, wall=True)


def sms_bulk(size: Size) -> Iterator[Row]:
    """A hundred text messages in a POST, as providers of bulk calls take them; the script still sends one in each."""
    ways = Ways("http", ("sms",), lambda port: project.http(port, 100), project.TEXT_MESSAGE)
    yield from _compared("sms_bulk", ways, size)


def _compared(name: str, ways: Ways, size: Size, *, wall: bool = False) -> Iterator[Row]:
    theirs, mine = script(ways, size.script), connect(ways, size.people)
    base, ours = size.script / theirs.cpu, size.people / mine.cpu
    yield Row(f"{name}_script", base, "msg/s of CPU")
    yield Row(name, ours, "msg/s of CPU", f"{name}_script", ours / base)
    if wall:
        base, ours = size.script / theirs.wall, size.people / mine.wall
        yield Row(f"{name}_wall_script", base, "msg/s")
        yield Row(f"{name}_wall", ours, "msg/s", f"{name}_wall_script", ours / base)


def script(ways: Ways, count: int) -> Cost:
    """What the straightforward script costs for so many people."""
    what, *language = ways.script
    with project.warehouse(count) as file, Sink(ways.kind, eight_bit=ways.eight_bit) as sink:
        command = [sys.executable, "-m", "benchmarks.straightforward", what, str(file), str(sink.port), *language]
        cost = processes.measured(command, folder=Path(__file__).parents[1])
        must_be_whole(sink, count)
    return cost


def connect(ways: Ways, count: int) -> Cost:
    """What `connect run` costs."""
    with (
        project.warehouse(count) as file,
        Sink(ways.kind, eight_bit=ways.eight_bit) as sink,
        project.project(file, count, ways.account(sink.port), ways.content) as root,
    ):
        cost = project.run(root, count)
        must_be_whole(sink, count)
    return cost


def must_be_whole(sink: Sink, count: int) -> None:
    received = sink.received().messages
    if received != count:
        raise SystemExit(f"{received:,} messages arrived instead of {count:,}")
