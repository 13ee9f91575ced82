"""Where a request may go whose URL comes from data: nowhere on this machine, nor in its network."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest

from connect.providers.http import Client, NotWritten, Options
from connect.providers.http_guard import is_public, public_addresses
from connect.testing.api import Answer, ApiServer


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.0.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "192.0.2.7", "198.18.0.1", "203.0.113.9", "224.0.0.1", "255.255.255.255"),
        *("240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "::ffff:0:127.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "fec0::1"),
        *("2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101::", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
        *("192.0.0.192", "192.88.99.1", "168.63.129.16", "::ffff:192.0.0.192", "64:ff9b::a83f:8110", "3fff::1"),
        *("2600::200:5efe:10.0.0.1", "2600::5efe:7f00:1", "", "localhost", "not an address"),
    ],
)
def test_not_the_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("168.63.129.15", "192.0.1.1"),
        *("8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450:4001::200e"),
        *("::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"),
    ],
)
def test_the_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "::1"])
async def test_every_way_to_write_this_machine(host: str) -> None:
    with suppress(OSError):  # this system does not read it as an address at all
        assert await public_addresses(host, 80) == []


async def test_a_guarded_client_connects_to_nobody_here() -> None:
    with ApiServer(lambda call: Answer(200, b"secrets")) as server:
        port = server.url.rpartition(":")[2]
        async with Client(Options(timedelta(seconds=5), public_only=True)) as client:
            for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1"):
                with pytest.raises(NotWritten) as refused:
                    await client.post(f"http://{host}:{port}/", b"{}", {})
                assert refused.value.reason in ("private_address", "unreachable", "not_a_request")
        assert server.connections == 0


async def test_a_name_with_one_private_address_among_public_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a name that its owner changes between the look and the connection."""
    import asyncio

    loop = asyncio.get_running_loop()

    async def both(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", ("8.8.8.8", port)), (2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(loop, "getaddrinfo", both, raising=False)
    assert await public_addresses("rebinding.example", 80) == []
