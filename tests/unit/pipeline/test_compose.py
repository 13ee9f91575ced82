"""From a row to messages: who gets what on which channel, and the same bytes every time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connect import wiring
from connect.channels.message import Outgoing
from connect.identity import KeyRing, mark_of
from connect.ledger.records import Intent
from connect.liquid.library import Library
from connect.pipeline.compose import Composer
from connect.pipeline.deliveries import Ended, Person, RunFacts
from connect.pipeline.links import UnsubscribeLinks
from connect.pipeline.recovery import Recovered
from connect.project.campaigns import load_campaign
from connect.project.load import templates
from connect.redact import Secret
from connect.vocabulary import Channel, Mode, Outcome, Reason

EMAIL, SMS = Channel.email, Channel.sms
NOBODY = Recovered()
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PROJECT = """\
name: acme
secret: ${CONNECT_SECRET}
providers: {mail: {type: memory}, texts: {type: memory}}
channels: {email: mail, sms: texts}
"""
HEAD = """\
trigger: {type: immediate}
audience: {people: [{id: 1, email: a@mail.example}]}
"""
BOTH = """\
message:
  content:
    - channel: email
      from: Acme <hello@acme.example>
      subject: "Hi {{ user.name }}"
      text: "Hi {{ user.name }}, {% random 1000000 %} {{ now | date: '%Y' }} {{ url.unsubscribe_link }}"
      cc: boss@acme.example
    - channel: sms
      body: "Hi {{ user.name }}"
"""
ADA = {"id": "1", "email": "Ada <ada@Mail.example>", "phone_number": "+61 491 570 156", "name": "Ada"}


@pytest.fixture
def compose(tmp_path):
    """Makes a composer for a campaign's text."""
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "connect.yml").write_text(PROJECT)

    def make(text=BOTH, *, mode=Mode.live, to=None, copied=(), recovered=NOBODY, run="run0000000000001"):
        (tmp_path / "campaigns" / "news.yml").write_text(HEAD + text)
        project = wiring.open_project(tmp_path, None, None, {"CONNECT_SECRET": "a secret that is long enough"})
        loaded = load_campaign(project, "news")
        assert loaded.campaign is not None, loaded.problems
        ring = KeyRing((Secret("a secret that is long enough"),))
        links = UnsubscribeLinks(ring, "https://acme.example", None, "off@acme.example", None)
        facts = RunFacts(run, "news", "dev", mode, NOON, b"run secret")
        library = Library(templates(project.root))
        return Composer(
            loaded.campaign, library, facts, links, test_recipient=to or {}, copied=set(copied), recovered=recovered
        )

    return make


def person(optouts=None, **changes):
    return Person("1:1", {**ADA, **changes}, optouts or {})


def results(composer, someone):
    return [delivery.result for delivery in composer.deliveries(someone)]


def skipped(reason):
    return Ended(Outcome.skipped, reason)


def refused(reason):
    return Ended(Outcome.refused, reason)


def test_one_delivery_for_each_channel_in_order_through_its_account(compose):
    deliveries = compose().deliveries(person())
    assert [(one.channel, one.route) for one in deliveries] == [(EMAIL, ("mail",)), (SMS, ("texts",))]
    email, sms = (one.result for one in deliveries)
    assert isinstance(email, Outgoing)
    assert isinstance(sms, Outgoing)
    assert (email.message.to[0].name, email.message.to[0].address.lower()) == ("Ada", "ada@mail.example")
    assert (email.message.subject, sms.message.body, sms.message.to) == ("Hi Ada", "Hi Ada", "+61491570156")
    assert email.message.cc[0].address == "boss@acme.example"
    assert email.key != sms.key
    assert email.correlation_id.startswith("c1.run0000000000001.")


def test_rendered_again_it_is_the_same_to_the_last_byte(compose):
    assert results(compose(), person()) == results(compose(), person())
    other = results(compose(run="run0000000000002"), person())
    assert other[0].correlation_id != results(compose(), person())[0].correlation_id


