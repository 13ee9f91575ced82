"""The URL that Twilio reports a message's state to: the account's webhook, with our correlation id in its query."""

from __future__ import annotations

from urllib.parse import parse_qsl

PARAMETER = "connect_id"


def callback(url: str, correlation_id: str) -> str:
    """The id has no character that a query would escape. A fragment stays at the end: it holds Twilio's connection
    overrides (www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides)."""
    address, mark, overrides = url.partition("#")
    joint = "&" if "?" in address else "?"
    return f"{address}{joint}{PARAMETER}={correlation_id}{mark}{overrides}"


def spellings(url: str, public: str | None) -> list[str]:
    """How Twilio may have spelt this URL when it signed: with and without the port, as its own libraries try it; and
    as the account has it, where a proxy changed scheme, host or path on the way. Never with the fragment."""
    found = []
    for each in (url, _as_public(url, public)):
        found += [each, _without_port(each), _with_port(each)]
    return list(dict.fromkeys(found))


def parameters(url: str) -> dict[str, str]:
    """The query; of several of one name, the last, which is ours."""
    return dict(parse_qsl(url.partition("#")[0].partition("?")[2], keep_blank_values=True))


def _as_public(url: str, public: str | None) -> str:
    """The query that came, behind the address that is configured."""
    address = url.partition("#")[0]
    if public is None:
        return address
    query = address.partition("?")[2]
    return public.partition("#")[0].partition("?")[0] + (f"?{query}" if query else "")


_PORTS = {"http": 80, "https": 443}


def _without_port(url: str) -> str:
    scheme, slashes, rest = url.partition("://")
    host, port = _host_and_port(rest)
    return f"{scheme}{slashes}{host}{rest[len(host) + len(port) :]}"


def _with_port(url: str) -> str:
    scheme, slashes, rest = url.partition("://")
    host, port = _host_and_port(rest)
    usual = port or f":{_PORTS.get(scheme, 443)}"
    return f"{scheme}{slashes}{host}{usual}{rest[len(host) + len(port) :]}"


def _host_and_port(rest: str) -> tuple[str, str]:
    """`host` and `:443` (or nothing) of what stands behind `https://`."""
    end = min((rest.find(mark) for mark in "/?#" if mark in rest), default=len(rest))
    host, colon, port = rest[:end].rpartition(":")
    return (host, colon + port) if colon and port.isdigit() else (rest[:end], "")
