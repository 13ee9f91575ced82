"""Positions, keys, ids and seals: the same for the same, different for the different, and silent about people."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.errors import UserError
from connect.identity import (
    KeyRing,
    SealBroken,
    call_key,
    correlation_id,
    key_text,
    message_key,
    new_run_id,
    open_unsubscribe_token,
    position,
    read_correlation_id,
    unsubscribe_token,
)
from connect.pipeline.visits import Kind, Visit, visit
from connect.redact import Secret

OLD, NEW = Secret("the old secret of the project"), Secret("the new secret of the project")
RING = KeyRing((NEW,))
CLAIMS = {"id": "7", "channel": "email", "address": "ada@mail.example", "topic": ""}
KEY = bytes(range(16))


def test_key_text_tells_how_long_each_part_is():
    assert key_text(["a", "bc"]) == "1:a2:bc" != key_text(["ab", "c"])
    assert key_text(["Größe"]) == "5:Größe"
    assert key_text([""]) == "0:"


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_key_texts_are_equal_only_for_equal_values(one, other):
    assert (key_text(one) == key_text(other)) == (one == other)


def test_a_position_is_the_md5_of_salt_and_key():
    assert position("salt", "1:7") == hashlib.md5(b"salt1:7").hexdigest()
    assert len({position(salt, "1:7") for salt in ("a", "b", "c")}) == 3


def test_a_message_key_depends_on_each_of_its_parts():
    parts = (b"secret", "1:7", "email", "ada@mail.example")
    assert message_key(*parts) == message_key(*parts)
    assert len(message_key(*parts)) == 16
    changed = [
        message_key(*parts[:place], other, *parts[place + 1 :])
        for place, other in enumerate((b"other", "1:8", "sms", "eve@mail.example"))
    ]
    assert len({message_key(*parts), *changed}) == 5


def test_run_ids_sort_by_time_and_are_short_words():
    ids = [new_run_id(second, lambda size: bytes(size)) for second in (1, 2, 10**9, 2 * 10**9)]
    assert ids == sorted(ids)
    assert all(len(one) == 16 and one.isalnum() and one.islower() for one in ids[2:])
    assert new_run_id(5) != new_run_id(5)


def test_a_correlation_id_is_read_back():
    run = new_run_id(1_790_000_000)
    text = correlation_id(run, KEY)
    assert (len(text), text.isascii()) == (42, True)
    assert read_correlation_id(text) == (run, KEY)


@pytest.mark.parametrize("text", ["", "c1", "c2.0123456789abcdef.AAAA", "c1.short.AAAA", "c1.0123456789abcdef.AAAA"])
def test_anything_else_is_no_correlation_id(text):
    assert read_correlation_id(text) is None


@given(st.binary(max_size=200))
def test_what_is_sealed_opens(plain):
    assert RING.open("a purpose", RING.seal("a purpose", plain)) == plain


def test_a_seal_is_for_one_purpose_and_breaks_when_it_is_changed():
    sealed = RING.seal("run salt", b"plain")
    with pytest.raises(SealBroken):
        RING.open("run secret", sealed)
    for place in range(len(sealed)):
        changed = bytes(byte ^ (number == place) for number, byte in enumerate(sealed))
        with pytest.raises(SealBroken):
            RING.open("run salt", changed)
    for cut in range(len(sealed)):
        with pytest.raises(SealBroken):
            RING.open("run salt", sealed[:cut])


def test_sealing_twice_gives_two_texts_unless_it_is_seeded():
    assert RING.seal("p", b"plain") != RING.seal("p", b"plain")
    assert RING.seal("p", b"plain", KEY) == RING.seal("p", b"plain", KEY)
    assert RING.seal("p", b"plain", KEY)[5:17] != RING.seal("p", b"plaim", KEY)[5:17]


def test_older_secrets_still_open_and_only_the_first_seals():
    sealed = KeyRing((OLD,)).seal("p", b"plain")
    assert KeyRing((NEW, OLD)).open("p", sealed) == b"plain"
    with pytest.raises(SealBroken, match="no key"):
        RING.open("p", sealed)
    with pytest.raises(SealBroken):
        KeyRing((OLD,)).open("p", KeyRing((NEW, OLD)).seal("p", b"plain"))


def test_without_a_secret_there_is_the_way_out():
    with pytest.raises(UserError) as caught:
        KeyRing(()).seal("p", b"")
    assert caught.value.problems[0].code == "missing-secret"


def test_an_unsubscribe_token_says_nothing_and_opens_to_its_claims():
    token = unsubscribe_token(RING, KEY, CLAIMS)
    assert token == unsubscribe_token(RING, KEY, dict(reversed(CLAIMS.items())))
    assert "ada" not in token
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert open_unsubscribe_token(RING, token) == CLAIMS
    for wrong in ("", "x", token[:-2], token + "AAAA", "ÄÖ"):
        with pytest.raises(SealBroken):
            open_unsubscribe_token(RING, wrong)


def test_the_token_of_a_message_is_short_and_knows_its_run():
    claims = {**CLAIMS, "topic": "", "correlation": correlation_id("0123456789abcdef", KEY)}
    token = unsubscribe_token(RING, KEY, claims)
    assert open_unsubscribe_token(RING, token) == claims
    assert token == unsubscribe_token(RING, KEY, dict(reversed(claims.items())))
    text = {**claims, "id": "7", "channel": "sms", "address": "+61412345678"}
    assert len(unsubscribe_token(RING, KEY, text)) <= 130
    for odd in ({"address": "a\x1fb"}, {"correlation": "c1.x.y"}, {"more": "x"}, {"id": "\u00fc\n\U0001f600"}):
        assert open_unsubscribe_token(RING, unsubscribe_token(RING, KEY, {**claims, **odd})) == {**claims, **odd}


def test_the_length_of_a_token_does_not_tell_the_length_of_an_address():
    lengths = {
        len(unsubscribe_token(RING, KEY, {**CLAIMS, "address": "a" * size + "@mail.example"})) for size in range(1, 12)
    }
    assert len(lengths) <= 2


def test_a_call_is_named_after_exactly_its_messages_in_their_order() -> None:
    first, second, third = (bytes([number]) * 16 for number in range(3))
    assert call_key([first]) == first
    assert call_key([first, second]) == call_key([first, second])
    names = [call_key(keys) for keys in ([first, second], [second, first], [first], [first, second, third])]
    assert len({len(name) for name in names}) == 1
    assert len(set(names)) == len(names)


# Links in messages that people have: as text, for what seals and what opens may not change together

COMPACT = (
    "ARkLzPDso1pux-OFC49WS-ZPHgfh9vWOtELERszqEOY3CGnkYU9LYOZ33oQhDSojPd_BFGSKIk8Tti8zW3Mz30nVPq"
    "4cFzWS_8XL6UCw2DJj2RsjrsMFKRx8bVaRBiyREEYyA2qdoqpUU2vExGyEQvuhd4Zw7q7z3eP2ZHquKsuj"
)
NAMED = (
    "ARkLzPDxz1VL-spBjDymtiopE2koxhuB2DXOm-JOKCodnH6qlLAKmbz84U1S3rZl04L570fiYdewT0HUAKBHjlFBmr"
    "SWXF45Suxpv9S7REeA2lov_QW3zlpB4bG7JvehmR_I_xRIrFhx0nvmieUZVWBLLqBkvnzmexwDnyxcU68R"
)
CLICK = (
    "ARkLzPAHoCP3GWD7QG_MnId54d6Qjc9daSCcB0tscKmwlVWFkQ9JdOU0TreTR6xGFco7ocZ2hNcMITDB7GnaHfD-3H"
    "VPcRdAFgu7GYLo56DOx5WeDaJQL9tiz_iJ7HhcaEp49Ljgm_9AiaD2Ca2FHKVccPhDzkwfVJHnqkjkfQ6e"
)
OPEN = (
    "ARkLzPCEswxdgocpuPcy6HJVISlWAxqN46rwaAgna1_TJEwCS5fkqSH3NnGVhEGxqLJfROaFgGhrq31P8LR-7ZqjgZ"
    "KviL_QPArAbb4p8d_28O7hMF5ckZ8uYAy3imxDHA"
)
VIEW = (
    "ARkLzPDS9ZuZX2PlifWcpQ9_a2LR-22wmbOoVOLNyeYDmNoJjb_WEJIVfPyIcd8T5stQVUmyXJeFpGFQAva3p-6HIh"
    "cBf6mudTCdmtopiPgrtRrzrZDajDvsK7JoZnJufw"
)
FROZEN_RUN = "run0000000000001"


def test_unsubscribe_links_of_before_open():
    claims = {**CLAIMS, "topic": "offers"}
    assert open_unsubscribe_token(RING, COMPACT) == {**claims, "correlation": correlation_id(FROZEN_RUN, KEY)}
    assert open_unsubscribe_token(RING, NAMED) == claims


@pytest.mark.parametrize(
    ("kind", "token", "said"),
    [
        (Kind.click, CLICK, Visit(FROZEN_RUN, KEY, url="https://shop.example/?a=1#b", number=3)),
        (Kind.open, OPEN, Visit(FROZEN_RUN, KEY)),
        (Kind.view, VIEW, Visit(FROZEN_RUN, KEY, key_text="1:7")),
    ],
)
def test_links_of_before_lead_where_they_led(kind, token, said):
    assert visit(RING, kind, token) == said
