"""The shop, with a table for opt-outs."""

from __future__ import annotations

from typing import Any

import pytest

LETTER = """
status: live
trigger: {type: immediate}
audience:
  sql: select * from people
  limits: {max: 1000}
message:
  topic: news
  content:
    - channel: email
      from: Shop <hello@shop.example>
      subject: Good day
      text: "Good day {{ url.unsubscribe_link }}"
    - channel: sms
      body: Good day
"""
WRITTEN = """
subscriptions: {write: connect_opt_outs}
unsubscribe: {url: "https://shop.example/leave"}
"""


@pytest.fixture
def listing(shop: Any) -> Any:
    """Nine people, a campaign of e-mail and SMS with the topic `news`, and an empty table for opt-outs."""
    shop.people(9)
    shop.campaign(LETTER)
    shop.configure(more=WRITTEN)
    assert shop.connect("subscriptions", "init", "--yes").code == 0
    return shop
