"""Figures for machines: stable keys, counts and shares as numbers."""

from __future__ import annotations

from connect.reports.groups import Group
from connect.reports.measures import Figure, Figures


def figures_as_json(figures: Figures) -> dict[str, object]:
    """What has not been reported is not there."""
    return {measure.value: _figure(figure) for measure, figure in figures.items()}


def _figure(figure: Figure) -> dict[str, object]:
    rate = figure.rate
    return {
        "total": figure.total,
        "unique": figure.unique,
        "rate": round(rate.share, 6) if rate else None,
        "of": rate.of if rate else None,
        "base": rate.base if rate else None,
    }


def group_as_json(group: Group) -> dict[str, object]:
    return {
        "name": group.name,
        "figures": figures_as_json(group.figures),
        "reasons": [{"outcome": one.outcome.value, "reason": one.reason, "count": one.count} for one in group.reasons],
    }
