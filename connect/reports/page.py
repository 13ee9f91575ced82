"""A report as one page: it stands alone, with no script, no file beside it, and nothing from the network.

Whatever is drawn also stands in a table. Names of links and arms are the campaign's own; nobody's data is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import cache
from html import escape
from importlib import resources
from zoneinfo import ZoneInfo

from connect.reports.counts import Report
from connect.reports.groups import By, Group, Reason, reasons
from connect.reports.measures import Figure, Figures, Measure
from connect.reports.pages import POLICY
from connect.reports.plots import columns_by_day, share_bar
from connect.reports.words import NAMES, converted_in_words, no_events, percent, since_in_words, unreported
from connect.vocabulary import Outcome


def report_page(report: Report, now: datetime) -> str:
    """The whole page."""
    parts = (_summary, _funnel, _days, _channels, _links, _runs, _arms, _reasons)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{escape(report.campaign)}: report</title>
<style>{_style()}</style>
</head>
<body>
<header>
<h1>{escape(report.campaign)}</h1>
<p>{escape(_subtitle(report))}</p>
</header>
<main>
{"".join(part(report) for part in parts)}
</main>
<footer><p>{escape(_foot(report, now))}</p></footer>
</body>
</html>
"""


@cache
def _style() -> str:
    return resources.files("connect.reports").joinpath("report.css").read_text(encoding="utf-8")


def _at(at: datetime, report: Report) -> str:
    return f"{at.astimezone(ZoneInfo(report.zone)):%Y-%m-%d %H:%M}"


def _subtitle(report: Report) -> str:
    if not report.runs:
        return "no runs"
    times = sorted(run.fire_time for run in report.runs)
    ends = list(dict.fromkeys(_at(at, report) for at in (times[0], times[-1])))
    newest = "the newest " if report.more else ""
    count = f"{newest}{len(report.runs):,} {report.runs[0].mode.value} run{'' if len(report.runs) == 1 else 's'}"
    return f"{count} · fired {' to '.join(ends)} · target {report.runs[0].target}"


def _foot(report: Report, now: datetime) -> str:
    counted = "the tables of the destination" if report.from_warehouse else "the ledger"
    return f"Counted in {counted}. Times and days are those of {report.zone}. Made on {_at(now, report)}."


def _section(title: str, *content: str) -> str:
    """Nothing where there is no content."""
    inner = "\n".join(text for text in content if text)
    return f"<section>\n<h2>{escape(title)}</h2>\n{inner}\n</section>\n" if inner else ""


# Summary

_TILES = (Measure.delivered, Measure.opened, Measure.clicked, Measure.unsubscribed, Measure.converted)


def _summary(report: Report) -> str:
    tiles = [_tile("sent", f"{report.total(Outcome.sent):,}", f"of {report.deliveries:,} deliveries")]
    tiles += [_measured(report, measure) for measure in _TILES if measure in report.figures]
    notes = (no_events(report), unreported(report), since_in_words(report), converted_in_words(report))
    told = "".join(f"<p>{escape(note[:1].upper() + note[1:])}.</p>" for note in notes if note)
    notes_of = f'<div class="notes">{told}</div>' if told else ""
    return f'<section aria-label="Summary">\n<div class="tiles">{"".join(tiles)}</div>\n{notes_of}</section>\n'


def _measured(report: Report, measure: Measure) -> str:
    figure = report.figures[measure]
    big = percent(figure.rate) if figure.rate else f"{figure.unique:,}"
    return _tile(NAMES[measure], big, _of(figure) if figure.rate else "deliveries")


def _tile(name: str, big: str, small: str) -> str:
    return f'<div class="tile"><p class="name">{name}</p><p class="big">{big}</p><p class="small">{small}</p></div>'


def _of(figure: Figure) -> str:
    rate = figure.rate
    return f"{figure.unique:,} of {rate.base:,} {rate.of}" if rate else ""


# Tables


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """The first cell of a row is its heading. Cells are HTML; blank ones are what is not known."""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "\n".join(_row(row) for row in rows)
    return f"""<div class="scrolls" tabindex="0" role="region" aria-label="{escape(caption)}">
<table{f' class="{kind}"' if kind else ""}>
<caption>{escape(caption)}</caption>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</div>"""


def _row(cells: Sequence[str]) -> str:
    first, *others = cells
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'


def _funnel(report: Report) -> str:
    rows = list(_funnel_rows(report))
    heads = ("", "unique", "total", "rate", "of", '<span class="heard">as a bar</span>')
    return _section("What became of it", _table("Each delivery counts once as unique", heads, rows, "funnel"))


def _funnel_rows(report: Report) -> Iterator[Sequence[str]]:
    sent = report.total(Outcome.sent)
    if sent:
        yield "sent", f"{sent:,}", f"{sent:,}", "", "", share_bar(1.0)
    for measure in NAMES:
        figure = report.figures.get(measure)
        if figure is not None:
            rate = figure.rate
            told = (percent(rate), f"{rate.base:,} {rate.of}", share_bar(rate.share)) if rate else ("", "", "")
            yield NAMES[measure], f"{figure.unique:,}", f"{figure.total:,}", *told


