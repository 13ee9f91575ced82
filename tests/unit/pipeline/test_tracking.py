"""What becomes of the links of a campaign's e-mails, and what those links know."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from connect import wiring
from connect.channels import mime
from connect.channels.message import Email, Outgoing
from connect.identity import KeyRing, SealBroken
from connect.liquid.library import Library
from connect.pipeline.compose import Composer
from connect.pipeline.deliveries import Person, RunFacts
from connect.pipeline.links import UnsubscribeLinks
from connect.pipeline.lint import campaign_problems
from connect.pipeline.public import problems
from connect.pipeline.tracking import Tracking, with_parameters
from connect.pipeline.visits import Kind, Visit, click_token, head, visit
from connect.project.campaigns import Loaded, load_campaign
from connect.project.load import templates
from connect.project.project import Project
from connect.redact import Secret
from connect.vocabulary import Mode

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECRET = "a secret that is long enough"
RING = KeyRing((Secret(SECRET),))
BASE = "https://connect.acme.example"
PROJECT = f"""\
name: acme
secret: ${{CONNECT_SECRET}}
serve: {{base_url: {BASE}}}
providers: {{mail: {{type: memory}}, own: {{type: sendgrid, api_key: "${{CONNECT_SECRET}}"}}}}
channels: {{email: mail}}
"""
HEAD = """\
trigger: {type: immediate}
audience: {people: [{id: 1, email: a@mail.example}]}
message:
  content:
    - channel: email
      from: Acme <hello@acme.example>
      subject: Hi
"""
PAGE = """\
      html: |
        <p>Hi {{ user.name }} <a href="https://shop.example/p/{{ user.product }}?a=1&amp;b=2#top">look</a>
        <a href="https://shop.example/sale?utm_source=mine">sale</a> {{ url.unsubscribe }}
        <a href="{{ url.permalink_link }}">see</a> <a href="https://shop.example/off" data-connect-track="off">off</a>
