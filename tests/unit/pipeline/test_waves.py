"""Windows and waves: nobody in quiet hours, everybody at their moment, and each delivery in exactly one wave."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connect.channels.zones import Place
from connect.ledger.records import START, WHOLE, NewSlice
from connect.pipeline.deliveries import Ended
from connect.pipeline.waves import AT_ONCE, EXPIRED, IN_QUIET_HOURS, Timing, Turn, Window
from connect.project.policy import Batches, QuietHours
from connect.project.trigger import Immediate, Recurring, Scheduled
from connect.schedule.due import fire_times
from connect.vocabulary import Channel, Reach
from tests.examples import some

EMAIL, SMS = Channel.email, Channel.sms
NIGHT = {"start": "21:00", "end": "08:00"}
HOUR = timedelta(hours=1)
# Thirty zones of every kind: whole, half and quarter hours, both hemispheres, clocks that move at midnight, by half an
# hour, for a month of the year, and those that never do.
ZONES = [
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Australia/Eucla",
    "Australia/Perth",
    "America/New_York",
    "America/Los_Angeles",
    "America/St_Johns",
    "America/Santiago",
    "America/Havana",
    "America/Sao_Paulo",
    "America/Asuncion",
    "Europe/London",
    "Europe/Dublin",
    "Europe/Berlin",
    "Europe/Kyiv",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Lagos",
    "Asia/Tehran",
    "Asia/Beirut",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Asia/Almaty",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "UTC",
]
assert len(ZONES) == 30


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def hours(**fields: Any) -> QuietHours:
    texts = {name: time.fromisoformat(value) for name, value in fields.items() if name in ("start", "end")}
    countries = {
        name: dict(zip(("start", "end"), map(time.fromisoformat, pair), strict=True))
        for name, pair in fields.pop("countries", {}).items()
    }
    return QuietHours(**{**fields, **texts, "countries": countries})


def timing(fire_time: datetime, written: QuietHours | None = None, **fields: Any) -> Timing:
    given: dict[str, Any] = {
        "trigger": Immediate(type="immediate"),
        "zone": "UTC",
        "channels": (EMAIL, SMS),
        "reach": Reach.all,
        "sms_default": False,
        "expires_after": None,
        "batches": None,
        "live": True,
        "phone": "phone_number",
    }
    return Timing(fire_time=fire_time, written=written, **{**given, **fields})


def local(fire_time: datetime, zone: str = "UTC") -> Scheduled:
    return Scheduled(type="scheduled", at=fire_time, timezone=zone, local_time=True)


def here(*zones: str, country: str = "") -> Place:
    return Place(zones, country)


def wall(window: Window | Ended, zone: str) -> tuple[str, str]:
    assert isinstance(window, Window)
    ends = (window.opens, window.closes)
    opens, closes = (one.astimezone(ZoneInfo(zone)).strftime("%d %H:%M") if one else "" for one in ends)
    return opens, closes


# Quiet hours


@pytest.mark.parametrize(
    ("fire", "opens", "closes"),
    [
        ("2026-06-10 20:59", "10 20:59", "10 21:00"),
        ("2026-06-10 21:00", "11 08:00", "11 21:00"),
        ("2026-06-10 03:00", "10 08:00", "10 21:00"),
        ("2026-06-10 08:00", "10 08:00", "10 21:00"),
        ("2026-06-10 12:34", "10 12:34", "10 21:00"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/New_York"])
def test_a_delivery_waits_for_the_end_of_the_quiet_hours(fire: str, opens: str, closes: str, zone: str) -> None:
    found = timing(at(fire, zone), hours(**NIGHT)).of(EMAIL, here(zone))
    assert wall(found, zone) == (opens, closes)


def test_or_is_skipped() -> None:
    skips = hours(**NIGHT, action="skip")
    assert timing(at("2026-06-10 22:00"), skips).of(EMAIL, here("UTC")) == IN_QUIET_HOURS
    assert timing(at("2026-06-10 20:00"), skips).of(EMAIL, here("UTC")) == Window(
        at("2026-06-10 20:00"), at("2026-06-10 21:00")
    )


@pytest.mark.parametrize("fire", ["13:00", "14:00", "14:59"])
def test_hours_that_do_not_pass_midnight(fire: str) -> None:
    siesta = hours(start="13:00", end="15:00")
    assert wall(timing(at(f"2026-06-10 {fire}"), siesta).of(EMAIL, here("UTC")), "UTC") == ("10 15:00", "11 13:00")


def test_without_quiet_hours_a_delivery_is_open_for_ever() -> None:
    noon = at("2026-06-10 12:00")
    assert timing(noon).of(EMAIL, here("Asia/Tokyo")) == Window(noon)
    assert timing(noon, hours(**NIGHT, channels=(SMS,))).of(EMAIL, here("Asia/Tokyo")) == Window(noon)


def test_a_test_run_waits_for_nothing() -> None:
    night = at("2026-06-10 23:00")
    tried = timing(night, hours(**NIGHT), live=False, sms_default=True, trigger=local(night), expires_after=HOUR)
    assert tried.of(SMS, here("Asia/Tokyo")) == Window(night)
    assert not tried.waits
    assert tried.slices([here("Asia/Tokyo")], night) == WHOLE


def test_quiet_hours_by_the_projects_clock() -> None:
    found = timing(at("2026-06-10 22:00"), hours(**NIGHT, timezone="project")).of(EMAIL, here("Asia/Tokyo"))
    assert wall(found, "UTC") == ("11 08:00", "11 21:00")


def test_nobody_knows_where_somebody_is() -> None:
    found = timing(at("2026-06-10 22:00", "Asia/Tokyo"), hours(**NIGHT), zone="Asia/Tokyo").of(EMAIL, here())
    assert wall(found, "Asia/Tokyo") == ("11 08:00", "11 21:00")


def test_somebody_may_be_in_several_zones() -> None:
    lisbon, azores = "Europe/Lisbon", "Atlantic/Azores"
    night = timing(at("2026-06-10 23:00"), hours(**NIGHT))
    assert wall(night.of(EMAIL, here(azores, lisbon)), lisbon) == ("11 09:00", "11 21:00")  # eight on the Azores
    at_home = timing(at("2026-06-10 23:00"), hours(**NIGHT), zone=lisbon)
    assert wall(at_home.of(EMAIL, here(azores, lisbon)), lisbon) == ("11 08:00", "11 21:00")


def test_a_local_time_has_come_in_all_of_several_zones() -> None:
    nine = at("2026-06-10 09:00")
    run = timing(nine, trigger=local(nine))
    assert run.meant(here("Europe/Lisbon", "Atlantic/Azores")) == at("2026-06-10 09:00", "Atlantic/Azores")


def test_zones_that_are_never_awake_together() -> None:
    mornings = hours(start="09:00", end="08:00")
    apart = here("Europe/London", "Asia/Tokyo")
    assert timing(at("2026-06-10 12:00"), mornings).of(EMAIL, apart) == IN_QUIET_HOURS


@pytest.mark.parametrize(
    ("country", "opens", "closes"),
    [("US", "08:00", "20:00"), ("AU", "08:00", "20:00"), ("BR", "08:00", "21:00"), ("KZ", "09:00", "22:00")],
)
def test_text_messages_have_default_hours(country: str, opens: str, closes: str) -> None:
    found = timing(at("2026-06-10 03:00"), sms_default=True).of(SMS, here("UTC", country=country))
    assert wall(found, "UTC") == (f"10 {opens}", f"10 {closes}")


def test_e_mails_have_none() -> None:
    night = at("2026-06-10 03:00")
    assert timing(night, sms_default=True).of(EMAIL, here("UTC", country="BR")) == Window(night)


@pytest.mark.parametrize(
    ("written", "country", "opens"),
    [
        ({"start": "22:00", "end": "07:00"}, "BR", "07:00"),  # from and to are for everybody…
        ({"start": "22:00", "end": "07:00", "countries": {"BR": ("22:00", "10:00")}}, "BR", "10:00"),
        ({"start": "22:00", "end": "07:00", "countries": {"BR": ("22:00", "10:00")}}, "US", "07:00"),
        ({"countries": {"FR": ("22:00", "10:00")}}, "FR", "10:00"),
        ({"countries": {"FR": ("22:00", "10:00")}}, "KZ", "09:00"),  # …and without them the default stays
        ({"start": "22:00", "end": "07:00", "channels": (EMAIL,)}, "US", "08:00"),
    ],
)
def test_which_hours_hold_for_a_text_message(written: dict[str, Any], country: str, opens: str) -> None:
    found = timing(at("2026-06-10 03:00"), hours(**written), sms_default=True).of(SMS, here("UTC", country=country))
    assert wall(found, "UTC")[0] == f"10 {opens}"


@pytest.mark.parametrize(
    ("zone", "quiet", "fire", "opens", "closes"),
    [
        # 02:00 becomes 03:00 on 2026-03-08: quiet hours that end at 02:30 end with the gap.
        ("America/New_York", ("22:00", "02:30"), "2026-03-08 01:00", "08 03:00", "08 22:00"),
        # An hour that the clock skips is quiet on no clock.
        ("America/New_York", ("02:00", "03:00"), "2026-03-08 01:59", "08 01:59", "09 02:00"),
        # 02:00 becomes 01:00 on 2026-11-01: what is over comes back, and nothing is sent in it.
        ("America/New_York", ("22:00", "01:30"), "2026-11-01 00:30", "01 01:30", "01 01:00"),
        ("America/New_York", ("01:30", "01:45"), "2026-11-01 00:30", "01 00:30", "01 01:30"),
        # By half an hour.
        ("Australia/Lord_Howe", ("22:00", "01:45"), "2026-04-05 00:00", "05 01:45", "05 01:30"),
        # At midnight.
        ("Asia/Beirut", ("22:00", "00:30"), "2026-03-28 23:00", "29 01:00", "29 22:00"),
    ],
)
def test_a_clock_that_moves(zone: str, quiet: tuple[str, str], fire: str, opens: str, closes: str) -> None:
    written = hours(start=quiet[0], end=quiet[1])
    assert wall(timing(at(fire, zone), written).of(EMAIL, here(zone)), zone) == (opens, closes)


# Too late


def test_what_opens_too_late_has_expired() -> None:
    night = at("2026-06-10 22:00")
    assert timing(night, hours(**NIGHT), expires_after=9 * HOUR).of(EMAIL, here("UTC")) == EXPIRED
    assert isinstance(timing(night, hours(**NIGHT), expires_after=10 * HOUR).of(EMAIL, here("UTC")), Window)


def test_a_delivery_expires_so_long_after_the_moment_that_it_is_meant_for() -> None:
    nine = at("2026-06-10 09:00")
    run = timing(nine, trigger=local(nine), expires_after=HOUR)
    tokyo = here("Asia/Tokyo")
    meant = at("2026-06-10 09:00", "Asia/Tokyo")
    assert run.expires(tokyo) == meant + HOUR
    assert not run.is_late(tokyo, meant + HOUR)
    assert run.is_late(tokyo, meant + HOUR + timedelta(microseconds=1))


# Waves


def test_a_wave_is_the_zones_that_open_and_close_together() -> None:
    run = timing(at("2026-06-10 22:00"), hours(**NIGHT))
    places = [here(zone) for zone in ("America/New_York", "America/Toronto", "Europe/London", "Europe/Berlin")]
    waves = [run.wave_of(window) for place in places if isinstance(window := run.of(EMAIL, place), Window)]
    assert waves[0] == waves[1]
    assert len(set(waves)) == 3
    assert run.waves(places) == set(waves)
    assert [one.wave for one in run.slices(places, at("2026-06-10 22:00"))] == run.in_order(set(waves))


def test_everybody_at_once_is_one_slice() -> None:
    noon = at("2026-06-10 12:00")
    assert timing(noon).slices([here(), here("Asia/Tokyo")], noon) == WHOLE
    assert not timing(noon).waits


def test_an_audience_of_nobody_or_of_the_skipped_is_one_slice() -> None:
    night = at("2026-06-10 22:00")
    assert timing(night, hours(**NIGHT)).slices([], night) == WHOLE
    assert timing(night, hours(**NIGHT, action="skip")).slices([here("UTC")], night) == WHOLE


@pytest.mark.parametrize("closes", [None, datetime(2026, 6, 11, 21, tzinfo=UTC)])
@pytest.mark.parametrize("micro", [0, 1, 123456])
def test_a_wave_names_its_window(closes: datetime | None, micro: int) -> None:
    run, window = timing(at("2026-06-10 12:00")), Window(datetime(2026, 6, 11, 8, 0, 0, micro, tzinfo=UTC), closes)
    assert run.window_of(run.wave_of(window)) == window
    assert run.window_of(AT_ONCE) == Window(run.fire_time)


def test_timing_and_turns_can_be_sent_to_another_process() -> None:
    run = timing(at("2026-06-10 22:00"), hours(**NIGHT), trigger=local(at("2026-06-10 22:00")))
    places = [here("Asia/Tokyo"), here("UTC")]
    known = run.waves(places)
    turn = Turn(run, min(known), known, run.window_of(min(known)))
    copy = pickle.loads(pickle.dumps(turn))
    assert copy.timing == run
    assert [copy.decide((EMAIL,), place) for place in places] == [turn.decide((EMAIL,), place) for place in places]


# Batches


def test_batches_are_equal_parts_of_the_hash_space_spaced_out() -> None:
    noon = at("2026-06-10 12:00")
    run = timing(noon, batches=Batches(count=3, every=HOUR))
    found = run.slices([here()], noon)
    assert [one.opens_at for one in found] == [None, noon + HOUR, noon + 2 * HOUR]
    assert {one.closes_at for one in found} == {None}
    _is_the_whole(found)
    widths = [_number(one.high, 1 << 128) - _number(one.low, 0) for one in found]
    assert max(widths) - min(widths) <= 1


def _number(bound: str | None, nothing: int) -> int:
    return int(bound, 16) if bound else nothing


def _is_the_whole(slices: Sequence[NewSlice]) -> None:
    """These cover the hash space, and nothing twice."""
    by_place = sorted(slices, key=lambda one: one.low)
    assert by_place[0].low == START
    assert by_place[-1].high is None
    assert all(one.high == other.low and len(other.low) == 32 for one, other in pairwise(by_place))


def test_a_batch_that_would_open_in_quiet_hours_opens_after_them() -> None:
    run = timing(at("2026-06-10 19:00"), hours(**NIGHT), batches=Batches(count=3, every=HOUR))
    found = run.slices([here("UTC")], at("2026-06-10 19:00"))
    morning, evening = at("2026-06-11 08:00"), at("2026-06-10 21:00")
    assert [one.opens_at for one in found] == [None, at("2026-06-10 20:00"), morning]
    assert [one.closes_at for one in found] == [evening, evening, at("2026-06-11 21:00")]
    _is_the_whole(found)


def test_each_wave_has_its_batches() -> None:
    run = timing(at("2026-06-10 06:00"), hours(**NIGHT), batches=Batches(count=4, every=HOUR))
    found = run.slices([here("UTC"), here("America/New_York")], at("2026-06-10 06:00"))
    waves = {one.wave for one in found}
    assert len(waves) == 2
    for wave in waves:
        _is_the_whole([one for one in found if one.wave == wave])
    assert [one.opens_at for one in found] == sorted(one.opens_at for one in found if one.opens_at)


def test_a_run_that_starts_late_spaces_its_batches_from_now() -> None:
    run = timing(at("2026-06-10 12:00"), batches=Batches(count=2, every=HOUR))
    assert [one.opens_at for one in run.slices([here()], at("2026-06-10 15:00"))] == [None, at("2026-06-10 16:00")]


# Opening again


def test_a_wave_that_was_closed_half_way_opens_in_the_next_morning() -> None:
    run = timing(at("2026-06-10 19:00"), hours(**NIGHT))
    (wave,) = run.waves([here("UTC")])
    evening, morning = at("2026-06-10 21:00"), at("2026-06-11 08:00")
    assert run.reopens(wave, at("2026-06-10 20:59")) == Window(at("2026-06-10 19:00"), evening)
    assert run.reopens(wave, evening) == Window(morning, at("2026-06-11 21:00"))
    assert run.reopens(wave, at("2026-06-11 12:00")) == Window(at("2026-06-11 12:00"), at("2026-06-11 21:00"))


def test_a_run_that_starts_when_its_window_has_closed() -> None:
    run = timing(at("2026-06-10 19:00"), hours(**NIGHT))
    (late,) = run.slices([here("UTC")], at("2026-06-10 22:00"))
    assert (late.opens_at, late.closes_at) == (at("2026-06-11 08:00"), at("2026-06-11 21:00"))
    (later,) = run.slices([here("UTC")], at("2026-06-11 12:00"))
    assert Turn.of_slice(run, later, {later.wave}).decide((EMAIL,), here("UTC")) is True


def test_zones_that_drift_apart_open_with_the_last_and_close_with_the_first() -> None:
    """London and Lisbon move together, Lagos never: on 25 October 2026 it is an hour behind itself."""
    run = timing(at("2026-10-24 20:00", "Europe/London"), hours(**NIGHT))
    london, lagos = here("Europe/London"), here("Africa/Lagos")
    assert run.waves([london]) == run.waves([lagos])
    (wave,) = run.waves([london, lagos])
    evening = at("2026-10-24 21:00", "Europe/London")
    found = run.reopens(wave, evening, [london, lagos])
    assert wall(found, "Europe/London") == ("25 08:00", "25 20:00")
    assert wall(found, "Africa/Lagos") == ("25 09:00", "25 21:00")
    # Of an audience that is not known, somebody with a Portuguese mobile may be on the Azores.
    assert wall(run.reopens(wave, evening), "Europe/London") == ("25 09:00", "25 20:00")
    assert run.reopens(wave, evening, [london]) == Window(at("2026-10-25 08:00"), at("2026-10-25 21:00"))


def test_a_wave_that_is_never_awake_together_again_opens_with_the_first() -> None:
    """New York and La Paz have one clock in summer; in winter a short hour of the day is apart."""
    run = timing(at("2026-10-31 09:00", "America/New_York"), hours(start="09:30", end="09:00"))
    new_york, la_paz = here("America/New_York"), here("America/La_Paz")
    known = run.waves([new_york, la_paz])
    (wave,) = known
    found = run.reopens(wave, at("2026-11-01 06:00"), [new_york, la_paz])
    assert wall(found, "America/La_Paz") == ("01 09:00", "01 09:30")
    turn = Turn(run, wave, known, found)
    assert [turn.decide((EMAIL,), place) for place in (la_paz, new_york)] == [True, IN_QUIET_HOURS]


def test_where_all_of_a_wave_are_skipped_nobody_waits_for_it() -> None:
    run = timing(at("2026-06-10 20:00"), hours(**NIGHT, action="skip"))
    (wave,) = run.waves([here("UTC")])
    evening = at("2026-06-10 21:00")
    assert run.reopens(wave, evening) == Window(evening)
    turn = Turn(run, wave, {wave}, run.reopens(wave, evening))
    assert turn.decide((EMAIL,), here("UTC")) == IN_QUIET_HOURS


def test_what_opens_again_too_late_has_expired() -> None:
    run = timing(at("2026-06-10 20:00"), hours(**NIGHT), expires_after=2 * HOUR)
    (wave,) = run.waves([here("UTC")])
    turn = Turn(run, wave, {wave}, run.reopens(wave, at("2026-06-10 21:00")))
    assert turn.decide((EMAIL,), here("UTC")) == EXPIRED


# Turns


def test_people_of_a_wave_that_the_run_does_not_know_are_in_the_last_one() -> None:
    fire = at("2026-06-10 22:00")
    run = timing(fire, hours(**NIGHT))
    known = run.waves([here("Asia/Tokyo"), here("UTC")])
    first, last = run.in_order(known)
    joined = [here("Europe/Dublin"), here("America/New_York"), here("Asia/Kolkata")]
    assert not run.waves(joined) & known
    turns = [Turn(run, wave, known, run.window_of(wave)) for wave in (first, last)]
    assert [turns[0].decide((EMAIL,), place) for place in joined] == [False, False, False]
    # The last opens at eight in UTC: nine in Dublin, but the evening comes there first; four in New York.
    assert [turns[1].decide((EMAIL,), place) for place in joined] == [IN_QUIET_HOURS] * 3
    siesta = timing(fire, hours(start="23:00", end="23:30"))
    known = siesta.waves([here("UTC")])
    (wave,) = known
    assert Turn(siesta, wave, known, Window(fire, fire + HOUR)).decide((EMAIL,), here("Asia/Kolkata")) is True


def test_those_who_end_because_of_the_time_are_in_the_first_wave() -> None:
    run = timing(at("2026-06-10 12:00"), hours(**NIGHT, action="skip"))
    known = run.waves([here("UTC"), here("Europe/London")])
    turns = [Turn(run, wave, known, run.window_of(wave)) for wave in run.in_order(known)]
    assert [turn.decide((EMAIL,), here("Asia/Tokyo")) for turn in turns] == [IN_QUIET_HOURS, False]


# Properties

_times = st.times().map(lambda one: one.replace(second=0, microsecond=0, fold=0))
_instants = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))
_transitions = st.sampled_from(
    [
        at(text)
        for text in (
            "2026-03-08 07:00",
            "2026-11-01 06:00",
            "2026-03-29 01:00",
            "2026-10-25 01:00",
            "2026-04-04 15:00",
            "2026-10-03 15:30",
            "2026-04-23 22:00",
            "2026-03-28 22:00",
            "2026-02-15 02:00",
            "2026-03-22 02:00",
            "2026-09-06 04:00",
        )
    ]
)
_near = st.builds(lambda edge, minutes: edge + timedelta(minutes=minutes), _transitions, st.integers(-1500, 1500))
_written = st.builds(
    lambda start, end, zone, action: QuietHours(start=start, end=end, timezone=zone, action=action),
    _times,
    _times,
    st.sampled_from(["user", "project"]),
    st.sampled_from(["defer", "skip"]),
).filter(lambda one: one.start != one.end)
_places = st.lists(st.sampled_from(ZONES), max_size=3, unique=True).map(lambda zones: here(*zones))


def _in_quiet_hours(instant: datetime, written: QuietHours, zones: Sequence[str]) -> bool:
    """As a person with a watch would say it: minutes of the day, around the clock."""
    assert written.start
    assert written.end

    def minutes(one: time) -> float:
        return one.hour * 60 + one.minute + one.second / 60 + one.microsecond / 6e7

    length = (minutes(written.end) - minutes(written.start)) % 1440
    walls = (instant.astimezone(ZoneInfo(zone)).time() for zone in zones)
    return any((minutes(wall) - minutes(written.start)) % 1440 < length for wall in walls)


@settings(max_examples=some(150), deadline=None)
@given(fire=_instants | _near, written=_written, place=_places, local_time=st.booleans(), share=st.floats(0, 1))
@example(  # the repeated half hour of Lord Howe
    fire=at("2026-04-04 14:50"),
    written=hours(start="22:00", end="01:45"),
    place=here("Australia/Lord_Howe"),
    local_time=False,
    share=0.99,
)
def test_a_window_has_no_quiet_instant_and_none_is_left_out(
    fire: datetime, written: QuietHours, place: Place, local_time: bool, share: float
) -> None:
    home = "Europe/London"
    run = timing(fire, written, zone=home, **({"trigger": local(fire)} if local_time else {}))
    zones = [home] if written.timezone == "project" or home in place.zones or not place.zones else place.zones
    window, meant = run.of(EMAIL, place), run.meant(place)
    if not isinstance(window, Window):
        never = all(_in_quiet_hours(meant + n * timedelta(minutes=1), written, zones) for n in range(1440))
        assert (written.action == "skip" and _in_quiet_hours(meant, written, zones)) or never
        return
    assert window.closes is not None
    assert meant <= window.opens < window.closes
    inside = (window.opens, window.opens + (window.closes - window.opens) * share, window.closes - timedelta(seconds=1))
    for instant in inside:
        if window.holds(instant):
            assert not _in_quiet_hours(instant, written, zones)
    assert _in_quiet_hours(window.closes, written, zones)
    before = meant + (window.opens - meant) * share
    assert before == window.opens or _in_quiet_hours(before, written, zones)


@settings(max_examples=some(80), deadline=None)
@given(
    fire=_instants | _near,
    written=_written | st.none(),
    places=st.lists(_places, min_size=1, max_size=8),
    joined=st.lists(_places, max_size=4),
    count=st.integers(1, 3),
    late=st.integers(0, 2000),
    expires=st.integers(0, 30) | st.none(),
    reach=st.sampled_from(Reach),
)
def test_every_delivery_is_settled_in_one_slice_and_never_in_quiet_hours(
    fire: datetime,
    written: QuietHours | None,
    places: list[Place],
    joined: list[Place],
    count: int,
    late: int,
    expires: int | None,
    reach: Reach,
) -> None:
    batches = Batches(count=count, every=HOUR) if count > 1 else None
    run = timing(
        fire,
        written,
        trigger=local(fire, "Asia/Tokyo"),
        sms_default=True,
        batches=batches,
        reach=reach,
        expires_after=None if expires is None else expires * HOUR,
    )
    slices = run.slices(places, fire + timedelta(minutes=late))
    known = {one.wave for one in slices}
    for channels in [(EMAIL,), (SMS,), (EMAIL, SMS)][: 2 if reach is Reach.all else 3]:
        for place in places + joined:
            turns = [Turn.of_slice(run, one, known) for one in slices]
            decided = [(turn, verdict) for turn in turns if (verdict := turn.decide(channels, place)) is not False]
            assert len(decided) == count  # once in each part of the hash space
            _is_the_whole([one for one, turn in zip(slices, turns, strict=True) if turn.decide(channels, place)])
            for turn, verdict in decided:
                if verdict is True:
                    _may_be_sent(run, channels, place, turn.window)


def _may_be_sent(run: Timing, channels: Sequence[Channel], place: Place, window: Window) -> None:
    assert window.opens >= run.meant(place)
    ends = [window.opens, window.closes - timedelta(seconds=1)] if window.closes else [window.opens]
    for instant in ends:
        zones = place.zones or ["UTC"]
        if run.written:
            by = ["UTC"] if run.written.timezone == "project" or "UTC" in zones else zones
            assert not _in_quiet_hours(instant, run.written, by)
        elif SMS in channels:
            default = hours(start="20:00", end="08:00")
            assert not _in_quiet_hours(instant, default, ["UTC"] if "UTC" in zones else zones)


def test_a_year_of_a_daily_campaign_at_everybodys_nine_o_clock() -> None:
    """Thirty zones: each occurrence at the right wall time, on the right day, and once."""
    trigger = Recurring(type="recurring", cron="30 2 * * *", timezone="Australia/Sydney", local_time=True)
    fires = fire_times(trigger, at("2026-01-01 00:00"), at("2027-01-01 00:00"))
    assert len(fires) == 365
    for zone in ZONES:
        meant = [timing(fire, trigger=trigger).meant(here(zone)) for fire in fires]
        assert len(set(meant)) == len(meant)
        for fire, instant in zip(fires, meant, strict=True):
            day = fire.astimezone(ZoneInfo("Australia/Sydney")).date()
            shown = instant.astimezone(ZoneInfo(zone))
            if shown.strftime("%H:%M") != "02:30":  # the clock skips it: right after the gap
                before = (instant - timedelta(seconds=1)).astimezone(ZoneInfo(zone))
                assert before.time() < time(2, 30) < shown.time()
                assert before.utcoffset() != shown.utcoffset()
            assert (shown.date(), shown.fold) == (day, 0)


def test_a_year_of_local_mornings_in_waves_never_in_quiet_hours() -> None:
    """Each zone in exactly one wave of each occurrence, which opens at its nine o'clock."""
    trigger = Recurring(type="recurring", cron="0 9 * * *", timezone="Europe/Berlin", local_time=True)
    written = hours(start="21:00", end="08:30")
    places = [here(zone) for zone in ZONES]
    for fire in fire_times(trigger, at("2026-01-01 00:00"), at("2027-01-01 00:00")):
        run = timing(fire, written, trigger=trigger, zone="Europe/Berlin", channels=(EMAIL,))
        slices = run.slices(places, fire - 26 * HOUR)
        known = {one.wave for one in slices}
        turns = [Turn.of_slice(run, one, known) for one in slices]
        for zone, place in zip(ZONES, places, strict=True):
            (mine,) = [turn for turn in turns if turn.decide((EMAIL,), place)]
            assert mine.decide((EMAIL,), place) is True
            assert mine.window.opens.astimezone(ZoneInfo(zone)).strftime("%H:%M") == "09:00"
            assert mine.window.closes is not None
            assert mine.window.closes.astimezone(ZoneInfo(zone)).strftime("%H:%M") == "21:00"
