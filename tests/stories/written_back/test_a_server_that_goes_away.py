"""The server with the audience and the deliveries is out for a while: the run says what it waits for, and goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from connect.testing.postgres import NoServer, PostgresServer
from connect.testing.smtp import SmtpServer
from connect.warehouses import catalog
from connect.warehouses.interface import Source
from tests.stories.written_back.conftest import Home
from tests.stories.written_back.test_nothing_is_missing import PEOPLE, mailed_by, until_heard


@pytest.fixture
def cluster() -> Iterator[PostgresServer]:
    """A server of its own: others would miss it."""
    try:
        server = PostgresServer()
    except NoServer as why:
        pytest.skip(str(why))
    with server:
        yield server


@pytest.fixture
def shop_there(shop: Any, cluster: PostgresServer, server: SmtpServer, tmp_path: Path) -> Home:
    url = cluster.url(cluster.create()).replace("+psycopg", "")
    adapter = catalog.load("postgresql")
    warehouse = adapter(Source("shop", adapter.Settings.model_validate({"url": url}), tmp_path))
    home: Home = mailed_by(Home(shop, SimpleNamespace(warehouse=warehouse), url), server)
    return home


def test_nothing_is_missing_and_nobody_hears_twice(
    shop_there: Home, cluster: PostgresServer, server: SmtpServer
) -> None:
    shop = shop_there.shop
    process = shop.start("run", "hello", "--yes")
    until_heard(server, 40, process)
    cluster.stop()
    while "waiting: destination `shop`" not in (shown := shop.connect("runs", "show", shop_there.run_id()).out):
        assert process.poll() is None, process.communicate()
    assert "running" in shown
    cluster.start()
    assert shop.ended(process).code == 0
    heard = Counter(message.recipients[0] for message in server.messages)
    assert (len(heard), set(heard.values())) == (PEOPLE, {1})
    assert shop_there.written() == {("email", "sent", ""): PEOPLE}
    shop_there.each_once()
    assert "destination" in shop.connect("runs", "show", shop_there.run_id()).out  # what it waited for, then
