"""A push message as APNs takes it: headers and a payload (documented at developer.apple.com, "Generating a remote
notification" and "Sending notification requests to APNs")."""

from __future__ import annotations

import re
from collections.abc import Mapping

from connect.channels.message import Outgoing, Push
from connect.providers.api import json_bytes
from connect.providers.interface import Receipt, Status

MOST_BYTES = 4096
"""Of a payload; 5,120 for calls over IP (`voip`)."""
MOST_VOIP_BYTES = 5120
_COLLAPSE_ID = re.compile(r"[!-~](?:[ -~]{0,62}[!-~])?")
_DEVICE_TOKEN = re.compile(r"[0-9a-fA-F]{1,200}")
"""Hexadecimal, of a length that Apple does not promise; 64 digits today."""


def unsendable(push: Push) -> Receipt | None:
    """What can not be put into a request is refused, and never left out."""
    if not _DEVICE_TOKEN.fullmatch(push.device.address):
        return Receipt(Status.rejected_recipient, "bad_device_token")
    if push.collapse_key and not _COLLAPSE_ID.fullmatch(push.collapse_key):
        return Receipt(Status.rejected_content, "bad_collapse_key")
    return Receipt(Status.rejected_content, "reserved_data_key") if _taken(push) else None


def _taken(push: Push) -> bool:
    """Whether the app's data would stand where something else stands."""
    names = {name for name, _ in push.data}
    return "aps" in names or bool(push.url and "url" in names) or bool(push.image and "image" in names)


def body(push: Push, most: int) -> bytes | Receipt:
    """The payload; or that it is too large, which APNs would only say."""
    payload = json_bytes(_payload(push))
    return payload if len(payload) <= most else Receipt(Status.rejected_content, "payload_too_large")


def headers(outgoing: Outgoing, push: Push, now: float) -> dict[str, str]:
    """What differs between messages. Sent again, a message replaces itself on the device (`apns-collapse-id`)."""
    found = {"apns-id": apns_id(outgoing.key), "apns-collapse-id": push.collapse_key or outgoing.key.hex()}
    if push.ttl is not None:  # 0 is "now or never"; without the header, APNs keeps it as long as it likes to
        seconds = int(push.ttl.total_seconds())
        found["apns-expiration"] = str(int(now) + seconds if seconds > 0 else 0)
    return found


def apns_id(key: bytes) -> str:
    """The message key as a UUID, of the version for hashes of names (RFC 9562): the same for the same message."""
    text = key.hex()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def _payload(push: Push) -> Mapping[str, object]:
    aps: dict[str, object] = {"alert": _alert(push)}
    if push.badge is not None:
        aps["badge"] = push.badge
    if push.sound:
        aps["sound"] = push.sound
    payload: dict[str, object] = {"aps": aps}
    if push.image:
        aps["mutable-content"] = 1  # only then does the app's extension get to fetch the picture
        payload["image"] = push.image
    if push.url:
        payload["url"] = push.url
    payload.update(push.data)
    return merged(payload, push.ios) if push.ios else payload


def _alert(push: Push) -> dict[str, str]:
    if not push.title:
        return {"body": push.body}
    return {"title": push.title, "body": push.body} if push.body else {"title": push.title}


def merged(tree: Mapping[str, object], additions: Mapping[str, object]) -> dict[str, object]:
    """Mappings merge, everything else is replaced."""
    made = dict(tree)
    for name, value in additions.items():
        known = made.get(name)
        made[name] = merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return made
