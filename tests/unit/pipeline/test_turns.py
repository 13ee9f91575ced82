"""The deliveries of a run, slice by slice: each is settled in exactly one, whatever happens between two sweeps."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from connect import wiring
from connect.channels.message import Outgoing
from connect.identity import KeyRing
from connect.ledger.records import Intent
from connect.liquid.library import Library
from connect.pipeline.compose import Composer
from connect.pipeline.deliveries import Ended, Person, RunFacts
from connect.pipeline.links import UnsubscribeLinks
from connect.pipeline.places import Places
from connect.pipeline.recovery import Recovered
from connect.pipeline.waves import EXPIRED, IN_QUIET_HOURS, Timing, Turn
from connect.project.campaigns import load_campaign
from connect.project.load import templates
from connect.redact import Secret
from connect.vocabulary import Channel, Mode, Outcome, Reason

EMAIL, SMS = Channel.email, Channel.sms
FIRE = datetime(2026, 6, 10, 22, tzinfo=UTC)
PROJECT = """\
name: acme
secret: ${CONNECT_SECRET}
timezone: Europe/London
providers: {mail: {type: memory}, texts: {type: memory}}
channels: {email: mail, sms: texts}
"""
CAMPAIGN = """\
trigger: {type: immediate}
audience: {people: [{id: 1, email: a@mail.example}]}
message:
  content:
    - channel: email
      from: Acme <hello@acme.example>
      to: "{% if user.shy %}{{ user.id | divided_by: 0 }}{% endif %}{{ user.email }}"
      subject: "Hi"
      text: "Hi {{ url.unsubscribe_link }}"
    - channel: sms
      body: "Hi"
"""
QUIET = "policy: {reach: %s, quiet_hours: {from: 21:00, to: 08:00, action: %s%s}%s}\n"

LONDON, TOKYO, NEW_YORK, PERTH = "Europe/London", "Asia/Tokyo", "America/New_York", "Australia/Perth"
CELLS = {
    "timezone": [None, LONDON, "asia/tokyo", "nowhere"],
    "region_code": [None, NEW_YORK],
    "phone_number": ["+61412345678", "+1 212 555 1234", None, "x"],
    "email": ["ada@mail.example", None],
    "shy": [False, True],
}
PEOPLE = [
    {"id": str(number), **dict(zip(CELLS, cells, strict=True))}
    for number, cells in enumerate(product(*CELLS.values()), 1)
]
NEWCOMERS = [
    {"id": f"n{number}", "timezone": zone, "region_code": None, "phone_number": "+447911123456", "email": "b@x.example"}
    for number, zone in enumerate([PERTH, "Asia/Kolkata", "America/Denver"])
]


class Run:
    """A run's slices, each composed by a composer of its own, as in processes of their own."""

    def __init__(self, root, text, known_people, *, sms_default=False, now=FIRE):
        (root / "campaigns").mkdir()
        (root / "connect.yml").write_text(PROJECT)
        (root / "campaigns" / "news.yml").write_text(CAMPAIGN + text)
        secret = "a secret that is long enough"
        self._project = wiring.open_project(root, None, None, {"CONNECT_SECRET": secret})
        loaded = load_campaign(self._project, "news")
        assert loaded.campaign is not None, loaded.problems
        self._campaign, self._ring = loaded.campaign, KeyRing((Secret(secret),))
        self.timing = Timing.of_run(
            loaded.campaign,
            fire_time=FIRE,
            zone=self._project.timezone,
            mode=Mode.live,
            reaches={SMS} if sms_default else set(),
        )
        self.slices = self.timing.slices(_places(self.timing, known_people), now)
        self.known = {one.wave for one in self.slices}
        self.problems: Counter[str] = Counter()

    def composer(self, turn, recovered=None):
        links = UnsubscribeLinks(self._ring, "https://acme.example", None, "off@acme.example", None)
        facts = RunFacts("run0000000000001", "news", "dev", Mode.live, FIRE, b"run secret")
        library = Library(templates(self._project.root))
        return Composer(
            self._campaign, library, facts, links, test_recipient={}, copied=set(), turn=turn, recovered=recovered
        )

    def sweep(self, people, optouts=lambda wave, user: {}, now=None):
        """What each slice makes of these people: (wave, id, channel, how it ended or `sent`)."""
        found = []
        for one in self.slices:
            composer = self.composer(Turn.of_slice(self.timing, one, self.known))
            for user in people:
                person = Person(user["id"], user, optouts(one.wave, user))
                for delivery in composer.deliveries(person, now):
                    found.append((one, user["id"], delivery.channel, _end(delivery.result)))
            self.problems.update(composer.problems)
        return found


def _places(timing, people):
    columns = {name: [user.get(name) for user in people] for name in (*CELLS, "id")}
    place = Places(timing.phone).over(columns)
    return {place(row) for row in range(len(people))}


def _end(result):
    return "sent" if isinstance(result, Outgoing) else result


@pytest.fixture
def run(tmp_path):
    return lambda text="", people=PEOPLE, **given: Run(tmp_path, text, people, **given)


