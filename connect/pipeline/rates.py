"""Configured rates: no more than so many messages in any second (minute, hour, day), whoever sends them."""

from __future__ import annotations

from dataclasses import dataclass

from connect.ledger.records import Bucket
from connect.project.types import Rate
from connect.vocabulary import Mode


@dataclass(frozen=True, slots=True)
class Limit(Bucket):
    """A bucket of the ledger, and the rate that it is for, as it was written."""

    rate: Rate


def bucket_of_account(name: str, rate: Rate) -> Limit:
    """What all campaigns that send by this account share."""
    return _limit(f"account/{name}", rate)


def bucket_of_campaign(mode: Mode, name: str, rate: Rate) -> Limit:
    """What all runs of a campaign share."""
    return _limit(f"campaign/{mode}/{name}", rate)


def _limit(name: str, rate: Rate) -> Limit:
    return Limit(name, rate.per / rate.count * 1.05, rate)