"""
ADA = {"id": "1", "email": "ada@mail.example", "name": "Ada", "product": "shoe & <b>"}


class World:
    """A project of one campaign."""

    def __init__(self, tmp_path, serve=True):
        self.root = tmp_path
        (tmp_path / "campaigns").mkdir()
        (tmp_path / "connect.yml").write_text(PROJECT if serve else re.sub("serve:.*\n", "", PROJECT))

    def load(self, text: str) -> tuple[Project, Loaded]:
        (self.root / "campaigns" / "news.yml").write_text(HEAD + text)
        project = wiring.open_project(self.root, None, None, {"CONNECT_SECRET": SECRET})
        return project, load_campaign(project, "news")

    def email(self, text: str, mode: Mode = Mode.live, by_themselves=frozenset(), base=BASE, **changes) -> Email:
        project, loaded = self.load(text)
        assert loaded.campaign is not None, loaded.problems
        links = UnsubscribeLinks(RING, BASE, None, None, None)
        facts = RunFacts("run0000000000001", "news", "dev", mode, NOON, b"run secret")
        tracking = Tracking("acme", "news", RING, base, by_themselves)
        composer = Composer(
            loaded.campaign,
            Library(templates(project.root)),
            facts,
            links,
            test_recipient={"email": "me@acme.example"},
            copied=set(),
            tracking=tracking,
        )
        (delivery,) = composer.deliveries(Person("1:1", {**ADA, **changes}, {}))
        assert isinstance(delivery.result, Outgoing), delivery.result
        assert isinstance(delivery.result.message, Email)
        return delivery.result.message


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def visits(page: str, kind: Kind = Kind.click) -> list[Visit]:
    return [visit(RING, kind, token) for token in re.findall(rf"{BASE}/{kind}/([\w-]+)", page)]


def test_links_are_sealed_with_where_they_led_and_whose_they_are(world):
    email = world.email("      track: {clicks: true}\n" + PAGE)
    first, second = visits(email.html)
    assert (first.url, first.number) == ("https://shop.example/p/shoe & <b>?a=1&b=2#top", 1)
    assert (second.url, second.number) == ("https://shop.example/sale?utm_source=mine", 2)
    assert first.run_id == "run0000000000001"
    assert f"c1.{first.run_id}." in email.message_id
    assert first.counts
    assert "https://shop.example/p" not in email.html
    assert 'href="https://shop.example/off"' in email.html


def test_the_text_beside_the_page_says_where_links_lead(world):
    email = world.email("      track: {opens: true, clicks: true}\n" + PAGE)
    assert "<https://shop.example/p/shoe" in email.text
    assert "/c/" not in email.text
    assert "/o/" not in email.text


def test_an_opening_is_a_picture_at_the_end(world):
    email = world.email("      track: {opens: true}\n" + PAGE)
    assert email.html.rstrip().endswith('border:0">')
    (opened,) = visits(email.html, Kind.open)
    assert opened.run_id == "run0000000000001"
    assert visits(email.html) == []


def test_nothing_is_done_that_is_not_asked_for(world):
    email = world.email(PAGE)
    assert (visits(email.html), visits(email.html, Kind.open)) == ([], [])
    assert 'href="https://shop.example/sale?utm_source=mine"' in email.html


def test_a_message_that_is_rendered_again_is_the_same_to_the_last_byte(world):
    text = "      track: {opens: true, clicks: true}\n" + PAGE
    assert mime.encode(world.email(text)) == mime.encode(world.email(text))
    assert world.email(text).html != world.email(text, email="other@mail.example").html


def test_a_page_that_is_the_same_for_all_has_links_for_each(world):
    text = "      track: {clicks: true}\n      html: '<a href=\"https://shop.example/\">x</a>'\n"
    one, other = world.email(text), world.email(text, email="other@mail.example")
    assert one.html != other.html
    assert one.text == other.text


def test_a_line_beside_the_subject_changes_nothing_about_links(world):
    text = "      preheader: Look {{ user.name }}\n      track: {clicks: true}\n" + PAGE
    email = world.email(text)
    assert len(visits(email.html)) == 2
    assert "Look Ada" in email.html


def test_links_of_a_test_copy_work_and_count_nothing(world):
    email = world.email("      track: {opens: true, clicks: true}\n" + PAGE, Mode.test)
    assert [one.counts for one in (*visits(email.html), *visits(email.html, Kind.open))] == [False] * 3
    assert email.to[0].address == "me@acme.example"


@pytest.mark.parametrize(
    ("value", "theirs", "ours"), [("true", True, 2), ("auto", True, 0), ("auto", False, 2), ("false", False, 0)]
)
def test_who_counts(world, value, theirs, ours):
    by_themselves = frozenset({"mail"}) if theirs else frozenset({"other"})
    email = world.email(f"      track: {{clicks: {value}}}\n" + PAGE, by_themselves=by_themselves)
    assert len(visits(email.html)) == ours


def test_in_a_preview_links_stay_as_they_are(world):
    email = world.email("      track: {opens: true, clicks: true}\n      utm: true\n" + PAGE, base=None)
    assert (visits(email.html), visits(email.html, Kind.open)) == ([], [])
    assert "sale?utm_source=mine&amp;utm_medium=email&amp;utm_campaign=news" in email.html


def test_utm_is_added_before_links_are_sealed(world):
    utm = "      utm: {campaign: spring & all, term: ü}\n"
    first, second = visits(world.email("      track: {clicks: true}\n" + utm + PAGE).html)
    added = "utm_medium=email&utm_campaign=spring+%26+all&utm_term=%C3%BC"
    assert first.url == f"https://shop.example/p/shoe%20&%20<b>?a=1&b=2&utm_source=acme&{added}#top"
    assert second.url == f"https://shop.example/sale?utm_source=mine&{added}"


@pytest.mark.parametrize(
    ("url", "made"),
    [
        ("https://a.example", "https://a.example?utm_source=x"),
        ("https://a.example/?", "https://a.example/?utm_source=x"),
        ("https://a.example/?b", "https://a.example/?b&utm_source=x"),
        ("https://a.example/#c?d", "https://a.example/?utm_source=x#c?d"),
        ("https://a.example/?utm%5Fsource=y", "https://a.example/?utm%5Fsource=y"),
        ("https://a.example/?xutm_source=y", "https://a.example/?xutm_source=y&utm_source=x"),
    ],
)
def test_parameters_stand_where_they_belong(url, made):
    assert with_parameters(url, (("utm_source", "x"),)) == made


def test_nobody_can_read_a_link_or_make_one():
    known = head("run0000000000001", b"k" * 16, counts=True)
    token = click_token(RING, known, "https://shop.example/ada@mail.example", 1)
    assert visit(RING, Kind.click, token).url == "https://shop.example/ada@mail.example"
    older = KeyRing((Secret("a newer secret, as long as it must be"), Secret(SECRET)))
    assert visit(older, Kind.click, token).number == 1
    for broken in (
        token[:-2],
        token[:40] + ("A" if token[40] != "A" else "B") + token[41:],
        "",
        "ä",
        token + "=",
        token + "!",
    ):
        with pytest.raises(SealBroken):
            visit(RING, Kind.click, broken)
    with pytest.raises(SealBroken):
        visit(RING, Kind.view, token)
    with pytest.raises(SealBroken):
        visit(KeyRing((Secret("another secret, just as long"),)), Kind.click, token)


def test_no_link_holds_an_address_in_clear(world):
    email = world.email("      track: {opens: true, clicks: true}\n" + PAGE.replace("user.product", "user.email"))
    assert "ada@mail.example" not in email.html
    assert "ada" not in email.html.lower().replace("hi ada", "")


def found(world, text):
    project, loaded = world.load(text)
    return [(one.code, one.location.line) for one in problems(project, loaded, Library({}))]


def test_what_needs_a_server_says_so(tmp_path, world):
    assert found(world, "      track: {clicks: auto}\n" + PAGE) == []
    (tmp_path / "other").mkdir()
    without = World(tmp_path / "other", serve=False)
    assert found(without, "      track: {clicks: auto}\n" + PAGE) == [("no-base-url", 8), ("no-base-url", 12)]
    assert found(without, "      track: {clicks: false}\n      text: x\n") == []


def test_only_an_email_can_be_seen_in_a_browser(world):
    text = "      text: x\n    - {channel: sms, provider: mail, body: '{{ url.permalink_link }}'}\n"
    assert found(world, text) == [("permalink-elsewhere", 9)]


def test_an_anchor_stands_in_a_page(world):
    _, loaded = world.load("      text: '{{ url.permalink }}'\n      html: '<p>{{ url.permalink }}</p>'\n")
    wrong = campaign_problems(loaded.campaign, Library({}), ["id", "email"])
    assert [(one.code, one.hint, one.location.line) for one in wrong] == [
        ("anchor-in-text", "write `url.permalink_link`", 8)
    ]


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("track: true", "wrong-type"),
        ("track: {opens: maybe}", "wrong-type"),
        ("track: {clicks: []}", "wrong-type"),
        ("track: {open: true}", "unknown-key"),
        ("utm: yes", "wrong-type"),
        ("utm: [a]", "wrong-type"),
        ("utm: {sorce: x}", "unknown-key"),
    ],
)
def test_a_mistake_is_shown_where_it_stands(world, key, code):
    _, loaded = world.load(f"      {key}\n      text: x\n")
    (problem,) = loaded.problems
    assert (problem.code, problem.location.line) == (code, 8)
