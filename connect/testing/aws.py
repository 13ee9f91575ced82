"""Requests to AWS, checked as strictly as AWS does: with botocore's models of its services, and its own signer.

A model's types and required members are enforced by botocore; the lengths, patterns, enums and unknown members that it
does not enforce are checked here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlencode

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator

from connect.testing.api import Call

ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_ACCESS_KEY = "only for tests"
REGION = "eu-west-1"


@cache
def service(name: str) -> ServiceModel:
    """A service by its name in boto3."""
    return botocore.session.get_session().get_service_model(name)


def operation(name: str, of: str) -> OperationModel:
    return service(of).operation_model(name)


def misfits(shape: Shape | None, body: dict[str, Any]) -> Iterator[str]:
    """What does not fit an operation's input: member and rule, never a value."""
    assert shape is not None
    report = ParamValidator().validate(body, shape)
    if report.has_errors():
        yield "types or required members: " + ", ".join(sorted({kind for kind, _, _ in report._errors}))
    yield from _outside(shape, body, "")


def _outside(shape: Any, value: Any, path: str) -> Iterator[str]:
    """Lengths, patterns, enums and unknown members, all the way down."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        for name, inner in value.items():
            if name not in shape.members:
                yield f"{path}.{name}: unknown member"
            else:
                yield from _outside(shape.members[name], inner, f"{path}.{name}")
        return
    if kind == "map" and isinstance(value, dict):
        for name, inner in value.items():
            yield from _outside(shape.key, name, f"{path} (a key)")
            yield from _outside(shape.value, inner, f"{path}.{name}")
    if kind == "list" and isinstance(value, list):
        for inner in value:
            yield from _outside(shape.member, inner, f"{path}[]")
    yield from _beyond(shape.metadata, value, path)


def _beyond(rules: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    size = len(value) if isinstance(value, str | bytes | list | dict) else value
    if "max" in rules and size > rules["max"]:
        yield f"{path}: longer than {rules['max']}"
    if "min" in rules and size < rules["min"]:
        yield f"{path}: shorter than {rules['min']}"
    if "pattern" in rules and isinstance(value, str) and not re.fullmatch(rules["pattern"], value):
        yield f"{path}: does not match {rules['pattern']}"
    if "enum" in rules and value not in rules["enum"]:
        yield f"{path}: not one of {rules['enum']}"


def decoded(shape: Shape | None, value: Any) -> Any:
    """JSON as the model means it: blobs are base64."""
    kind = getattr(shape, "type_name", "")
    if kind == "structure" and isinstance(value, dict):
        members: dict[str, Shape] = shape.members  # type: ignore[union-attr]
        return {name: decoded(members.get(name), inner) for name, inner in value.items()}
    if kind == "list" and isinstance(value, list):
        return [decoded(shape.member, inner) for inner in value]  # type: ignore[union-attr]
    return base64.b64decode(value) if kind == "blob" else value


def of_form(shape: Any, form: Sequence[tuple[str, str]]) -> tuple[dict[str, Any], list[str]]:
    """The input of an operation of the Query protocol, and the fields that no member of it has."""
    fields = dict(form)
    assert len(fields) == len(form), "a field was given twice"
    for name in ("Action", "Version"):
        fields.pop(name, None)
    value = _taken(shape, fields, "") or {}
    return value, sorted(fields)


def _taken(shape: Any, fields: dict[str, str], name: str) -> Any:
    """The value of this name, taken out of the fields; None where there is none."""
    match shape.type_name:
        case "structure":
            prefix = f"{name}." if name else ""
            members = {
                key: _taken(member, fields, prefix + member.serialization.get("name", key))
                for key, member in shape.members.items()
            }
            return {key: value for key, value in members.items() if value is not None} or None
        case "map":
            return _entries(shape, fields, f"{name}.entry")
        case "boolean":
            return None if name not in fields else fields.pop(name) == "true"
        case "string":
            return fields.pop(name, None)
    return None  # what else there is, nobody sends


def _entries(shape: Any, fields: dict[str, str], name: str) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    key_name, value_name = (part.serialization["name"] for part in (shape.key, shape.value))
    while (key := fields.pop(f"{name}.{len(found) + 1}.{key_name}", None)) is not None:
        found[key] = _taken(shape.value, fields, f"{name}.{len(found) + 1}.{value_name}")
    return found or None


_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request, SignedHeaders=(\S+), Signature=(\w+)"
)


def signature_misfits(call: Call, signing_name: str, secret: str = SECRET_ACCESS_KEY) -> list[str]:
    """What is wrong with a call's signature, which botocore makes again."""
    found = _AUTHORIZATION.fullmatch(call.headers.get("authorization", ""))
    if found is None:
        return ["it is not signed"]
    access, region, name, covered, signature = found.groups()
    if (region, name) != (REGION, signing_name):
        return [f"signed for {name} in {region}"]
    headers = {field: call.headers[field] for field in covered.split(";")}
    query = f"?{urlencode(call.query)}" if call.query else ""
    request = AWSRequest(call.method, f"http://{call.headers['host']}{call.path}{query}", headers, call.body)
    request.context["timestamp"] = call.headers["x-amz-date"]
    signer = SigV4Auth(Credentials(access, secret), name, region)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return [] if signer.signature(text, request) == signature else ["the signature is wrong"]
