"""A local Amazon SNS: forms are taken apart with botocore's model, and their signatures made again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from connect.testing import aws
from connect.testing.api import DROP, HANG, Answer, Call

__all__ = ["DROP", "HANG", "Sns", "error"]

_NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"


def _xml(root: str, inner: str, http_status: int = 200) -> Answer:
    metadata = "<ResponseMetadata><RequestId>0000</RequestId></ResponseMetadata>" if http_status == 200 else ""
    body = f'<{root} xmlns="{_NAMESPACE}">{inner}{metadata}</{root}>'
    return Answer(http_status, body.encode(), {"content-type": "text/xml"})


def error(code: str, words: str, http_status: int = 400) -> Answer:
    """As SNS says no."""
    inner = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(words)}</Message></Error>"
    return _xml("ErrorResponse", f"{inner}<RequestId>0000</RequestId>", http_status)


@dataclass
class Sns:
    """`answer` is for an `ApiServer`."""

    published: list[dict[str, Any]] = field(default_factory=list)
    """The input of every Publish that was taken; of a push message, `Message` is decoded twice."""
    misfits: list[str] = field(default_factory=list)
    """What in any request did not fit: member and rule, never a value."""
    answers: dict[str, Answer] = field(default_factory=dict)
    """By number or endpoint; "" is everybody's."""
    applications: tuple[str, ...] | None = None
    """ARNs of platform applications; without them, the credentials may not ask."""
    in_sandbox: bool = False

    def answer(self, call: Call) -> Answer:
        form = call.form
        name = dict(form).get("Action", "")
        operation = aws.operation(name, of="sns")
        body, unknown = aws.of_form(operation.input_shape, form)
        wrong = [*aws.signature_misfits(call, "sns"), *(f"{field}: unknown" for field in unknown)]
        wrong += aws.misfits(operation.input_shape, body) if operation.input_shape else []
        wrong += _against_the_rules(body) if name == "Publish" else []
        if not call.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            wrong.append("content type")
        if wrong:
            self.misfits += wrong
            return error("ValidationError", f"{len(wrong)} validation errors")
        return self._published(body) if name == "Publish" else self._asked(name)

    def _published(self, body: dict[str, Any]) -> Answer:
        said = self.answers.get(body.get("TargetArn") or body["PhoneNumber"]) or self.answers.get("")
        if said:
            return said
        if body.get("MessageStructure") == "json":
            parts = json.loads(body["Message"])
            body["Message"] = {name: text if name == "default" else json.loads(text) for name, text in parts.items()}
        self.published.append(body)
        return _xml(
            "PublishResponse", f"<PublishResult><MessageId>message-{len(self.published)}</MessageId></PublishResult>"
        )

    def _asked(self, name: str) -> Answer:
        if "" in self.answers:
            return self.answers[""]
        if self.applications is None:
            return error("AuthorizationError", f"not authorized to perform: SNS:{name}", 403)
        if name == "GetSMSSandboxAccountStatus":
            inner = f"<IsInSandbox>{str(self.in_sandbox).lower()}</IsInSandbox>"
        else:
            members = "".join(
                f"<member><PlatformApplicationArn>{arn}</PlatformApplicationArn></member>" for arn in self.applications
            )
            inner = f"<PlatformApplications>{members}</PlatformApplications>"
        return _xml(f"{name}Response", f"<{name}Result>{inner}</{name}Result>")


# Rules that AWS documents and the model does not carry (API reference of Publish, and the developer guide, 2026-11).
_PLATFORM = re.compile(r"arn:aws:sns:[a-z0-9-]+:\d{12}:endpoint/([A-Z_]+)/[^/]+/[^/]+")
_ATTRIBUTES = {
    "AWS.SNS.SMS.SMSType": re.compile(r"Promotional|Transactional"),
    "AWS.SNS.SMS.SenderID": re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9-]{1,11}"),
    "AWS.SNS.SMS.MaxPrice": re.compile(r"[0-9]*\.?[0-9]+"),
    "AWS.MM.SMS.OriginationNumber": re.compile(r"\+?[0-9]{4,15}"),
    "AWS.SNS.MOBILE.APNS.PUSH_TYPE": re.compile(r"alert|background"),
    "AWS.SNS.MOBILE.APNS.COLLAPSE_ID": re.compile(r".{1,64}"),
    **{
        f"AWS.SNS.MOBILE.{name}.TTL": re.compile(r"[0-9]+")
        for name in ("APNS", "APNS_SANDBOX", "MACOS", "MACOS_SANDBOX", "FCM")
    },
}


def _against_the_rules(body: dict[str, Any]) -> Iterator[str]:
    if len({"TargetArn", "PhoneNumber", "TopicArn"} & body.keys()) != 1:
        yield "one of TargetArn, PhoneNumber and TopicArn"
    for name, value in body.get("MessageAttributes", {}).items():
        pattern = _ATTRIBUTES.get(name)
        if pattern is None or not pattern.fullmatch(value.get("StringValue", "")):
            yield f"MessageAttributes.{name}"
        if value["DataType"] != ("Number" if name.endswith("MaxPrice") else "String"):
            yield f"MessageAttributes.{name}: DataType"
    if "TargetArn" in body:
        yield from _push_misfits(body)
    elif len(body.get("Message", "")) > 1600:
        yield "Message: longer than 1600 characters"


def _push_misfits(body: dict[str, Any]) -> Iterator[str]:
    found = _PLATFORM.fullmatch(body["TargetArn"])
    if found is None:
        yield "TargetArn"
        return
    parts = json.loads(body["Message"])
    if set(parts) != {"default", found.group(1)} or not all(isinstance(part, str) for part in parts.values()):
        yield "Message: `default`, and a text for the platform"
        return
    payload = json.loads(parts[found.group(1)])
    expected = {"fcmV1Message"} if found.group(1) == "GCM" else {"aps"}
    if not expected <= payload.keys():
        yield f"Message.{found.group(1)}"
    if len(parts[found.group(1)].encode()) > 4096:
        yield f"Message.{found.group(1)}: longer than 4096 bytes"
