"""The page that shows rendered messages: complete, quiet, and with nothing of a message taken for its own markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from connect.reports.pages import Shown, messages_page
from connect.vocabulary import Channel


def email(**changed: object) -> Shown:
    fields: dict[str, object] = {
        "channel": Channel.email,
        "to": "Ada <ada@example.com>",
        "sender": "Shop <shop@example.com>",
        "subject": "Hello",
        "preheader": "",
        "html": "<p>Hi Ada</p>",
        "text": "Hi Ada",
        "label": "row 1",
        "notes": (),
    }
    return Shown(**{**fields, **changed})  # type: ignore[arg-type]


def sms(body: str) -> Shown:
    return email(channel=Channel.sms, to="+447400123456", sender="Shop", subject="", html=None, text=body)


def push(**changed: object) -> Shown:
    fields: dict[str, object] = {
        "channel": Channel.push,
        "to": "a-token",
        "sender": "",
        "subject": "On its way",
        "html": None,
        "text": "Alex picked it up",
        "platform": "android",
        "image": "https://acme.example/rider.png",
        "url": "acme://orders/7",
        "data": (("order", "7"),),
        "options": (("badge", "3"),),
    }
    return email(**{**fields, **changed})


def request(**changed: object) -> Shown:
    fields: dict[str, object] = {
        "channel": Channel.http,
        "to": "https://acme.example/in",
        "sender": "",
        "subject": "",
        "html": None,
        "text": '{\n  "name": "Zoë",\n  "n": 1\n}',
        "method": "PUT",
        "headers": (("Content-Type", "application/json"), ("X-Name", "Zoë")),
        "options": (("signed", "yes"),),
    }
    return email(**{**fields, **changed})


class Read(HTMLParser):
    """The page as a browser would take it: its elements with their attributes, and all of its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.lasttag != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def read(*shown: Shown) -> Read:
    return Read(messages_page("Outbox", "what was captured", shown))


def test_it_names_itself() -> None:
    page = read(email())
    assert "Outbox" in page.text
    assert "what was captured" in page.text


def test_an_email_is_shown_in_a_frame_that_runs_no_script_and_goes_nowhere() -> None:
    (frame,) = read(email(html="<script>alert(1)</script><p>Hi</p>")).all("iframe")
    assert frame["sandbox"] is None  # present, and allows nothing
    assert "allow" not in frame
    assert frame["srcdoc"] == '<base target="_blank"><script>alert(1)</script><p>Hi</p>'


def test_links_are_turned_away_inside_the_head_so_that_the_doctype_stays_first() -> None:
    (frame,) = read(email(html='<!doctype html><html><head lang="en"><title>x</title></head></html>')).all("iframe")
    assert (frame["srcdoc"] or "").startswith('<!doctype html><html><head lang="en"><base target="_blank"><title>')
    (frame,) = read(email(html="<!DOCTYPE html>\n<p>x")).all("iframe")
    assert frame["srcdoc"] == '<!DOCTYPE html><base target="_blank">\n<p>x'


def test_header_fields_stand_above_an_email() -> None:
    text = read(email(preheader="A look inside")).text
    for value in ("Ada <ada@example.com>", "Shop <shop@example.com>", "Hello", "A look inside"):
        assert value in text


def test_an_emails_text_part_is_there_too() -> None:
    page = read(email(text="Hi Ada\nin plain words"))
    assert "in plain words" in page.text
    assert {label["for"] for label in page.all("label")} >= {"wide", "phone", "plain"}


def test_an_email_without_html_has_no_frame() -> None:
    page = read(email(html=None, text="only words"))
    assert page.all("iframe") == []
    assert "only words" in page.text


def test_a_text_message_is_a_bubble_with_its_length() -> None:
    page = read(sms("Your points expire <soon>"))
    assert page.all("iframe") == []
    assert any(attributes.get("class") == "bubble" for attributes in page.all("p"))
    assert "Your points expire <soon>" in page.text
    assert "25 characters" in page.text


def test_a_text_messages_segments_are_told_where_they_are_known() -> None:
    assert "25 characters, 1 segment" in read(email(channel=Channel.sms, html=None, text="x" * 25, segments=1)).text
    assert "3 segments" in read(email(channel=Channel.sms, html=None, text="x" * 400, segments=3)).text
    assert "segment" not in read(sms("x")).text


