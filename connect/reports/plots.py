"""Plots as SVG in a page: drawn by the page's own colours, readable by those who do not see them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from html import escape

_WIDTH, _HEIGHT = 720, 92
_LEFT, _TOP, _FOOT = 68, 12, 24


def share_bar(share: float) -> str:
    """A bar of a table's row, beside the number that it shows: nothing for those who hear the number."""
    width = max(0.6, min(1.0, share) * 100) if share > 0 else 0
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="8"/><rect class="fill" width="{width:.2f}" height="8"/></svg>'
    )


def columns_by_day(counts: Mapping[date, int], first: date, last: date, what: str) -> str:
    """A column for each day from the first to the last that has a number."""
    span = (last - first).days + 1
    top = max(counts.values()) or 1
    step = (_WIDTH - _LEFT) / span
    drawn = "".join(
        _column(day, count, top, (day - first).days * step, step) for day, count in sorted(counts.items()) if count
    )
    told = f"{what} by day, from {first} to {last}, at most {top:,} a day"
    return (
        f'<svg class="days" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(told)}">'
        f"{_axis(top)}{drawn}{_ends(first, last)}</svg>"
    )


def _column(day: date, count: int, top: int, left: float, step: float) -> str:
    room = _HEIGHT - _TOP - _FOOT
    height = max(1.0, count / top * room)
    width = min(max(step * 0.78, 0.8), 26)
    x = _LEFT + left + (step - width) / 2
    return (
        f'<rect class="column" x="{x:.1f}" y="{_TOP + room - height:.1f}" width="{width:.1f}" height="{height:.1f}">'
        f"<title>{day}: {count:,}</title></rect>"
    )


def _axis(top: int) -> str:
    base = _HEIGHT - _FOOT
    return (
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH}" y1="{base}" y2="{base}"/>'
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH}" y1="{_TOP}" y2="{_TOP}"/>'
        f'<text x="{_LEFT - 8}" y="{_TOP + 4}" text-anchor="end">{top:,}</text>'
        f'<text x="{_LEFT - 8}" y="{base}" text-anchor="end">0</text>'
    )


def _ends(first: date, last: date) -> str:
    y = _HEIGHT - 5
    told = f'<text x="{_LEFT}" y="{y}">{first}</text>'
    return told if first == last else f'{told}<text x="{_WIDTH}" y="{y}" text-anchor="end">{last}</text>'