@pytest.mark.parametrize("reach", ["all", "first"])
@pytest.mark.parametrize("action", ["defer", "skip"])
@pytest.mark.parametrize("channels", ["", ", channels: [sms]", ", countries: {US: {from: 18:00, to: 10:00}}"])
@pytest.mark.parametrize("more", ["", ", expires_after: 10h"])
@pytest.mark.parametrize("sms_default", [False, True])
def test_rows_times_channels_is_what_all_slices_settle(run, reach, action, channels, more, sms_default):
    found = run(QUIET % (reach, action, channels, more), sms_default=sms_default)
    settled = found.sweep(PEOPLE + NEWCOMERS)
    per_delivery = Counter((who, channel) for _, who, channel, _ in settled)
    assert set(per_delivery) == {(user["id"], channel) for user in PEOPLE + NEWCOMERS for channel in (EMAIL, SMS)}
    assert set(per_delivery.values()) == {1}
    if reach == "first":
        assert max(Counter(who for _, who, _, end in settled if end == "sent").values()) == 1


@pytest.mark.parametrize("reach", ["all", "first"])
def test_nor_do_opt_outs_that_change_between_two_sweeps_settle_anything_twice(run, reach):
    found = run(QUIET % (reach, "defer", ", channels: [sms]", ""))
    waves = found.timing.in_order(found.known)
    assert len(waves) > 2

    def changing(wave, user):
        return {EMAIL: 1 if int(user["id"]) % 3 == 0 and wave == waves[0] else 0, SMS: 3 if wave == waves[-1] else 0}

    settled = found.sweep(PEOPLE, changing)
    per_delivery = Counter((who, channel) for _, who, channel, _ in settled)
    assert (len(per_delivery), set(per_delivery.values())) == (2 * len(PEOPLE), {1})
    ends = {end for one, _, channel, end in settled if channel is SMS and one.wave == waves[-1]}
    assert Ended(Outcome.skipped, Reason.complained) in ends
    if reach == "first":
        assert max(Counter(who for _, who, _, end in settled if end == "sent").values()) == 1


def test_what_is_wrong_with_a_row_is_said_once_and_not_by_every_slice(run):
    found = run(QUIET % ("first", "defer", ", channels: [sms]", ""))
    assert len(found.slices) > 2
    found.sweep(PEOPLE)
    (said,) = found.problems
    assert found.problems[said] == sum(bool(user["shy"]) for user in PEOPLE)


def test_under_reach_first_the_first_channel_waits_for_the_last_that_may_be_used(run):
    """So that nobody is reached by one channel now, and by the other when their opt-outs have changed."""
    people = [
        {"id": "both", "timezone": TOKYO, "email": "a@x.example", "phone_number": "+819012345678"},
        {"id": "email only", "timezone": TOKYO, "email": "a@x.example", "phone_number": None},
    ]
    found = run(QUIET % ("first", "defer", ", channels: [sms]", ""), people)
    sent = {who: one for one, who, _, end in found.sweep(people) if end == "sent"}
    assert sent["email only"].opens_at is None
    assert sent["both"].opens_at is not None
    assert sent["both"].opens_at - FIRE == timedelta(hours=1)  # eight in Tokyo


def test_a_channel_that_is_skipped_in_quiet_hours_leaves_the_person_to_the_next(run):
    people = [{"id": "1", "timezone": LONDON, "email": "a@x.example", "phone_number": "+447911123456"}]
    ends = run(QUIET % ("first", "skip", ", channels: [email]", ""), people).sweep(people)
    assert [(channel, end) for _, _, channel, end in ends] == [(EMAIL, IN_QUIET_HOURS), (SMS, "sent")]


@pytest.mark.parametrize(("hours", "end"), [(3, "sent"), (5, EXPIRED)])
def test_deliveries_expire_while_a_slice_is_worked_on(run, hours, end):
    people = [{"id": "1", "timezone": NEW_YORK, "email": "a@x.example", "phone_number": None}]
    found = run(QUIET % ("all", "defer", "", ", expires_after: 4h"), people)
    settled = found.sweep(people, now=lambda: FIRE + timedelta(hours=hours))
    nobody = Ended(Outcome.skipped, Reason.no_address)
    assert [(channel, how) for _, _, channel, how in settled] == [(EMAIL, end), (SMS, nobody)]


def test_under_reach_first_too(run):
    people = [{"id": "1", "timezone": NEW_YORK, "email": "a@x.example", "phone_number": "+12125551234"}]
    found = run(QUIET % ("first", "defer", "", ", expires_after: 4h"), people)
    settled = found.sweep(people, now=lambda: FIRE + timedelta(hours=5))
    assert [(channel, how) for _, _, channel, how in settled] == [
        (EMAIL, EXPIRED),
        (SMS, Ended(Outcome.skipped, Reason.reached_elsewhere)),
    ]


def test_a_recovered_person_stays_with_their_channel_in_their_wave(run):
    people = [{"id": "1", "timezone": TOKYO, "email": "a@x.example", "phone_number": "+819012345678"}]
    found = run(QUIET % ("first", "defer", "", ""), people)
    (one,) = found.slices
    turn = Turn.of_slice(found.timing, one, found.known)
    person = Person("1", people[0], {EMAIL: 1})
    sms = found.composer(turn).deliveries(person)[1].result
    recovered = Recovered([Intent(sms.key, 1, SMS, "texts", 1)])
    email, again = found.composer(turn, recovered).deliveries(Person("1", people[0], {}))
    assert (email.result, again.result) == (Ended(Outcome.skipped, Reason.reached_elsewhere), sms)


def test_a_slice_without_a_turn_settles_everybody(run):
    found = run()
    composer = found.composer(None)
    assert not found.timing.waits
    assert [len(composer.deliveries(Person(user["id"], user, {}))) for user in PEOPLE] == [2] * len(PEOPLE)
