"""A push message as FCM takes it (documented at firebase.google.com, REST reference of v1, `projects.messages`).

A device whose platform is known gets that platform's block alone; any other gets all of them.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from datetime import timedelta

from connect.channels.message import Device, Outgoing, Push
from connect.providers.api import json_bytes
from connect.providers.interface import Receipt, Status
from connect.vocabulary import Platform

MOST_BYTES = 4096
"""Of what reaches a device: the message without its address, and with one platform's block."""
_MOST_SECONDS = 28 * 24 * 3600
"""FCM keeps nothing longer, and refuses a `ttl` above this."""
_INSTALLATION_ID = re.compile(r"[cdef][A-Za-z0-9_-]{21}")
"""17 bytes in base64url that begin with the bits 0111, cut to 22 characters; tokens have over a hundred."""
_RESERVED = re.compile(r"from|message_type|google\..*|gcm\.notification\..*", re.DOTALL)
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")

Block = dict[str, object]


def body(outgoing: Outgoing, label: str, *, validate_only: bool) -> bytes | Receipt:
    """The request; or why FCM would refuse it."""
    push = outgoing.message
    assert isinstance(push, Push)
    if _reserved(push):
        return Receipt(Status.rejected_content, "reserved_data_key")
    message, blocks = _message(push, label), _blocks(push, outgoing.key.hex())
    to = _to(push.device)
    whole: Block = {"message": {**to, **message, **blocks}}
    if validate_only:
        whole["validateOnly"] = True
    request = json_bytes(whole)
    if len(request) > MOST_BYTES and _size(message, blocks) > MOST_BYTES:
        return Receipt(Status.rejected_content, "payload_too_large")
    return request


def _reserved(push: Push) -> bool:
    """Whether the app's data would stand where something else stands."""
    return any(_RESERVED.fullmatch(name) or (name == "url" and push.url) for name, _ in push.data)


def _size(message: Block, blocks: Mapping[str, Block]) -> int:
    return len(json_bytes(message)) + max((len(json_bytes(block)) for block in blocks.values()), default=0)


def _to(device: Device) -> Block:
    """By what the audience says it is, or else by its shape."""
    is_id = device.kind == "fcm_fid" or (not device.kind and _INSTALLATION_ID.fullmatch(device.address))
    return {"fid" if is_id else "token": device.address}


def _message(push: Push, label: str) -> Block:
    """What every platform gets."""
    shown = {"title": push.title, "body": push.body, "image": push.image}
    message: Block = {"notification": {name: value for name, value in shown.items() if value}}
    data = dict(push.data)
    if push.url:
        data["url"] = push.url
    if data:
        message["data"] = data
    if label:
        message["fcmOptions"] = {"analyticsLabel": label}
    return message


def _blocks(push: Push, key: str) -> dict[str, Block]:
    match push.device.platform:
        case Platform.android:
            return {"android": _android(push, key)}
        case Platform.ios:
            return {"apns": _apns(push, key)}
        case Platform.web:
            return {"webpush": _webpush(push, key)}
    return {"android": _android(push, key), "apns": _apns(push, key), "webpush": _webpush(push, key)}


def _android(push: Push, key: str) -> Block:
    """Sent again, a message replaces itself in the drawer (`tag`). A collapse key of each message's own would do
    harm: FCM keeps no more than four of them for a device that can not be reached."""
    notification: Block = {"tag": push.collapse_key or key}
    if push.sound:
        notification["sound"] = push.sound
    if push.badge:
        notification["notificationCount"] = push.badge
    block: Block = {"notification": notification}
    if push.ttl is not None:
        block["ttl"] = f"{_seconds(push.ttl)}s"
    if push.collapse_key:
        block["collapseKey"] = push.collapse_key
    return merged(block, camel(push.android)) if push.android else block


def _apns(push: Push, key: str) -> Block:
    """FCM makes `aps.alert` of the notification, and puts `data` beside it."""
    headers = {"apns-collapse-id": push.collapse_key or key}
    if push.ttl is not None:
        seconds = _seconds(push.ttl)
        headers["apns-expiration"] = str(int(time.time()) + seconds if seconds else 0)
    aps: Block = {}
    if push.badge is not None:
        aps["badge"] = push.badge
    if push.sound:
        aps["sound"] = push.sound
    if push.image:
        aps["mutable-content"] = 1  # only then does the app's extension get to fetch the picture
    payload: Block = merged({"aps": aps} if aps else {}, push.ios)
    return {"headers": headers, "payload": payload} if payload else {"headers": headers}


def _webpush(push: Push, key: str) -> Block:
    headers: dict[str, str] = {}
    if push.ttl is not None:
        headers["TTL"] = str(_seconds(push.ttl))
    if push.collapse_key:
        headers["Topic"] = _topic(push.collapse_key)
    block: Block = {"notification": {"tag": push.collapse_key or key}}
    if headers:
        block["headers"] = headers
    if push.url.startswith("https:"):  # FCM takes no other; the app still finds it in the data
        block["fcmOptions"] = {"link": push.url}
    return block


def _topic(collapse_key: str) -> str:
    """32 characters at most, of base64url's (RFC 8030, 5.4): of any other key, something that stands for it."""
    if _TOPIC.fullmatch(collapse_key):
        return collapse_key
    return hashlib.sha256(collapse_key.encode(errors="replace")).hexdigest()[:32]


def _seconds(ttl: timedelta) -> int:
    return min(max(int(ttl.total_seconds()), 0), _MOST_SECONDS)


_AFTER_LINE = re.compile(r"_([a-z])")


def camel(tree: Mapping[str, object]) -> Block:
    """Names as FCM's reference has them: `channel_id`, which it takes as well, would stand beside `channelId`. The
    names in `data` are the app's."""
    return {
        _AFTER_LINE.sub(lambda match: match[1].upper(), name): (
            camel(value) if isinstance(value, Mapping) and name != "data" else value
        )
        for name, value in tree.items()
    }


def merged(tree: Mapping[str, object], additions: Mapping[str, object]) -> Block:
    """Mappings merge, everything else is replaced."""
    made = dict(tree)
    for name, value in additions.items():
        known = made.get(name)
        made[name] = merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return made
