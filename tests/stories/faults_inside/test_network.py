"""Names that do not resolve: at the start, and in the middle of a run; later they do."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from typing import Any

import pytest

from connect.executors import loops
from connect.testing.smtp import SmtpServer

PEOPLE = 60
NOWHERE = "mail.shop.invalid"  # RFC 2606: a name that never resolves


def received(server: SmtpServer) -> Counter[str]:
    return Counter(address for message in server.messages for address in message.recipients)


def test_a_host_that_does_not_resolve_pauses_the_run(shop: Any, server: SmtpServer, shows: Any, goes_on: Any) -> None:
    shop.people(PEOPLE)
    shop.configure_smtp(server, host=NOWHERE)

    ended = shop.run()

    assert (ended.code, ended.error.code) == (3, "smtp-unreachable")
    assert NOWHERE in ended.error.message
    shows(shop, "paused", NOWHERE)
    shop.configure_smtp(server)
    goes_on(shop, lambda: received(server))


class Resolver:
    """The system's own, which knows the server's name no more once the server has taken 30 messages."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, server: SmtpServer) -> None:
        self._ask, self._server = socket.getaddrinfo, server
        self.comes_back_after, self.asked_in_vain = 10**9, 0
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: Any, *arguments: Any, **options: Any) -> Any:
        knows = len(self._server.messages) < 30 or self.asked_in_vain >= self.comes_back_after
        if knows or host != self._server.host:
            return self._ask(host, *arguments, **options)
        self.asked_in_vain += 1
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch, server: SmtpServer) -> Resolver:
    monkeypatch.setattr(loops, "event_loop", asyncio.new_event_loop)  # uvloop asks the system without Python
    return Resolver(monkeypatch, server)


def test_names_that_stop_resolving_for_a_while_cost_nobody_their_message(
    shop: Any, server: SmtpServer, resolver: Resolver, in_a_moment: None
) -> None:
    """Each message takes a connection of its own, so that each needs the name."""
    shop.people(PEOPLE)
    shop.configure_smtp(server, concurrency=2, messages_per_connection=1)
    resolver.comes_back_after = 25

    ended = shop.run("hello", "--json")

    assert resolver.asked_in_vain == 25
    assert ended.code == 0
    assert ended.counts == {("email", "sent", ""): PEOPLE}
    assert set(received(server).values()) == {1}


def test_names_that_stay_away_pause_the_run(
    shop: Any, server: SmtpServer, resolver: Resolver, in_a_moment: None, shows: Any, goes_on: Any
) -> None:
    shop.people(PEOPLE)
    shop.configure_smtp(server, concurrency=2, messages_per_connection=1)

    ended = shop.run()

    assert (ended.code, ended.error.code) == (3, "provider-down")
    shows(shop, "paused", "has taken no message.*unreachable")
    resolver.comes_back_after = 0
    goes_on(shop, lambda: received(server))
