"""What somebody chooses is what they receive afterwards, whatever was on record; other channels stay as they were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as some

from connect.identity import KeyRing, correlation_id, unsubscribe_token
from connect.pipeline.preferences import Claims, Preferences, with_held
from connect.pipeline.subscriptions import Change, unheard
from connect.redact import Secret
from connect.vocabulary import Channel, SubscriptionStatus

RING = KeyRing((Secret("a secret of this test"),))
NOW = datetime(2026, 11, 22, tzinfo=UTC)
TOPICS = ("news", "offers")
EMAIL = Claims(Channel.email, None, "", "7", "ada@mail.example")
PUSH = Claims(Channel.push, None, "", "7", None)
STATUSES = [SubscriptionStatus.unsubscribed] * 4 + [SubscriptionStatus.subscribed] * 2 + [SubscriptionStatus.bounced]

changes = some.builds(
    Change,
    some.sampled_from(STATUSES),
    some.integers(-5, 5).map(lambda minutes: NOW + timedelta(minutes=minutes)),
    some.just("import"),
    some.sampled_from(["7", None, "8"]),
    some.sampled_from([None, "ada@mail.example"]),
    some.sampled_from([None, Channel.email, Channel.push]),
    some.sampled_from([None, *TOPICS]),
).filter(lambda change: not unheard(change))


def known(claims: Claims, history: list[Change]) -> Preferences:
    return Preferences(claims, with_held((), history, claims.person))


@settings(max_examples=300, deadline=None)
@given(some.lists(changes, max_size=8), some.sets(some.sampled_from(TOPICS)))
def test_what_is_chosen_is_what_is_received(history: list[Change], wanted: set[str]) -> None:
    before = known(EMAIL, history)
    if before.held_back:
        return
    chosen = before.chosen(wanted, TOPICS, NOW, "page")
    after = known(EMAIL, history + chosen)
    assert {topic for topic in TOPICS if after.is_on(topic)} == wanted
    assert not any(unheard(change) for change in chosen)
    assert known(PUSH, history + chosen).all_off == known(PUSH, history).all_off


@settings(max_examples=200, deadline=None)
@given(some.lists(changes, max_size=8), some.sampled_from([None, *TOPICS]))
def test_who_leaves_has_left_and_can_come_back(history: list[Change], topic: str | None) -> None:
    last = NOW + timedelta(minutes=6)
    left = [*history, EMAIL.left(topic, last, "page")]
    assert not any(known(EMAIL, left).is_on(one) for one in ([topic] if topic else TOPICS))
    if not known(EMAIL, left).held_back:
        wanted = [topic] if topic else []
        back = known(EMAIL, left).chosen(wanted, wanted, last, "page", back=True)
        assert not known(EMAIL, left + back).all_off
        assert topic is None or known(EMAIL, left + back).is_on(topic)


def test_a_bounce_holds_everything_back() -> None:
    bounced = Change(SubscriptionStatus.bounced, NOW, "webhook", None, "ADA@mail.example", None, "news")
    assert known(EMAIL, [bounced]).held_back
    assert not known(PUSH, [bounced]).held_back


def test_a_link_says_who_and_where() -> None:
    said = {"id": "7", "address": "ada@mail.example", "channel": "email", "topic": "", "correlation": ""}
    assert Claims.of(RING, unsubscribe_token(RING, bytes(16), said)) == EMAIL
    of_old = {name: said[name] for name in ("id", "address", "channel", "topic")}
    assert Claims.of(RING, unsubscribe_token(RING, bytes(16), of_old)) == EMAIL
    now = {**said, "correlation": correlation_id("0" * 16, bytes(16))}
    assert Claims.of(RING, unsubscribe_token(RING, bytes(16), now)).correlation.startswith("c1.")
    assert "ada" not in repr(EMAIL)
