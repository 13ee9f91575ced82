"""What SNS is asked to publish: a push message to one endpoint, or a text message to one number.

Publish of the Query protocol: "Publishing Amazon SNS notifications with platform-specific payloads", "Using Amazon SNS
message attributes for mobile push notifications" and "Sending SMS messages", docs.aws.amazon.com/sns/latest/dg.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

from connect.channels.message import Push, Sms
from connect.providers.api import json_bytes
from connect.providers.interface import Receipt, Status
from connect.vocabulary import Platform

MOST_BYTES = 4096
"""Of a payload: APNs's limit, and FCM's."""

_ENDPOINT = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:endpoint/([A-Z_]+)/[^/\s]+/[^/\s]+")
_APPLE = {"APNS", "APNS_SANDBOX", "MACOS", "MACOS_SANDBOX"}
_GOOGLE = "GCM"
"""Firebase goes by its old name, in ARNs and payloads."""

Attributes = dict[str, tuple[str, str]]
"""Name → (type, value)."""
_COLLAPSE_ID = re.compile(r"[!-~](?:[ -~]{0,62}[!-~])?")
"""Of APNs: 64 bytes."""
_NUMBER = re.compile(r"\+?[0-9]{4,15}")


def publish(fields: Mapping[str, str], attributes: Attributes) -> bytes:
    """The body of a call."""
    return urlencode([*_OPERATION, *fields.items(), *_entries(attributes)], errors="replace").encode()


_OPERATION = (("Action", "Publish"), ("Version", "2010-03-31"))


def _entries(attributes: Attributes) -> Iterator[tuple[str, str]]:
    for number, (name, (kind, value)) in enumerate(attributes.items(), 1):
        entry = f"MessageAttributes.entry.{number}"
        yield f"{entry}.Name", name
        yield f"{entry}.Value.DataType", kind
        yield f"{entry}.Value.StringValue", value


def text(sms: Sms, attributes: Attributes) -> bytes:
    """A text message, with the attributes of the account."""
    sender = sender_attribute(sms.sender) if sms.sender else {}
    if sender:
        attributes = {name: each for name, each in attributes.items() if name not in _SENDERS} | sender
    return publish({"PhoneNumber": sms.to, "Message": sms.body}, attributes)


_SENDER_ID, _ORIGINATION_NUMBER = _SENDERS = ("AWS.SNS.SMS.SenderID", "AWS.MM.SMS.OriginationNumber")


def sender_attribute(sender: str) -> Attributes:
    """Who a text message comes from: a number or short code of the account, or a name that stands for one."""
    return {_ORIGINATION_NUMBER if _NUMBER.fullmatch(sender) else _SENDER_ID: ("String", sender)}


def push(message: Push) -> bytes | Receipt:
    """A push message; or why there can be none."""
    found = _ENDPOINT.fullmatch(message.device.address)
    if found is None:  # a token, or a topic: which would be everybody
        return Receipt(Status.rejected_recipient, "not_an_endpoint")
    service = found.group(1)
    if service not in _APPLE and service != _GOOGLE:
        return Receipt(Status.rejected_recipient, "unsupported_platform")
    if service in _APPLE and message.collapse_key and not _COLLAPSE_ID.fullmatch(message.collapse_key):
        return Receipt(Status.rejected_content, "bad_collapse_key")
    if _taken(message, service):
        return Receipt(Status.rejected_content, "reserved_data_key")
    payload = json_bytes(_firebase(message) if service == _GOOGLE else _apple(message))
    if len(payload) > MOST_BYTES:
        return Receipt(Status.rejected_content, "payload_too_large")
    shown = message.body or message.title
    structure = json_bytes({"default": shown, service: payload.decode()}).decode()
    fields = {"TargetArn": message.device.address, "MessageStructure": "json", "Message": structure}
    return publish(fields, _attributes(message, service))


def _taken(message: Push, service: str) -> bool:
    """Whether the app's data would stand where something else stands."""
    names = {name for name, _ in message.data}
    reserved = {"aps"} if service in _APPLE else set()
    if message.url:
        reserved.add("url")
    if message.image and service in _APPLE:
        reserved.add("image")
    return bool(names & reserved)


def _attributes(message: Push, service: str) -> Attributes:
    found: Attributes = {}
    if message.ttl is not None:
        name = "FCM" if service == _GOOGLE else service
        found[f"AWS.SNS.MOBILE.{name}.TTL"] = ("String", _seconds(message))
    if service in _APPLE:
        found["AWS.SNS.MOBILE.APNS.PUSH_TYPE"] = ("String", "alert")
        if message.collapse_key:
            found["AWS.SNS.MOBILE.APNS.COLLAPSE_ID"] = ("String", message.collapse_key)
    return found


def _seconds(message: Push) -> str:
    return str(int(message.ttl.total_seconds())) if message.ttl is not None else ""


def _apple(message: Push) -> Mapping[str, object]:
    """As APNs takes it: "Generating a remote notification", developer.apple.com."""
    aps: dict[str, object] = {"alert": _shown(message)}
    if message.badge is not None:
        aps["badge"] = message.badge
    if message.sound:
        aps["sound"] = message.sound
    payload: dict[str, object] = {"aps": aps}
    if message.image:
        aps["mutable-content"] = 1  # only then does the app's extension get to fetch the picture
        payload["image"] = message.image
    if message.url:
        payload["url"] = message.url
    return _merged({**payload, **dict(message.data)}, message.ios)


def _firebase(message: Push) -> Mapping[str, object]:
    """As FCM's HTTP v1 API takes it; an iPhone may be Firebase's too."""
    data = dict(message.data) | ({"url": message.url} if message.url else {})
    notification = _shown(message) | ({"image": message.image} if message.image else {})
    inner: dict[str, object] = {"notification": notification}
    if data:
        inner["data"] = data
    if message.device.platform is Platform.ios:
        inner["apns"] = {"payload": _apple(message)}
    elif android := _android(message):
        inner["android"] = android
    return {"fcmV1Message": {"message": inner}}


def _android(message: Push) -> dict[str, object]:
    own: dict[str, object] = {}
    if message.sound:
        own["sound"] = message.sound
    if message.badge is not None:
        own["notification_count"] = message.badge
    android: dict[str, object] = {"notification": own} if own else {}
    if message.ttl is not None:
        android["ttl"] = f"{_seconds(message)}s"
    if message.collapse_key:
        android["collapse_key"] = message.collapse_key
    return _merged(android, message.android)


def _shown(message: Push) -> dict[str, str]:
    return {name: text for name, text in (("title", message.title), ("body", message.body)) if text}


def _merged(tree: Mapping[str, object], additions: Mapping[str, object]) -> dict[str, object]:
    """Mappings merge, everything else is replaced."""
    made = dict(tree)
    for name, value in additions.items():
        known = made.get(name)
        made[name] = _merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return made
