"""The audience of a run as a table in the user's own warehouse, for as long as the run lasts.

    made      before anybody is read. An engine makes such a table whole or not at all: one that is there is complete
    read      by the run, its waves and its resumes; opt-outs are asked for as they are at each read
    dropped   when the run has ended, whichever way; `connect runs prune` drops what could not be dropped then

Nothing of it is anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from connect.errors import ConnectError, OutsideError, Problem, UserError
from connect.ledger.records import RunRecord, Slice
from connect.pipeline.bundle import Bundle
from connect.pipeline.sources import OpenSource
from connect.project.audience import Audience as AudienceWritten
from connect.project.campaign import Campaign
from connect.project.project import Project
from connect.warehouses.interface import Column, Query, Warehouse
from connect.warehouses.wrapping import Audience, Wrapping

_NAME = "connect_audience_"
_DROPPING = timedelta(minutes=2)
_AT_ONCE = 100


def problems(campaign: Campaign, warehouse: Warehouse) -> list[Problem]:
    """What is wrong with the wish for one."""
    if not campaign.audience.snapshot or warehouse.capabilities.writes:
        return []
    message = f"`snapshot` copies the audience into a table, and `{campaign.audience.source}` can not be written to"
    return [Problem("snapshot-unsupported", message, "leave it out, or read from a warehouse that takes tables")]


def scratch_of(project: Project, source: str) -> str | None:
    """The schema for copies; None for the one that the user's statements use."""
    entry = project.sources.get(source)
    return getattr(entry.settings, "scratch", None) if entry else None


def table_of(project: Project, audience: AudienceWritten, run_id: str) -> str:
    """Where the audience of a run is copied to, as SQL writes it."""
    scratch = scratch_of(project, audience.source)
    return f"{scratch}.{_NAME}{run_id}" if scratch else f"{_NAME}{run_id}"


@dataclass
class Snapshot:
    """The copy of one run's audience."""

    warehouse: Warehouse
    table: str
    timeout: timedelta
    _columns: tuple[Column, ...] | None = field(default=None, init=False)

    @classmethod
    def of(cls, project: Project, campaign: Campaign, warehouse: Warehouse, run_id: str) -> Snapshot | None:
        """None where the campaign asks for none."""
        audience = campaign.audience
        return cls(warehouse, table_of(project, audience, run_id), audience.timeout) if audience.snapshot else None

    @property
    def query(self) -> Query:
        return Query(f"select * from {self.table}", {})

    def exists(self) -> bool:
        """Whether the copy is there, and so complete."""
        try:
            self._columns = tuple(self.warehouse.columns(self.query, self.timeout))
        except UserError:
            self._columns = None
        return self._columns is not None

    def make(self, audience: Audience, slices: Sequence[Slice]) -> None:
        """Copy the audience, unless that was done. Raises OutsideError where a run that has begun has lost its copy."""
        if self.exists():
            return
        if any(slice.cursor or slice.ended for slice in slices):
            raise _gone(self.table)
        copied = self.warehouse.dialect.copied(self.table, audience.sql)
        try:
            self.warehouse.write([Query(copied, audience.parameters)], self.timeout)
        except ConnectError:
            if not self.exists():  # else another process that works on this run was quicker, or the answer was lost
                raise
        if self._columns is None and not self.exists():
            raise _gone(self.table)

    def over(self, wrapping: Wrapping) -> Wrapping:
        """The queries of the run over the copy; over the audience itself as long as there is none."""
        if self._columns is None and not self.exists():
            return wrapping
        assert self._columns is not None
        asked = self.query
        copied = replace(wrapping.audience, sql=asked.sql, parameters=asked.parameters, columns=self._columns)
        return replace(wrapping, audience=copied)

    def drop(self) -> None:
        """Raises OutsideError where it can not be dropped now."""
        try:
            self.warehouse.write([_dropping(self.table)], _DROPPING)
        except ConnectError as problem:
            raise _left(self.table, problem) from None

    def stop(self) -> None:
        """End what the warehouse is doing, from whichever thread."""
        self.warehouse.close()


def drop_of(project: Project, run: RunRecord, opened: OpenSource) -> None:
    """Drop the copy of a run that was ended by hand. Raises OutsideError where that can not be done now."""
    for source, (table,) in _with_a_copy(project, [run]).items():
        warehouse = opened(project, source)
        try:
            Snapshot(warehouse, table, _DROPPING).drop()
        finally:
            warehouse.close()


def drop_all(project: Project, runs: Iterable[RunRecord], opened: OpenSource) -> None:
    """Drop the copies of these runs that are still there, but for those of runs that have not ended."""
    for source, tables in _with_a_copy(project, [run for run in runs if run.state.ended]).items():
        warehouse = opened(project, source)
        try:
            for first in range(0, len(tables), _AT_ONCE):
                warehouse.write([_dropping(table) for table in tables[first : first + _AT_ONCE]], _DROPPING)
        finally:
            warehouse.close()


def _with_a_copy(project: Project, runs: Iterable[RunRecord]) -> Mapping[str, list[str]]:
    """Source → the tables of those runs that make one. Sources that the project has no more are left out."""
    found: dict[str, list[str]] = {}
    for run in runs:
        if '"snapshot":true' not in run.campaign_json:  # most have none, and reading a campaign takes a while
            continue
        audience = Bundle.model_validate_json(run.campaign_json).campaign.audience
        if audience.snapshot and audience.source in project.sources:
            found.setdefault(audience.source, []).append(table_of(project, audience, run.id))
    return found


def _dropping(table: str) -> Query:
    return Query(f"drop table if exists {table}", {})


def _gone(table: str) -> OutsideError:
    message = f"{table}, the copy of the audience that this run reads, is not there any more"
    hint = "`connect runs cancel` ends the run; a new one copies its audience anew"
    return OutsideError.of("snapshot-missing", message, hint)


def _left(table: str, problem: ConnectError) -> OutsideError:
    why = problem.problems[0].message if problem.problems else "it was stopped"
    message = f"the run has ended, and {table}, the copy of its audience, could not be dropped: {why}"
    return OutsideError.of("snapshot-left", message, "`connect runs prune` drops it")
