"""A campaign held against its warehouse: what is wrong with it, and the query that a run would read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from zoneinfo import ZoneInfo

from connect.errors import Problem, Severity, UserError
from connect.liquid.library import Library
from connect.pipeline import (
    deliverability,
    firing,
    history,
    lint,
    look,
    parameters,
    public,
    safety,
    snapshot,
    subscriptions,
)
from connect.pipeline.mistakes import placed_in
from connect.pipeline.moment import Moment
from connect.pipeline.reads import read_size
from connect.pipeline.segments import in_segments
from connect.project.campaign import Campaign
from connect.project.campaigns import Loaded
from connect.project.project import Project
from connect.project.trigger import Event
from connect.vocabulary import Channel, Mode
from connect.warehouses import query
from connect.warehouses.history import once_columns
from connect.warehouses.interface import AUDIENCE, Column, Query, TakesRows, Warehouse
from connect.warehouses.looking import nulls_query
from connect.warehouses.wrapping import DEFAULT_KEY, Audience, OptOuts, Wrapping, find

OpenWarehouse = Callable[[str], Warehouse]


@dataclass(frozen=True)
class Checked:
    """A campaign that was looked at."""

    name: str
    campaign: Campaign | None
    problems: tuple[Problem, ...]
    next_fires: tuple[datetime, ...] = ()
    """The next few times by the clock; none of a trigger that polls, or that waits for something else."""
    outside: bool = False
    """Something outside was in the way, so that not everything could be looked at."""
    notes: tuple[str, ...] = ()
    """What could not be found out, and is not wrong."""
    read_size: int | None = None
    """The bytes that one read of the audience is billed for, where the warehouse tells."""

    @property
    def sound(self) -> bool:
        return not any(problem.severity is Severity.error for problem in self.problems)

    @property
    def summary(self) -> str:
        """Status, trigger and channels in a few words."""
        if self.campaign is None:
            return ""
        channels = dict.fromkeys(content.channel.value for content in self.campaign.message.content)
        kind = "transactional" if self.campaign.message.transactional else "marketing"
        return f"{self.campaign.status} · {self.campaign.trigger.type} · {' + '.join(channels)} · {kind}"


def check_campaign(
    project: Project,
    loaded: Loaded,
    name: str,
    library: Library,
    warehouse: Warehouse | None,
    now: datetime,
    *,
    goes_live: bool,
    reaches_people: bool | None = None,
) -> Checked:
    """Everything that is wrong with a campaign; with a warehouse, also against the columns of its query.

    goes_live: whether it would reach people, and so needs what live needs. reaches_people: whether its accounts could,
    as soon as it is live; as `goes_live` where it is not said.
    """
    dialect = warehouse.dialect.sqlglot if warehouse else "duckdb"
    problems = [*loaded.problems, *firing.event_problems(loaded), *firing.call_problems(loaded)]
    problems += [*lint.text_problems(loaded, library, dialect)]
    campaign = loaded.campaign
    if campaign is None:
        return Checked(name, None, tuple(problems))
    problems += history.problems(project, campaign, loaded.at)
    if project.subscriptions is not None:
        problems += subscriptions.unread(project.subscriptions, dialect)
    problems += look.problems(project)
    if not _errors(problems):
        problems += public.problems(project, loaded, library)
    size: int | None = None
    if warehouse is not None and not _errors(problems):
        found, size = _looked_at(project, campaign, library, warehouse, now, goes_live)
        problems += found
    if not _errors(problems):
        reaches = goes_live if reaches_people is None else reaches_people
        problems += deliverability.warnings(project, campaign, library, reaches_people=reaches)
    return Checked(name, campaign, tuple(problems), firing.next_fires(campaign, now), read_size=size)


def _errors(problems: Sequence[Problem]) -> bool:
    return any(problem.severity is Severity.error for problem in problems)


def _looked_at(
    project: Project, campaign: Campaign, library: Library, warehouse: Warehouse, now: datetime, goes_live: bool
) -> tuple[list[Problem], int | None]:
    """What the warehouse says of a campaign: what is wrong with it, and what one read is billed for."""
    try:
        wrapping = wrap(project, campaign, warehouse, firing.moment_of_a_look(campaign, now))
        size = read_size(warehouse, wrapping, campaign.audience.timeout)
    except UserError as error:
        return list(error.problems), None
    return _warehouse_problems(project, campaign, library, warehouse, wrapping, goes_live), size


def _warehouse_problems(
    project: Project, campaign: Campaign, library: Library, warehouse: Warehouse, wrapping: Wrapping, goes_live: bool
) -> list[Problem]:
    problems = wrapped_problems(project, campaign, library, warehouse, wrapping, goes_live)
    if not _errors(problems):
        problems += _null_warnings(campaign, library, wrapping, warehouse)
    return problems


def wrapped_problems(
    project: Project, campaign: Campaign, library: Library, warehouse: Warehouse, wrapping: Wrapping, goes_live: bool
) -> list[Problem]:
    """What does not fit between a campaign and the columns of its query. Asks the warehouse nothing."""
    columns = [column.name for column in wrapping.audience.columns]
    problems = snapshot.problems(campaign, warehouse)
    problems += lint.campaign_problems(campaign, library, columns)
    if project.subscriptions is not None:
        problems += subscriptions.partly_read(project.subscriptions, wrapping.optouts.columns)
    if goes_live and project.mode is Mode.live:
        problems += safety.marketing_problems(project, campaign, columns)
    return problems


def _null_warnings(campaign: Campaign, library: Library, wrapping: Wrapping, warehouse: Warehouse) -> list[Problem]:
    """Columns that are printed without a default and hold nulls."""
    printed = lint.printed_without_default(campaign, library)
    if not printed:
        return []
    asked = nulls_query(wrapping.audience, wrapping.dialect, list(printed))
    (counts,) = warehouse.rows(asked, campaign.audience.timeout)
    refuses = campaign.message.nulls == "refuse"
    return [
        Problem(
            "null-values",
            f"`{name}` is null in {count:,} {'row' if count == 1 else 'rows'} and is printed without a default",
            "those people will be refused" if refuses else "add `| default: '...'`, or leave those rows out in SQL",
            printed[name],
            Severity.warning,
        )
        for name, count in counts.items()
        if isinstance(count, int) and count
    ]


def wrap(
    project: Project,
    campaign: Campaign,
    warehouse: Warehouse,
    moment: Moment,
    salt: str = "",
    copied: Query | None = None,
) -> Wrapping:
    """The queries of a run. Raises UserError when the SQL or its columns do not do, or a window is needed.

    copied: reads the copy of the audience that the run has made.
    """
    if isinstance(campaign.trigger, Event) and (moment.since is None or moment.until is None):
        said = f"{campaign.name} answers to events, and nothing says to which"
        raise UserError.of("window-needed", said, "`connect run` takes `--since` and `--until`")
    timeout = campaign.audience.timeout
    values = _values(campaign, moment)
    asked = copied or _audience_query(campaign, warehouse, {**values, **_window(moment)})
    with placed_in(campaign.audience.written, campaign.file, warehouse.dialect):
        columns = tuple(warehouse.columns(asked, timeout))
        _must_have_a_header(campaign, columns)
    audience = Audience(asked.sql, asked.parameters, campaign.audience.key, columns)
    if copied is None:  # in the copy are those who were in the segments when it was made
        with placed_in(campaign.audience.written, campaign.file, warehouse.dialect):
            audience = in_segments(audience, campaign.audience, warehouse, values)
    optouts = _optouts(project, campaign, warehouse, values)
    asked_before = history.history_of(project, campaign, moment.fire_time)
    if asked_before is not None and asked_before.asks and project.destination is not None:
        history.must_be_there(warehouse, project)
    with placed_in(campaign.audience.written, campaign.file, warehouse.dialect):
        if asked_before is not None:
            once_columns(audience, asked_before)
        return Wrapping(warehouse.dialect, audience, optouts, salt, asked_before)


def _must_have_a_header(campaign: Campaign, columns: Sequence[Column]) -> None:
    """A file without a header has a person in its place: what stands there is not quoted, as names of columns are."""
    audience = campaign.audience
    if audience.sql is not None or audience.written is None:
        return
    names = (*audience.key, "email") if audience.key == DEFAULT_KEY else audience.key
    known = [name for name in names if find(columns, name)]
    if len(known) < (1 if audience.key == DEFAULT_KEY else len(names)):
        missing = next(name for name in names if name not in known)
        name = "the sheet" if audience.sheet else f"`{audience.written.source}`"
        said = f"{name} has no column `{missing}`, which is the audience's key"
        raise UserError.of("missing-column", said, "its first line must name the columns; `key` may be another one")


def _values(campaign: Campaign, moment: Moment) -> Mapping[str, object]:
    """What every query of a campaign may bind. The date is that of the trigger's zone."""
    fire_date = moment.fire_time.astimezone(ZoneInfo(campaign.trigger.timezone)).date()
    return {**parameters.bound(campaign, moment.parameters), "fire_time": moment.fire_time, "fire_date": fire_date}


