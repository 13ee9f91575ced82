"""What adapters of HTTP APIs share: JSON that is read as far as anybody can use it, and a client that stays closed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connect.providers.api import Api, json_bytes, json_of, read_json, text_of
from connect.providers.http import Reply
from connect.providers.interface import Account, ProviderSettings, Receipt, Status
from connect.testing.api import Answer, ApiServer


@pytest.mark.parametrize("text", ["null", "1.5", '"é"', '{"a": [1, {"b": "\\ud83d\\ude00"}]}', "[" * 250 + "]" * 250])
def test_json_is_read_as_it_is(text: str) -> None:
    assert read_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"9" * 5000, b"{} {}"])
def test_what_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_json(data)
    assert json_of(Reply(200, {}, data)) is None


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"\\u0000": '])
@pytest.mark.parametrize("depth", [*range(300, 1000, 50), 100_000])
def test_what_is_nested_without_end_is_refused_and_what_is_not_can_be_written(opening: bytes, depth: int) -> None:
    closing = {b"[": b"]", b'{"a":': b"}", b'[{"\\u0000": ': b"}]"}[opening]
    try:
        tree = read_json(opening * depth + b"1" + closing * depth)
    except ValueError:
        assert depth >= 300
        return
    assert str(tree)
    assert json.dumps(tree)


def test_what_no_ledger_can_keep_is_replaced() -> None:
    said = {"a": ["\x00", "half \ud800", "\ud83d\ude00", {"b": "\udfff."}], "c": 1}
    assert read_json(json.dumps(said).encode()) == {
        "a": ["\ufffd", "half \ufffd", "\U0001f600", {"b": "\ufffd."}],
        "c": 1,
    }


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), (7, "7"), (1.5, "1.5"), (None, ""), (True, ""), ([], ""), ({"a": 1}, "")]
)
def test_texts_and_numbers_are_text(value: object, text: str) -> None:
    assert text_of(value) == text


async def test_whoever_still_sends_while_it_is_closed_opens_no_other_connection() -> None:
    with ApiServer(lambda call: Answer(200)) as server:
        api = Api(Account("a", ProviderSettings(), Path(), 1))
        assert isinstance(await api.ask(server.url, b"", {}), Reply)
        await api.close()
        assert await api.ask(server.url, b"", {}) == Receipt(Status.transient, "client_closed")
        await api.close()
        assert server.connections == 1


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"a": "é🤦", "b": [1, 2.5, None, True]}, '{"a":"é🤦","b":[1,2.5,null,true]}'.encode()),
        ({"half": "x\ud800y"}, b'{"half":"x?y"}'),
        ([2**70, "\x00\x7f\u2028"], b"[" + str(2**70).encode() + b',"\\u0000\x7f\xe2\x80\xa8"]'),
    ],
)
def test_json_is_compact_and_utf_8_whatever_is_in_it(value: object, written: bytes) -> None:
    assert json_bytes(value) == written
