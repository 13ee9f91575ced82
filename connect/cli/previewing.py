"""Rendered messages, and why there is none: at the terminal, on a page, as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.markup import escape

from connect.cli.pages import serve
from connect.cli.tables import OUTCOME_COLOURS
from connect.cli.terminal import out, plural
from connect.pipeline.deliveries import Ended
from connect.reports import messages
from connect.reports.pages import Shown, messages_page
from connect.reports.segments import segments_in_words
from connect.vocabulary import Channel

if TYPE_CHECKING:
    from connect.pipeline.previewing import Preview
    from connect.project.campaign import Campaign


def show(found: list[Preview]) -> None:
    """Each message as its reader sees it, with what is set beside it."""
    for one in found:
        out.rule(f"row {one.row} · {one.channel}", align="left", style="dim")
        if isinstance(one.result, Ended):
            out.print(f"[{OUTCOME_COLOURS[one.result.outcome]}]{one.result.outcome}[/]: {escape(one.result.reason)}")
            for problem in one.problems:
                out.print(problem, markup=False, style="dim")
            continue
        shown = messages.shown(one.result, "")
        for label, text in _fields(shown):
            if text:
                _print_field(label, text)
        out.print()
        out.print((shown.text or "").strip(), markup=False)
        if shown.segments:
            out.print(segments_in_words(shown.text or "", shown.segments), markup=False, style="dim")
        out.print()


def _fields(shown: Shown) -> Iterator[tuple[str, str]]:
    """What stands above the text."""
    if shown.method:
        yield "request", f"{shown.method} {shown.to or '(the account’s endpoint)'}"
    yield "from", shown.sender
    yield "to", "" if shown.method else " ".join((shown.platform, shown.to)).strip()
    yield "title" if shown.channel is Channel.push else "subject", shown.subject
    yield from (("header", f"{name}: {value}") for name, value in shown.headers)
    yield from (("image", shown.image), ("opens", shown.url))
    yield from (("data", f"{name} = {value}") for name, value in shown.data)
    yield from shown.options


def _print_field(label: str, text: str) -> None:
    """What has several lines stands under its first one."""
    out.print(f"[dim]{label.replace('_', ' '):>{_WIDTH}}[/]  ", end="")
    out.print(text.replace("\n", f"\n{' ' * (_WIDTH + 2)}"), markup=False)


_WIDTH = 12


def _shown(one: Preview) -> Shown:
    label = f"row {one.row}"
    if isinstance(one.result, Ended):
        notes = (f"{one.result.outcome}: {one.result.reason}", *one.problems)
        return Shown(one.channel, "", "", "", "", None, None, label, notes)
    return messages.shown(one.result, label)


def show_page(campaign: Campaign, found: list[Preview]) -> None:
    subtitle = f"{plural(len(found), 'delivery', 'deliveries')}; nothing is sent, and links lead nowhere"
    serve(messages_page(f"Preview of {campaign.name}", subtitle, [_shown(one) for one in found]))


def as_json(one: Preview) -> dict[str, object]:
    place = {"row": one.row, "channel": one.channel.value}
    if isinstance(one.result, Ended):
        reason = {"outcome": one.result.outcome.value, "reason": one.result.reason}
        return {**place, **reason, "problems": list(one.problems)}
    return {**place, **messages.as_json(one.result)}
