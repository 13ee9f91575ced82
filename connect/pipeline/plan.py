"""What a run is going to do, known before it does anything: its fire time, its audience and how large that is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from connect.errors import UserError
from connect.identity import SealBroken
from connect.ledger.records import RunRecord
from connect.ledger.store import Ledger
from connect.liquid.template import Library
from connect.pipeline import safety
from connect.pipeline.audience import Sizes, sizes
from connect.pipeline.bundle import Bundle
from connect.project.campaign import Campaign
from connect.project.project import Project
from connect.schedule.due import latest_due
from connect.vocabulary import CampaignStatus, Mode, RunState
from connect.warehouses.interface import Warehouse
from connect.warehouses.wrapping import Audience, OptOuts
