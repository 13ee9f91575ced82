"""The fakes of AWS's services take what boto3 sends, and notice what AWS would not take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from connect.testing import aws
from connect.testing.api import ApiServer, Call
from connect.testing.aws import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from connect.testing.fakes.aws_sms import AwsSms
from connect.testing.fakes.sns import Sns

ENDPOINT = f"arn:aws:sns:{REGION}:123456789012:endpoint/GCM/acme/1"


def client(name: str, url: str, secret: str = SECRET_ACCESS_KEY) -> Any:
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    keys = {"aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": secret}
    return boto3.client(name, REGION, endpoint_url=url, config=config, **keys)  # type: ignore[call-overload]


@pytest.fixture
def sns() -> Iterator[tuple[Sns, str]]:
    fake = Sns()
    with ApiServer(fake.answer) as server:
        yield fake, server.url


@pytest.fixture
def texts() -> Iterator[tuple[AwsSms, str]]:
    fake = AwsSms()
    with ApiServer(fake.answer) as server:
        yield fake, server.url


def attribute(value: str, kind: str = "String") -> dict[str, str]:
    return {"DataType": kind, "StringValue": value}


def test_boto3_publishes(sns: tuple[Sns, str]) -> None:
    fake, url = sns
    speaking = client("sns", url)
    attributes = {"AWS.SNS.SMS.SMSType": attribute("Promotional"), "AWS.SNS.SMS.SenderID": attribute("Acme")}
    message = {"PhoneNumber": "+4915112000001", "Message": "Größe & 42", "MessageAttributes": attributes}
    assert speaking.publish(**message)["MessageId"] == "message-1"
    assert fake.misfits == []
    assert fake.published == [message]
    speaking.close()


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"Message": "a"}, "one of TargetArn, PhoneNumber and TopicArn"),
        ({"PhoneNumber": "+1"}, "types or required members: missing required field"),
        ({"PhoneNumber": "+1", "Message": "x" * 1601}, "Message: longer than 1600 characters"),
        (
            {"PhoneNumber": "+1", "Message": "a", "MessageAttributes": {"AWS.SNS.SMS.SenderId": attribute("Acme")}},
            "MessageAttributes.AWS.SNS.SMS.SenderId",
        ),
        (
            {"PhoneNumber": "+1", "Message": "a", "MessageAttributes": {"AWS.SNS.SMS.MaxPrice": attribute("0.1")}},
            "MessageAttributes.AWS.SNS.SMS.MaxPrice: DataType",
        ),
        ({"TargetArn": "a token", "Message": "a"}, "TargetArn"),
        ({"TargetArn": ENDPOINT, "Message": '{"GCM": "{}"}'}, "Message: `default`, and a text for the platform"),
        ({"TargetArn": ENDPOINT, "Message": '{"default": "", "GCM": "{}"}'}, "Message.GCM"),
    ],
)
def test_what_sns_would_not_take(sns: tuple[Sns, str], fields: dict[str, Any], what: str) -> None:
    fake, url = sns
    speaking = client("sns", url)
    with pytest.raises(ClientError):
        speaking.publish(**fields)
    assert fake.misfits == [what]
    assert fake.published == []
    speaking.close()


def test_boto3_sends_a_text_message(texts: tuple[AwsSms, str]) -> None:
    fake, url = texts
    speaking = client("pinpoint-sms-voice-v2", url)
    message = {"DestinationPhoneNumber": "+4915112000001", "MessageBody": "Größe", "Context": {"connect_id": "c1.a.b"}}
    assert speaking.send_text_message(**message)["MessageId"] == "message-1"
    assert (fake.misfits, fake.delivered) == ([], [message])
    speaking.close()


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"DestinationPhoneNumber": "0170 123"}, ".DestinationPhoneNumber: does not match"),
        ({"MessageBody": "x" * 1601}, ".MessageBody: longer than 1600"),
        ({"MessageType": "MARKETING"}, ".MessageType: not one of"),
        ({"TimeToLive": 4}, ".TimeToLive: shorter than 5"),
        ({"Context": {str(number): "1" for number in range(6)}}, ".Context: longer than 5"),
        ({"Context": {"connect_id": " "}}, ".Context.connect_id: does not match"),
        ({"Context": {"connect id": "1"}}, ".Context (a key): does not match"),
        ({"OriginationIdentity": "Acme News"}, ".OriginationIdentity: does not match"),
    ],
)
def test_what_the_text_service_would_not_take(texts: tuple[AwsSms, str], fields: dict[str, Any], what: str) -> None:
    fake, url = texts
    speaking = client("pinpoint-sms-voice-v2", url)
    with pytest.raises(ClientError):
        speaking.send_text_message(**{"DestinationPhoneNumber": "+4915112000001", "MessageBody": "a", **fields})
    assert fake.misfits[-1].startswith(what)
    speaking.close()


def test_a_member_that_nobody_knows() -> None:
    shape = aws.operation("SendTextMessage", of="pinpoint-sms-voice-v2").input_shape
    assert ".Body: unknown member" in aws.misfits(shape, {"DestinationPhoneNumber": "+1234", "Body": "a"})


def test_a_wrong_secret(sns: tuple[Sns, str]) -> None:
    fake, url = sns
    speaking = client("sns", url, "another secret")
    with pytest.raises(ClientError):
        speaking.publish(PhoneNumber="+1", Message="a")
    assert fake.misfits == ["the signature is wrong"]
    speaking.close()


def test_a_wrong_secret_of_the_text_service(texts: tuple[AwsSms, str]) -> None:
    fake, url = texts
    speaking = client("pinpoint-sms-voice-v2", url, "another secret")
    with pytest.raises(ClientError):
        speaking.describe_spend_limits()
    assert fake.misfits == ["the signature is wrong"]
    speaking.close()


def test_no_signature_and_one_for_elsewhere() -> None:
    unsigned = Call("POST", "/", {}, {}, b"")
    assert aws.signature_misfits(unsigned, "sns") == ["it is not signed"]
    credential = f"Credential={ACCESS_KEY_ID}/20261120/us-east-1/sns/aws4_request"
    headers = {"authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=00"}
    assert aws.signature_misfits(Call("POST", "/", {}, headers, b""), "sns") == ["signed for sns in us-east-1"]