# Days

_PLOTTED = (
    *(Measure.sent, Measure.delivered, Measure.opened, Measure.clicked),
    *(Measure.hard_bounced, Measure.unsubscribed, Measure.converted),
)


def _days(report: Report) -> str:
    groups = report.by(By.day)
    present = _present(groups, _PLOTTED)
    if not present:
        return ""
    ends = date.fromisoformat(groups[0].name), date.fromisoformat(groups[-1].name)
    plots = "".join(_plot(groups, measure, *ends) for measure in present)
    heads = ("day", *map(_name, present))
    rows = [(group.name, *(_count(group.figures, measure) for measure in present)) for group in groups]
    table = _table("Unique deliveries, by the day on which it happened", heads, rows)
    numbers = f"<details><summary>The numbers of each day</summary>\n{table}\n</details>"
    return _section("Days", f'<div class="plots">{plots}</div>', numbers)


def _plot(groups: Sequence[Group], measure: Measure, first: date, last: date) -> str:
    """All of them from the same day to the same day, so that they can be read together."""
    counts = {
        date.fromisoformat(group.name): figure.unique
        for group in groups
        if (figure := group.figures.get(measure)) is not None
    }
    drawn = columns_by_day(counts, first, last, _name(measure))
    return f"<figure><figcaption>{_name(measure)}</figcaption>{drawn}</figure>"


def _present(groups: Sequence[Group], measures: Sequence[Measure]) -> list[Measure]:
    return [
        measure
        for measure in measures
        if any(figure.unique for group in groups if (figure := group.figures.get(measure)) is not None)
    ]


def _name(measure: Measure) -> str:
    return NAMES.get(measure, measure.value)


def _count(figures: Figures, measure: Measure) -> str:
    figure = figures.get(measure)
    return f"{figure.unique:,}" if figure is not None else ""


# Divided

_COMPARED = (
    *(Measure.sent, Measure.delivered, Measure.opened, Measure.clicked, Measure.hard_bounced),
    *(Measure.complained, Measure.unsubscribed, Measure.converted),
)


def _divided(report: Report, by: By, title: str, caption: str, names: dict[str, str] | None = None) -> str:
    groups = report.by(by)
    present = _present(groups, _COMPARED)
    rows = [
        (escape((names or {}).get(group.name, group.name) or "none"), *(_cell(group, measure) for measure in present))
        for group in groups
    ]
    return _section(title, _table(caption, (by.value, *map(_name, present)), rows)) if rows and present else ""


def _cell(group: Group, measure: Measure) -> str:
    figure = group.figures.get(measure)
    if figure is None:
        return ""
    rate = f' <span class="rate">{percent(figure.rate)}</span>' if figure.rate else ""
    return f"{figure.unique:,}{rate}"


def _channels(report: Report) -> str:
    return _divided(report, By.channel, "Channels", "Unique deliveries, and their share")


def _runs(report: Report) -> str:
    names = {run.id: f"{_at(run.fire_time, report)} · {run.id}" for run in report.runs}
    return _divided(report, By.run, "Runs", "By fire time, the newest first", names)


def _arms(report: Report) -> str:
    """Only of an experiment."""
    has_arms = any(group.name for group in report.by(By.arm))
    return _divided(report, By.arm, "Arms", "The arms of the experiment") if has_arms else ""


def _links(report: Report) -> str:
    groups = report.by(By.link)
    nothing = Figure(0, 0, None)
    rows = []
    for group in groups:
        people, machines = (group.figures.get(of, nothing) for of in (Measure.clicked, Measure.machine_clicked))
        name = f"<code>{escape(group.name)}</code>" if group.name else "no link of the templates"
        rate, bar = (percent(people.rate), share_bar(people.rate.share)) if people.rate else ("", "")
        unique = f"{people.unique:,}" if group.name else ""
        rows.append((name, f"{people.total:,}", unique, rate, bar, f"{machines.total:,}" if machines.total else ""))
    heads = ("link", "clicks", "unique", "rate", '<span class="heard">as a bar</span>', "by machines")
    return (
        _section("Links", _table("As they stand in the templates, the most clicked first", heads, rows, "links"))
        if rows
        else ""
    )


def _reasons(report: Report) -> str:
    found = [one for one in reasons(report.facts) if one.outcome is not Outcome.sent]
    rows = [_reason(one, report.deliveries) for one in found]
    heads = ("outcome", "reason", "deliveries", "of all", '<span class="heard">as a bar</span>')
    return (
        _section("Why not sent", _table("Deliveries that were not sent, or may not have been", heads, rows, "why"))
        if rows
        else ""
    )


def _reason(one: Reason, deliveries: int) -> Sequence[str]:
    share = one.count / deliveries
    outcome = f'<span class="outcome {one.outcome.value}">{one.outcome.value}</span>'
    return outcome, escape(one.reason), f"{one.count:,}", f"{share * 100:.1f} %", share_bar(share)
