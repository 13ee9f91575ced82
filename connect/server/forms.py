"""What a form or a one-click request says: urlencoded or multipart (RFC 8058, 3.1), a few short fields."""

from __future__ import annotations

from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from urllib.parse import parse_qsl

LARGEST = 64 << 10
"""Bytes of a body."""
_MOST = 200
"""Fields."""

Form = dict[str, list[str]]


def read_form(content_type: str, body: bytes) -> Form:
    """Its fields; none of what can not be read."""
    if content_type.partition(";")[0].strip().lower() == "multipart/form-data":
        pairs = _multipart(content_type, body)
    else:
        try:
            pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST)
        except ValueError:
            pairs = []
    form: Form = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


def _multipart(content_type: str, body: bytes) -> list[tuple[str, str]]:
    head = b"Content-Type: " + content_type.encode("latin-1", "replace").translate(None, b"\r\n") + b"\r\n\r\n"
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    parts = message.get_payload() if message.is_multipart() else []
    pairs: list[tuple[str, str]] = []
    for part in parts[:_MOST] if isinstance(parts, list) else []:
        if not isinstance(part, Message):
            continue
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            pairs.append((name, payload.decode("utf-8", "replace").strip("\r\n")))
    return pairs