def _window(moment: Moment) -> Mapping[str, object]:
    """What only the query of an event trigger binds: no opt-out depends on when somebody did something."""
    return {} if moment.since is None or moment.until is None else {"since": moment.since, "until": moment.until}


def _audience_query(campaign: Campaign, warehouse: Warehouse, values: Mapping[str, object]) -> Query:
    audience = campaign.audience
    if audience.people is not None:
        return query.people(audience.people, warehouse.dialect)
    if audience.sql is None:
        return Query(f"select * from {AUDIENCE}", {})
    return query.bound(audience.sql, warehouse.dialect, values)


def _optouts(project: Project, campaign: Campaign, warehouse: Warehouse, values: Mapping[str, object]) -> OptOuts:
    message = campaign.message
    channels = tuple(dict.fromkeys(content.channel for content in message.content))
    addresses: dict[Channel, str] = dict(lint.address_columns(campaign))
    asked: Query | None = None
    columns: tuple[Column, ...] = ()
    home: Warehouse | None = None
    if project.subscriptions is not None:
        home = _home(project.subscriptions.source, campaign, warehouse)
        there = home or warehouse
        asked = query.bound(project.subscriptions.sql, there.dialect, values)
        with subscriptions.asking(project.subscriptions, there.dialect):
            columns = tuple(there.columns(asked, campaign.audience.timeout))
    return OptOuts(
        sql=asked.sql if asked else None,
        parameters=asked.parameters if asked else {},
        columns=columns,
        subscribed_values=project.subscriptions.subscribed_values if project.subscriptions else (),
        transactional=message.transactional,
        topic=message.topic,
        addresses=addresses,
        channels=channels,
        home=home,
    )


def _home(source: str, campaign: Campaign, warehouse: Warehouse) -> Warehouse | None:
    """The warehouse with the opt-outs, where it is not the audience's own. People who are written out are in it."""
    audience = campaign.audience
    if audience.goes_anywhere or (audience.file is None and audience.source == source):
        return None
    if warehouse.capabilities.takes_rows:
        return cast(TakesRows, warehouse).others(source)
    raise UserError.of(
        "not-yet-supported",
        f"{campaign.name} reads from `{audience.source}` and opt-outs are in `{source}`: "
        "this warehouse can not read beside another one's opt-outs",
        "keep both in one warehouse",
    )
