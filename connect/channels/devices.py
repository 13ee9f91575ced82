"""The devices of a person, from the columns that an audience has for them: `channels`, or `device_token`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connect.channels.message import Device
from connect.vocabulary import Platform


@dataclass(frozen=True, slots=True)
class Found:
    """A person's devices, each once, in the order of the columns."""

    devices: tuple[Device, ...] = ()
    bad: int = 0
    """Entries that are to be devices and can not be used: no address or none that may be one, an unknown platform or
    kind, no type. JSON that can not be read is one of them."""


def devices(channels: object, device_token: object, platform: object) -> Found:
    """What these cells say; null and blank ones say nothing.

    channels: a list of `{type: push, address, platform, kind}`, or just one, as JSON or as the warehouse's own lists
    and structs. `platform` and `kind` may be left out; entries of other types are passed over.
    device_token, platform: a token, or a list of them (as JSON too), and what it runs.
    """
    found = [*_of_channels(channels), *_of_tokens(device_token, platform)]
    if len(found) < 2:
        return Found(tuple(device for device in found if device), found.count(None))
    first: dict[str, Device] = {}
    for device in found:
        if device:
            first.setdefault(device.address, device)
    return Found(tuple(first.values()), found.count(None))


_PLATFORMS = {platform.value: platform for platform in Platform}
# `google` and `fcm` are not among them: FCM serves Apple's devices and browsers too.
_PLATFORMS |= dict.fromkeys(("apns", "apple", "ipad", "ipados", "iphone"), Platform.ios)

KINDS: dict[str, Platform | None] = {"apns": Platform.ios, "fcm_token": None, "fcm_fid": None, "sns_arn": None}
"""What an address may be, and the platform that this alone tells."""

_ADDRESS = re.compile(r"[!-~]{1,4096}")  # a token of FCM has about 160 characters; nobody promises how many


class _Unusable(Exception):
    """Of one entry. Caught here."""


def _of_channels(cell: object) -> Iterator[Device | None]:
    for entry in _list(cell):
        try:
            told = _structure(entry)
            if _word(told["type"]) == "push":
                yield _device(told.get("address"), told.get("platform"), told.get("kind"))
        except _Unusable:
            yield None


def _of_tokens(cell: object, platform: object) -> Iterator[Device | None]:
    for token in _tokens(cell):
        try:
            yield _device(token, platform)
        except _Unusable:
            yield None


def _tokens(cell: object) -> list[object]:
    """The tokens that are not blank. None begins as JSON does, so that this is told from a token."""
    json_or_none = not isinstance(cell, str) or cell.lstrip().startswith(("[", '"'))
    return [token for token in (_list(cell) if json_or_none else [cell]) if token != "" and not str(token).isspace()]


_BROKEN = object()
"""What stands for JSON that can not be read."""


def _list(cell: object) -> list[object]:
    """The entries of a list that are not null; what is no list is an only entry."""
    value = _read(cell) if isinstance(cell, str) else cell
    entries = value if isinstance(value, (list, tuple)) else [value]
    return [entry for entry in entries if entry is not None]


def _read(text: str) -> Any:
    """The value of JSON text; null where it is blank."""
    try:
        return json.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        return _BROKEN


def _structure(entry: object) -> Mapping[str, object]:
    """An entry's fields, `type` at least. Those of DuckDB's JSON[] come as texts."""
    value = _read(entry) if isinstance(entry, str) else entry
    if not isinstance(value, Mapping) or not _word(value.get("type")):
        raise _Unusable
    return value


def _word(value: object) -> str:
    """A word in lower case; blank for null."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _Unusable
    return value.strip().lower()


def _device(address: object, platform: object, kind: object = None) -> Device:
    trimmed = address.strip() if isinstance(address, str) else ""
    runs, is_a = _word(platform), _word(kind)
    if not _ADDRESS.fullmatch(trimmed) or (runs and runs not in _PLATFORMS) or (is_a and is_a not in KINDS):
        raise _Unusable
    return Device(trimmed, _PLATFORMS.get(runs) or KINDS.get(is_a), is_a)