def test_a_push_message_is_a_notification_with_what_is_behind_it() -> None:
    page = read(push())
    shown = [attributes["class"] for attributes in page.all("p") if attributes.get("class")]
    assert shown == ["app", "title", "words", "picture", "count"]
    for value in ("a-token", "On its way", "Alex picked it up", "https://acme.example/rider.png", "acme://orders/7"):
        assert value in page.text
    for pair in ("order7", "badge3", "opensacme://orders/7", "Platformandroid"):  # a name and its value
        assert pair in page.text
    assert page.all("img") == page.all("iframe") == page.all("a") == []


def test_a_push_message_of_little_shows_nothing_more() -> None:
    page = read(push(subject="", image="", url="", data=(), options=(), platform=""))
    assert [attributes["class"] for attributes in page.all("p") if attributes.get("class")] == ["app", "words"]
    assert "for the app" not in page.text


def test_a_request_is_shown_with_its_headers_and_body() -> None:
    page = read(request())
    assert "PUT https://acme.example/in" in page.text
    for value in ("Content-Type", "application/json", "X-Name", "signed", '"name": "Zoë",'):
        assert value in page.text
    assert [attributes["class"] for attributes in page.all("span")].count("key") == 2
    assert page.all("iframe") == []


def test_a_request_without_a_url_is_for_the_accounts_endpoint() -> None:
    page = read(request(to=""))
    assert "PUT the account’s endpoint" in page.text
    assert "nobody" not in page.text


def test_a_body_that_is_no_json_is_text() -> None:
    page = read(request(text="a=1&b=<2>"))
    assert "a=1&b=<2>" in page.text
    assert "key" not in [attributes["class"] for attributes in page.all("span")]


@given(text=st.text(alphabet='"\\ \n:a{}é<', max_size=30))
def test_marking_keys_changes_no_text(text: str) -> None:
    assert text in read(request(text=text, headers=(), options=())).text


def test_a_delivery_that_was_not_made_shows_why() -> None:
    problem = "templates/a.html:3:1: error[null-value]\n  | {{ user.x }}\n  | ^"
    page = read(email(subject="", html=None, text=None, notes=("skipped: no_address", problem)))
    assert "skipped: no_address" in page.text
    assert problem in page.text
    classes = [attributes.get("class") for attributes in page.all("span")]
    assert "note skipped" in classes


def test_nobody_is_nobody() -> None:
    assert "nobody" in read(email(to="")).text


def test_no_message_is_said_so() -> None:
    page = read()
    assert "There is no message to show." in page.text
    assert page.all("input") == []


def test_the_first_message_is_chosen_and_each_has_its_own_name() -> None:
    page = read(email(), sms("one"), sms("two"))
    chosen = [one for one in page.all("input") if one["name"] == "message"]
    assert ["checked" in one for one in chosen] == [True, False, False]
    assert len({one["id"] for one in chosen}) == 3
    assert {one["id"] for one in chosen} <= {label["for"] for label in page.all("label")}


def test_it_stands_alone() -> None:
    page = read(email(html='<img src="https://example.com/open.gif"><link rel="stylesheet" href="//x.example/a.css">'))
    assert page.all("script") == page.all("link") == page.all("img") == []
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "not loaded here" in page.text
    style = messages_page("x", "", [])
    assert not re.search(r"url\(|@import", style)


def test_pictures_are_not_spoken_of_where_there_are_none() -> None:
    assert "not loaded here" not in read(email(html='<img src="data:image/png;base64,AA==">')).text


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
HOSTILE = TEXT | st.sampled_from(
    ['"><script>alert(1)</script>', "</pre></article>", "&lt;b&gt;", "' onload='x", "<!--"]
)


@given(value=HOSTILE)
def test_whatever_a_message_holds_adds_no_element(value: str) -> None:
    shown = email(
        to=value, sender=value, subject=value, preheader=value, html=value, text=value, label=value, notes=(value,)
    )
    plain = email(preheader="x", notes=("x",))
    pairs = ((value, value),)
    pushed = push(
        to=value, subject=value, text=value, platform=value, image=value, url=value, data=pairs, options=pairs
    )
    asked = request(to=value, text=value, method=value, headers=pairs, options=pairs)
    page = read(shown, sms(value), pushed, asked)
    (frame,) = page.all("iframe")
    assert (frame["srcdoc"] or "").replace('<base target="_blank">', "") == value
    if value.strip():
        assert {tag for tag, _ in page.elements} <= {
            tag for tag, _ in read(plain, sms("x"), email(to=""), push()).elements
        }
