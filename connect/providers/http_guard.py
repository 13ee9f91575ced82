"""Which addresses of the internet a request may go to, when its URL may come from data.

A name is looked up once, every address that it has is judged, and the connection is made to one that was judged: a
name that answers differently the second time gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_ODD = (
    IPv6Network("64:ff9b:1::/48"),  # RFC 8215: NAT64 of a local network
    IPv6Network("::/96"),  # RFC 4291 2.5.5.1: IPv4-compatible, deprecated
    IPv6Network("::ffff:0:0:0/96"),  # RFC 2765: IPv4-translated
    IPv6Network("fec0::/10"),  # RFC 3879: site-local, deprecated
    IPv6Network("3fff::/20"),  # RFC 9637: for documentation
)
_INSIDE = (
    IPv4Network("192.0.0.0/24"),  # RFC 6890: of protocols. Oracle's cloud has its metadata at 192.0.0.192
    IPv4Network("192.88.99.0/24"),  # RFC 7526: 6to4 relays, deprecated
    IPv4Network("168.63.129.16/32"),  # learn.microsoft.com, "What is IP address 168.63.129.16?": Azure's own host
)
"""That look like anybody's to the standard library, or to its older versions."""
_NOBODY = IPv4Address(0)
_ISATAP = (0x5EFE, 0x200_5EFE)  # RFC 5214: ahead of an IPv4 address
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")  # RFC 2765, IPv4-translated


def is_public(address: str) -> bool:
    """Whether this address is anybody's on the internet, and none of this machine's or its network's."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(_is_public(each) for each in _all(found))


def _is_odd(address: IPv6Address) -> bool:
    """One that nobody on the internet has."""
    isatap = (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP
    return isatap or address.teredo is not None or any(address in network for network in _ODD)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    inside = isinstance(address, IPv4Address) and any(address in network for network in _INSIDE)
    return address.is_global and not inside and not address.is_multicast and not address.is_reserved


def _all(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """The address, or the IPv4 address that a gateway would make of it."""
    if isinstance(address, IPv4Address):
        yield address
        return
    last = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address in _NAT64:
        yield last
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif _is_odd(address):
        yield _NOBODY
    else:
        yield address


async def public_addresses(host: str, port: int) -> list[str]:
    """Every address of a host, if all of them are public; else none. Raises OSError where there is none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    addresses = list(dict.fromkeys(str(where[0]) for *_, where in found))
    return addresses if all(map(is_public, addresses)) else []
