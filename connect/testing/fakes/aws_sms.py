"""A local AWS End User Messaging SMS: requests are taken apart with botocore's model, and signatures made again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from connect.testing import aws
from connect.testing.api import DROP, HANG, Answer, Call

__all__ = ["DROP", "HANG", "AwsSms", "error"]

_NAME = "pinpoint-sms-voice-v2"
_TARGET = "PinpointSMSVoiceV2."


def error(code: str, words: str, http_status: int = 400, **members: object) -> Answer:
    """As the service says no; `Reason` and `Fields` are members."""
    body = {"__type": f"com.amazonaws.pinpointsmsvoicev2#{code}", "Message": words, **members}
    return Answer(http_status, body, {"content-type": "application/x-amz-json-1.0"})


@dataclass
class AwsSms:
    """`answer` is for an `ApiServer`."""

    inputs: list[dict[str, Any]] = field(default_factory=list)
    """Of every SendTextMessage, as it came."""
    delivered: list[dict[str, Any]] = field(default_factory=list)
    """Of those that were taken, dry runs aside."""
    misfits: list[str] = field(default_factory=list)
    """What in any request did not fit: member and rule, never a value."""
    answers: dict[str, Answer] = field(default_factory=dict)
    """By number; "" is everybody's."""
    tier: str | None = None
    """SANDBOX or PRODUCTION; without it, the credentials may not ask."""

    def answer(self, call: Call) -> Answer:
        target = call.headers.get("x-amz-target", "")
        if call.path != "/" or call.method != "POST" or not target.startswith(_TARGET):
            return error("UnknownOperationException", "", 404)
        operation = aws.operation(target.removeprefix(_TARGET), of=_NAME)
        body = aws.decoded(operation.input_shape, call.json)
        wrong = [*aws.signature_misfits(call, "sms-voice"), *aws.misfits(operation.input_shape, body)]
        if call.headers.get("content-type") != "application/x-amz-json-1.0":
            wrong.append("content type")
        if wrong:
            self.misfits += wrong
            return error("ValidationException", f"{len(wrong)} validation errors", Reason="FIELD_VALIDATION_FAILED")
        return self._sent(body) if operation.name == "SendTextMessage" else self._asked(operation.name)

    def _sent(self, body: dict[str, Any]) -> Answer:
        self.inputs.append(body)
        said = self.answers.get(body["DestinationPhoneNumber"]) or self.answers.get("")
        if said:
            return said
        if not body.get("DryRun"):
            self.delivered.append(body)
        return Answer(200, {"MessageId": f"message-{len(self.inputs)}"})

    def _asked(self, name: str) -> Answer:
        if "" in self.answers:
            return self.answers[""]
        if self.tier is None:
            return error("AccessDeniedException", f"not authorized to perform: sms-voice:{name}")
        if name == "DescribeAccountAttributes":
            return Answer(200, {"AccountAttributes": [{"Name": "ACCOUNT_TIER", "Value": self.tier}]})
        limit = {
            "Name": "TEXT_MESSAGE_MONTHLY_SPEND_LIMIT",
            "EnforcedLimit": 1000,
            "MaxLimit": 1000,
            "Overridden": False,
        }
        return Answer(200, {"SpendLimits": [limit]})
