"""Both sides of a ratio do the same work."""

from __future__ import annotations

import html
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from benchmarks import guests, mime, render, tracking


@pytest.mark.parametrize("escape", [False, True])
@pytest.mark.parametrize("letter", ["english.html", "text_message.txt"])
def test_every_engine_renders_the_same(letter: str, escape: bool) -> None:
    texts = {name: list(make()) for name, make in render.engines(letter, escape, guests.some(40)).items()}
    slashes = texts.pop("minijinja")  # escapes `/` as well
    assert texts["connect"] == texts["python_liquid"] == texts["jinja2"]
    assert [html.unescape(text) for text in slashes] == [html.unescape(text) for text in texts["connect"]]


def test_the_letter_has_about_5_kb_and_uses_what_it_says() -> None:
    (letter,) = render.engines("english.html", True, guests.some(1))["connect"]()
    assert 4500 < len(letter.encode()) < 5500
    source = (render.LETTERS / "english.html").read_text("utf-8")
    names = {part.split()[0] for part in source.split("{{ user.")[1:]}
    assert len(names) >= 12
    assert "{% for " in source
    assert source.count(" | ") >= 8


def test_a_tracked_letter_differs_from_the_other_in_its_links_alone(tmp_path: Path) -> None:
    plain = next(tracking.encoded(tracking.composer(tmp_path / "plain", "{}"))).decode()
    tracked = next(tracking.encoded(tracking.composer(tmp_path / "tracked", "{opens: true, clicks: true}"))).decode()
    assert tracked.count("https://connect.meridian.example/c/") == 9
    assert tracked.count("https://connect.meridian.example/o/") == 1
    assert "https://connect.meridian.example/c/" not in plain
    assert plain.count('href="') == tracked.count('href="') == 10


def parsed(data: bytes) -> EmailMessage:
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def content(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return "\n".join(part.get_content().splitlines())


@pytest.mark.parametrize(
    ("encoding", "language"), [("8bit", "english"), ("base64", "greek"), ("quoted-printable", "english")]
)
def test_both_messages_say_the_same_in_the_same_encoding(encoding: str, language: str) -> None:
    (parts,) = mime.rendered(language, 1)
    ours = parsed(mime.connects(encoding == "8bit")(parts, 1))
    theirs = parsed(mime.standard(parts, 1, encoding))
    for name in ("from", "to", "subject", "list-unsubscribe", "list-unsubscribe-post", "date"):
        assert str(ours[name]) == str(theirs[name])
    for kind in ("plain", "html"):
        assert content(ours, kind) == content(theirs, kind)
    for message in (ours, theirs):
        assert {part["content-transfer-encoding"] for part in message.iter_parts()} == {encoding}
