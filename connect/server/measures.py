"""What `/metrics` tells: every name with its unit, and its labels, as docs/metrics.md has them in words.

A label is a name of connect.yml, a word of the vocabulary, a route or a status: a closed set, and never a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from connect.ledger.records import Census
from connect.pipeline.counters import Labels
from connect.vocabulary import Mode

LATE = timedelta(seconds=60)
"""A daemon that has said nothing for so long is not counted."""


@dataclass(frozen=True)
class Measure:
    """One metric, without `connect_` before its name."""

    help: str
    labels: tuple[str, ...] = ()


COUNTED: Mapping[str, Measure] = {
    "requests": Measure("Requests that were answered.", ("route", "method", "status")),
    "webhooks": Measure("Webhooks of providers, by what became of them.", ("account", "answer")),
    "events": Measure("Events that providers reported, each counted once.", ("account", "type")),
    "optouts": Measure("Opt-outs that were taken, by where they were written first.", ("into",)),
    "optouts_drained": Measure("Opt-outs that were held, and are in the warehouse now."),
    "visits_lost": Measure("Openings and clicks that could not be counted."),
    "outgoing_webhooks": Measure("What endpoints of `webhooks` were told.", ("webhook", "result")),
}
"""By the name under which it is counted (`connect.pipeline.counters`); `_total` comes behind it."""

STANDING: Mapping[str, Measure] = {
    "ledger_reachable": Measure("Whether the ledger answered this scrape: 1 or 0."),
    "runs": Measure("Runs that have not ended.", ("mode", "state")),
    "queue_lag_seconds": Measure("How long the oldest run that is queued has waited since its fire time.", ("mode",)),
    "daemons": Measure("Daemons that have been heard of within a minute.", ("mode",)),
    "daemon_runs": Measure("Runs that those daemons work on.", ("mode",)),
    "last_run_deliveries": Measure("Deliveries of the campaign's last live run.", ("campaign", "channel", "outcome")),
    "last_run_state": Measure("1 for the state of the campaign's last live run.", ("campaign", "state")),
    "last_success_timestamp_seconds": Measure("When a live run was last completed, in Unix time.", ("campaign",)),
    "optouts_held": Measure("Opt-outs that wait in the ledger for the warehouse."),
    "outgoing_webhooks_waiting": Measure("What waits in memory for an endpoint.", ("webhook",)),
}
"""Asked anew for each scrape."""


def counted(counts: Mapping[tuple[str, Labels], int]) -> Iterator[Metric]:
    """Everything that this process has counted so far."""
    for name, measure in COUNTED.items():
        family = CounterMetricFamily(f"connect_{name}", measure.help, labels=measure.labels)
        for (each, labels), count in counts.items():
            if each == name:
                given = dict(labels)
                family.add_metric([given.get(label, "") for label in measure.labels], count)
        yield family


def standing(census: Census | None, waiting: Mapping[str, int]) -> Iterator[Metric]:
    """How things stand; without a census where the ledger does not answer."""
    yield _gauge("ledger_reachable", {(): int(census is not None)})
    yield _gauge("outgoing_webhooks_waiting", {(name,): count for name, count in waiting.items()})
    if census is not None:
        yield from _of_runs(census)
        yield from _of_last_runs(census)
        yield _gauge("optouts_held", {(): census.held})


def _of_runs(census: Census) -> Iterator[Metric]:
    since = census.queued_since
    lag: dict[tuple[str, ...], float] = {
        (mode,): max(0.0, (census.now - since.get(mode, census.now)).total_seconds()) for mode in Mode
    }
    alive = [daemon for daemon in census.daemons if census.now - daemon.beat_at < LATE]
    yield _gauge("runs", {(mode, state): count for (mode, state), count in census.runs.items()})
    yield _gauge("queue_lag_seconds", lag)
    yield _gauge("daemons", {(mode,): sum(each.mode is mode for each in alive) for mode in Mode})
    yield _gauge("daemon_runs", {(mode,): sum(each.runs for each in alive if each.mode is mode) for mode in Mode})


def _of_last_runs(census: Census) -> Iterator[Metric]:
    last = census.last
    yield _gauge(
        "last_run_deliveries",
        {(run.campaign, *kind): count for run in last for kind, count in run.deliveries.items()},
    )
    yield _gauge("last_run_state", {(run.campaign, run.state): 1 for run in last})
    yield _gauge(
        "last_success_timestamp_seconds",
        {(run.campaign,): run.completed_at.timestamp() for run in last if run.completed_at},
    )


def _gauge(name: str, values: Mapping[tuple[str, ...], float]) -> Metric:
    measure = STANDING[name]
    family = GaugeMetricFamily(f"connect_{name}", measure.help, labels=measure.labels)
    for labels, value in values.items():
        family.add_metric([str(label) for label in labels], value)
    return family
