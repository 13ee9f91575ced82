"""One campaign by e-mail, text message and push: a delivery for each address, each with an outcome of its own."""

from __future__ import annotations

from typing import Any

import pytest

from connect.channels.message import Device
from connect.providers import memory
from connect.providers.interface import Receipt, Status
from connect.vocabulary import Platform

PEOPLE = 3


@pytest.fixture
def everywhere(house: Any, contents: Any) -> Any:
    house.campaign(contents["email"], contents["sms"], contents["push"])
    return house


def test_a_person_with_two_phones_makes_four_deliveries(everywhere: Any) -> None:
    everywhere.crowd(PEOPLE)

    ended = everywhere.report()

    assert ended.code == 0
    assert ended.counts == {("email", "sent", ""): 3, ("sms", "sent", ""): 3, ("push", "sent", ""): 6}
    assert len(everywhere.shop.addresses()) == len(everywhere.texts()) == PEOPLE
    assert everywhere.tokens() == [everywhere.token(who, one) for who in (1, 2, 3) for one in (1, 2)]
    one = next(push for push in everywhere.pushes() if push.device.address == everywhere.token(2, 1))
    assert (one.device, one.title, one.body) == (
        Device(everywhere.token(2, 1), Platform.ios),
        "Hello",
        "Good day, Anna00002",
    )


def test_every_message_has_a_key_of_its_own(everywhere: Any) -> None:
    everywhere.crowd(PEOPLE)
    everywhere.run()

    keys = [outgoing.key for account in ("mail", "texts", "phones") for outgoing in memory.sent(account)]

    assert len(set(keys)) == len(keys) == 4 * PEOPLE


def test_each_of_them_ends_in_its_own_way(everywhere: Any) -> None:
    """One phone is gone, one text is refused, one e-mail is in doubt: the others are sent."""
    everywhere.crowd(PEOPLE)
    dead = everywhere.token(1, 2)

    def phones(outgoing: Any, attempt: int) -> Receipt | None:
        gone = outgoing.message.address == dead
        return Receipt(Status.rejected_recipient, "unregistered") if gone else None

    def texts(outgoing: Any, attempt: int) -> Receipt | None:
        landline = outgoing.message.address.endswith("2")
        return Receipt(Status.rejected_recipient, "landline") if landline else None

    def mail(outgoing: Any, attempt: int) -> Receipt | None:
        return Receipt(Status.ambiguous, "no_answer") if "00003" in outgoing.message.address else None

    for account, script in (("phones", phones), ("texts", texts), ("mail", mail)):
        memory.script(account, script)

    ended = everywhere.report()

    assert ended.code == 1
    assert ended.counts == {
        ("email", "sent", ""): 2,
        ("email", "unknown", "in_doubt"): 1,
        ("sms", "sent", ""): 2,
        ("sms", "failed", "landline"): 1,
        ("push", "sent", ""): 5,
        ("push", "failed", "unregistered"): 1,
    }
    assert dead not in everywhere.tokens()


def test_two_rows_of_one_person_make_one_message_on_each_address(everywhere: Any) -> None:
    ann, bob = everywhere.person(1), everywhere.person(2)
    everywhere.people(ann, ann, ann, bob)

    ended = everywhere.report()

    duplicates = {(channel, "skipped", "duplicate"): 2 for channel in ("email", "sms", "push")}
    assert ended.counts == {("email", "sent", ""): 2, ("sms", "sent", ""): 2, ("push", "sent", ""): 4} | duplicates


def test_a_phone_that_is_listed_twice_is_one(everywhere: Any) -> None:
    row = list(everywhere.person(1))
    row[4] = everywhere.channels(("token-of-ann", "ios"), ("token-of-ann", "ios"))
    everywhere.people(row)

    assert everywhere.report().counts["push", "sent", ""] == 1


def test_two_people_who_share_a_phone_are_both_written_to(everywhere: Any) -> None:
    rows = [list(everywhere.person(number)) for number in (1, 2)]
    for row in rows:
        row[4] = everywhere.channels(("token-of-both", "android"))
    everywhere.people(*rows)

    assert everywhere.report().counts["push", "sent", ""] == 2
    assert everywhere.tokens() == ["token-of-both"] * 2


def test_what_is_wrong_with_a_phone_is_no_trouble_of_the_other_channels(everywhere: Any) -> None:
    """No devices, JSON that can not be read, an unknown platform beside a good one, and far too many."""
    rows = [list(everywhere.person(number)) for number in range(1, 6)]
    rows[0][4] = None
    rows[1][4] = "[]"
    rows[2][4] = '[{"type": "push", "address": "token-that-is-cut'
    rows[3][4] = everywhere.channels(("token-of-a-good-one", "ios"), ("token-of-a-fridge", "fridge"))
    rows[4][4] = everywhere.channels(*((f"token-{number:03}", "ios") for number in range(51)))
    everywhere.people(*rows)

    ended = everywhere.report()

    assert ended.counts == {
        ("email", "sent", ""): 5,
        ("sms", "sent", ""): 5,
        ("push", "skipped", "no_address"): 2,
        ("push", "refused", "invalid_device"): 2,
        ("push", "refused", "too_many_recipients"): 1,
        ("push", "sent", ""): 1,
    }
    assert everywhere.tokens() == ["token-of-a-good-one"]


def test_who_opted_out_of_push_has_one_delivery_on_it(everywhere: Any) -> None:
    everywhere.crowd(2)
    columns = "id text, address text, status text, channel text"
    everywhere.shop.table("opt_outs", columns, [("id-00001", None, "unsubscribed", "push")])
    everywhere.configure(optouts="select * from opt_outs")

    ended = everywhere.report()

    assert ended.counts == {
        ("email", "sent", ""): 2,
        ("sms", "sent", ""): 2,
        ("push", "skipped", "unsubscribed"): 1,
        ("push", "sent", ""): 2,
    }


def test_one_column_of_tokens_is_enough(everywhere: Any, contents: Any) -> None:
    everywhere.campaign(contents["push"])
    everywhere.shop.table(
        "people",
        "id text, first_name text, device_token text, platform text",
        [("id-00001", "Annabel", "token-of-an-iphone", "ios"), ("id-00002", "Bertram", "token-of-a-pixel", "android")],
    )

    assert everywhere.report().counts == {("push", "sent", ""): 2}
    assert {push.device.platform for push in everywhere.pushes()} == {Platform.ios, Platform.android}
