"""What calls have in common is kept between them, and is never older than what it was made of."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connect.testing.serving import served
from connect.testing.smtp import SmtpServer
from tests.stories.called_from_outside.conftest import Shop

CLEO = {"id": "3", "email": "cleo@example.com", "name": "Cleo", "total": 1}


@pytest.fixture
def mail() -> Iterator[SmtpServer]:
    with SmtpServer(starttls=False, auth=False) as server:
        yield server


@pytest.fixture
def mailing(root: Path, keys: dict[str, str], mail: SmtpServer) -> Iterator[Any]:
    text = (root / "connect.yml").read_text()
    by_mail = f"{{type: smtp, host: {mail.host}, port: {mail.port}, security: none}}"
    (root / "connect.yml").write_text(re.sub(r"\{type: memory\}", by_mail, text))
    with served(root) as server:
        yield Shop(server, keys)


def said(mail: SmtpServer) -> list[str]:
    found = (re.search(rb"^Subject: (.*?)\r?$", one.content, re.MULTILINE) for one in mail.messages)
    return [one[1].decode() for one in found if one]


def sent(shop: Any, **more: object) -> Any:
    answer = shop.ask("POST", "/messages/receipt", {"recipients": [{**CLEO, **more}]})
    assert answer.status == 200, answer.body
    (recipient,) = answer.body["recipients"]
    return [(one["outcome"], one["reason"]) for one in recipient["deliveries"]]


def until(is_so: Any) -> None:
    for _ in range(12_000):
        if is_so():
            return
        time.sleep(0.005)
    raise AssertionError("it never came to be so")


def test_one_connection_carries_one_call_after_the_other(mailing: Any, mail: SmtpServer) -> None:
    assert [sent(mailing, total=number) for number in range(3)] == [[("sent", "")]] * 3
    assert (len(mail.messages), mail.connections) == (3, 1)


def test_a_connection_that_the_server_closed_puts_nobody_in_doubt(mailing: Any, mail: SmtpServer) -> None:
    sent(mailing)
    mail.hang_up()
    assert sent(mailing) == [("sent", "")]
    assert (len(mail.messages), mail.connections) == (2, 2)


def test_what_is_written_anew_holds_from_the_next_call_on(mailing: Any, mail: SmtpServer, root: Path) -> None:
    sent(mailing)
    message = root / "messages" / "receipt.yml"
    message.write_text(message.read_text().replace("Your receipt", "What you bought"))
    mailing.served.site.house.reload()
    sent(mailing)
    assert said(mail) == ["Your receipt", "What you bought"]
    until(lambda: mail.open == 1)  # that of the version before is closed
    assert mail.connections == 2


def test_the_end_of_the_server_closes_them(root: Path, keys: dict[str, str], mail: SmtpServer, mailing: Any) -> None:
    with served(root) as server:
        sent(Shop(server, keys))
        assert mail.open == 1
    until(lambda: mail.open == 0)


def test_an_opt_out_between_two_calls_is_heeded(shop: Any, root: Path) -> None:
    import duckdb

    called = {"parameters": {"days": 2}, "recipients": [CLEO]}
    assert shop.trigger("delayed", called).body["outcomes"]["sent"] == 1
    with duckdb.connect(str(root / "shop.duckdb")) as connection:
        connection.execute("insert into opt_outs (id, status) values ('3', 'unsubscribed')")
    assert shop.trigger("delayed", called).body["outcomes"]["skipped"] == 1


def test_a_table_that_changes_between_two_calls_is_no_trouble_for_long(shop: Any, root: Path) -> None:
    import duckdb

    sent(shop)
    with duckdb.connect(str(root / "shop.duckdb")) as connection:
        connection.execute("alter table opt_outs rename column address to old_address")
    mended = (root / "connect.yml").read_text().replace("id, address, status", "id, status")
    assert shop.ask("POST", "/messages/receipt", {"recipients": [CLEO]}).status in (422, 502)
    (root / "connect.yml").write_text(mended)
    shop.served.site.house.reload()
    assert sent(shop) == [("sent", "")]
