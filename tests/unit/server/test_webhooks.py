"""Every reason for which an adapter refuses a webhook has an answer of its own."""

from __future__ import annotations

import re
from pathlib import Path

from connect import providers
from connect.server.webhooks import REFUSALS

FOLDER = Path(providers.__file__).parent


def test_every_reason_has_an_answer() -> None:
    given = {
        reason for file in FOLDER.glob("*.py") for reason in re.findall(r'EventsRefused\("(\w+)"\)', file.read_text())
    }
    assert len(given) > 5
    assert given <= REFUSALS.keys()
    assert len({code for code, _, _ in REFUSALS.values()}) == len(REFUSALS)