def test_marketing_says_how_to_unsubscribe_and_transactional_does_not(compose):
    marketing = dict(results(compose(), person())[0].message.headers)
    assert marketing["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "https://acme.example/u/" in marketing["List-Unsubscribe"]
    text = BOTH.replace("message:\n", "message:\n  transactional: true\n")
    assert "List-Unsubscribe" not in dict(results(compose(text), person())[0].message.headers)


@pytest.mark.parametrize(("flag", "reason"), [(1, Reason.unsubscribed), (2, Reason.bounced), (3, Reason.complained)])
def test_an_opt_out_of_one_channel_leaves_the_other(compose, flag, reason):
    email, sms = results(compose(), person({EMAIL: flag}))
    assert email == skipped(reason)
    assert isinstance(sms, Outgoing)


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({"email": None}, [skipped(Reason.no_address), None]),
        ({"email": "no address"}, [refused(Reason.invalid_email), None]),
        ({"phone_number": "x"}, [None, refused(Reason.invalid_phone)]),
        ({"email": "a@b.example, c@d.example"}, [refused(Reason.too_many_recipients), None]),
        ({"name": "Ada\nBcc: eve@mail.example"}, [refused(Reason.invalid_header), None]),
        ({"email": None, "phone_number": None}, [skipped(Reason.no_address)] * 2),
    ],
)
def test_each_channel_ends_for_its_own_reason(compose, changes, ends):
    found = results(compose(), person(**changes))
    assert [one if isinstance(one, Ended) else None for one in found] == ends


def test_the_template_may_skip_somebody(compose):
    text = BOTH.replace('body: "', "body: \"{% if user.name == 'Ada' %}{% skip 'not Ada' %}{% endif %}")
    assert results(compose(text), person())[1] == skipped("skip_tag: not Ada")
    assert isinstance(results(compose(text), person(name="Eve"))[1], Outgoing)


def test_what_went_wrong_is_told_by_its_place_and_never_by_its_value(compose):
    composer = compose(BOTH.replace('body: "', 'body: "{{ user.id | divided_by: user.zero }}'))
    assert results(composer, person(zero=0, name="Gwendolyn"))[1] == refused(Reason.render_error)
    assert results(composer, person(zero=0, name="Gwendolyn\nBcc: x"))[0] == refused(Reason.invalid_header)
    told = "\n".join(composer.problems)
    assert "news.yml:" in told
    assert "`subject` of the email content" in told
    assert "Gwendolyn" not in told


# Reach

FIRST = BOTH + "policy: {reach: first}\n"


def test_reach_first_takes_the_first_channel_with_an_address(compose):
    email, sms = results(compose(FIRST), person())
    assert isinstance(email, Outgoing)
    assert sms == skipped(Reason.reached_elsewhere)
    email, sms = results(compose(FIRST), person(email=None))
    assert email == skipped(Reason.no_address)
    assert isinstance(sms, Outgoing)


def test_under_reach_first_a_recovered_person_stays_with_their_channel(compose):
    sms = results(compose(), person())[1]
    recovered = Recovered([Intent(sms.key, 1, SMS, "texts", 1)])
    email, again = results(compose(FIRST, recovered=recovered), person())
    assert email == skipped(Reason.reached_elsewhere)
    assert again == sms


def test_a_person_is_known_again_whatever_their_address_and_apart_from_others(compose):
    key, other = results(compose(), person())[0].key, results(compose(), person(email="new@mail.example"))[0].key
    assert key != other
    assert mark_of(key) == mark_of(other) == compose().mark(person().key)
    assert compose().mark("1:2") != mark_of(key)


# Modes


def test_test_mode_sends_one_copy_to_the_test_recipient_without_copies(compose):
    composer = compose(mode=Mode.test, to={EMAIL: "Staff <staff@acme.example>"})
    first, second = results(composer, person()), results(composer, person(id="2"))
    assert [mailbox.address for mailbox in first[0].message.to] == ["staff@acme.example"]
    assert (first[0].message.cc, first[0].message.bcc) == ((), ())
    assert [first[1], *second] == [skipped(Reason.mode)] * 3


def test_offline_renders_and_sends_nothing(compose):
    composer = compose(mode=Mode.offline, to={EMAIL: "staff@acme.example"})
    assert results(composer, person()) == [skipped(Reason.mode)] * 2
    assert results(composer, person(name="a\nb"))[0] == refused(Reason.invalid_header)


# Locales

LOCALES = """\
message:
  content:
    - channel: sms
      body: "Hello"
    - channel: sms
      locale: fr
      body: "Bonjour"
    - channel: sms
      locale: pt-BR
      body: "Oi"
"""


@pytest.mark.parametrize(
    ("locale", "body"),
    [("fr", "Bonjour"), ("fr-CA", "Bonjour"), ("FR_ca", "Bonjour"), ("pt-BR", "Oi"), ("pt", "Hello"), (None, "Hello")],
)
def test_locales_fall_back(compose, locale, body):
    assert results(compose(LOCALES), person(locale=locale))[0].message.body == body
