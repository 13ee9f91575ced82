"""Whose devices a row names."""

from __future__ import annotations

import json

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.channels.addresses import normal
from connect.channels.devices import Found, devices
from connect.channels.message import Device
from connect.vocabulary import Channel, Platform

IOS, ANDROID, WEB = Platform.ios, Platform.android, Platform.web


def push(address: object, platform: object = "ios", **fields: object) -> dict[str, object]:
    return {"type": "push", "address": address, "platform": platform, **fields}


TWO = [push("a1"), {"type": "email", "address": "a@b.example"}, push("b2", "Android", kind="fcm_token")]
FOUND_TWO = Found((Device("a1", IOS), Device("b2", ANDROID, "fcm_token")))


@pytest.mark.parametrize("cell", [TWO, tuple(TWO), json.dumps(TWO), f" {json.dumps(TWO)}\n", [*map(json.dumps, TWO)]])
def test_channels_as_json_and_as_structures(cell: object) -> None:
    assert devices(cell, None, None) == FOUND_TWO


def test_channels_as_duckdb_gives_them() -> None:
    query = """
        select [{'type': 'push', 'address': 'a1', 'platform': 'ios', 'kind': null},
                {'type': 'push', 'address': 'b2', 'platform': 'android', 'kind': 'fcm_token'}] as structs,
               to_json(structs) as json, [to_json(structs[1]), to_json(structs[2])] as jsons
    """
    table = duckdb.sql(query).to_arrow_table()
    for name in ("structs", "json", "jsons"):
        assert devices(table[name].to_pylist()[0], None, None) == FOUND_TWO, name


def test_one_alone_needs_no_list() -> None:
    assert devices(push("a1"), None, None) == devices(json.dumps(push("a1")), None, None) == Found((Device("a1", IOS),))


@pytest.mark.parametrize("nothing", [None, "", "  ", "null", "[]", [], [None], "[null]"])
def test_nothing_is_no_device(nothing: object) -> None:
    assert devices(nothing, None, None) == Found()


@pytest.mark.parametrize("nothing", [None, "", "  ", "[]", [], [None], ["", " "], '[null, ""]'])
def test_no_token_is_no_device(nothing: object) -> None:
    assert devices(None, nothing, "no such platform") == Found()


@pytest.mark.parametrize(
    ("written", "platform"),
    [("iOS", IOS), (" ios ", IOS), ("apple", IOS), ("iPhone", IOS), ("APNS", IOS), ("ANDROID", ANDROID), ("web", WEB)],
)
def test_platforms_as_people_write_them(written: str, platform: Platform) -> None:
    assert devices(None, "token", written) == Found((Device("token", platform),))
    assert devices([push("token", written)], None, None) == Found((Device("token", platform),))


@pytest.mark.parametrize("unknown", ["google", "fcm", "symbian", 7, True, ["ios"]])
def test_platforms_that_tell_nothing_are_bad(unknown: object) -> None:
    assert devices(None, "token", unknown) == devices([push("token", unknown)], None, None) == Found((), 1)


def test_a_platform_may_be_left_out() -> None:
    found = Found((Device("token"),))
    assert devices(None, "token", None) == devices(None, "token", " ") == found
    assert devices([{"type": "push", "address": "token"}], None, None) == found
    assert devices([push("token", None, kind="apns")], None, None) == Found((Device("token", IOS, "apns"),))


@pytest.mark.parametrize(
    "token", [" two ", ["two"], ("two", None), '["two"]', ' ["two", null]', '"two"', ["two", "two ", " two"]]
)
def test_tokens_as_text_and_as_lists(token: object) -> None:
    assert devices(None, token, "android") == Found((Device("two", ANDROID),))


def test_an_address_is_one_device_and_the_first_tells_of_it() -> None:
    cell = [push("b2", "android"), push("a1"), push(" b2 ", "web"), push("c3")]
    found = devices(cell, ["c3", "a1", "d4"], "web")
    assert found == Found((Device("b2", ANDROID), Device("a1", IOS), Device("c3", IOS), Device("d4", WEB)))


@pytest.mark.parametrize(
    "entry",
    [
        push(None),
        push(""),
        push("two words"),
        push("tökén"),
        push("x" * 4097),
        push("control\x07"),
        push(123),
        push("a", kind="pigeon"),
        push("a", kind=3),
        {"address": "a", "platform": "ios"},
        {"type": None, "address": "a"},
        {"type": 5, "address": "a"},
        {},
        "{broken",
        "text",
        5,
        ["push", "a"],
    ],
)
def test_entries_that_can_not_be_used_are_counted(entry: object) -> None:
    assert devices([push("good"), entry], None, None) == Found((Device("good", IOS),), 1)


@pytest.mark.parametrize("cell", ["{broken", "[" * 100_000, "[NaN", "5", "true", '"text"', 5, b"[]"])
def test_cells_that_are_no_list_are_one(cell: object) -> None:
    assert devices(cell, None, None) == Found((), 1)


@pytest.mark.parametrize("token", ["two words", "tökén", "x" * 4097, 5, "[broken", b"token", {"a": 1}])
def test_tokens_that_can_not_be_used_are_counted(token: object) -> None:
    assert devices(None, token, "ios") == Found((), 1)


def test_the_longest_token() -> None:
    assert devices(None, "x" * 4096, "ios").bad == 0


CELLS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from(["push", "ios", "[", '{"type":"push"}']),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["type", "address", "platform", "kind"]), inner, max_size=4)
    ),
)


@given(CELLS, CELLS, CELLS)
def test_no_cell_ends_a_run(channels: object, token: object, platform: object) -> None:
    found = devices(channels, token, platform)
    addresses = [device.address for device in found.devices]
    assert len(set(addresses)) == len(addresses)
    assert all(address.isascii() and address.isprintable() and " " not in address for address in addresses)


@pytest.mark.parametrize("channel", [Channel.push, Channel.http])
def test_tokens_and_urls_are_kept_as_they_are(channel: Channel) -> None:
    assert normal(channel, " https://A.example/Path?Q ") == "https://A.example/Path?Q"
