"""A template with a mistake: shown where it stands, with the nearest right thing, before anybody is written to."""

from __future__ import annotations

from typing import Any

import pytest

SERVE = "set `serve: {base_url: https://…}` in connect.yml to where `connect serve` can be reached"
WRONG = [
    ("Dear {{ user.frist_name }}", "unknown-name", "user.frist_name", "did you mean `user.first_name`?"),
    ("Dear {{ usr.first_name }}", "unknown-name", "usr.first_name", "did you mean `user`?"),
    ("Dear {{ first_name }}", "unknown-name", "first_name }}", "write `user.first_name`"),
    ("Go: {{ url.unsubscribe_lnk }}", "unknown-name", "url.unsubscribe_lnk", "did you mean `url.unsubscribe_link`?"),
    ("Dear {{ user.first_name | upcse }}", "unknown-filter", "upcse", "did you mean `upcase`?"),
    ("{% if user.first_name %}Dear", "liquid-syntax", "if user", "add {% endif %}"),
    ("Dear {{ user.first_name", "liquid-syntax", "", ""),
    ("{% frobnicate %}", "unknown-tag", "frobnicate", ""),
    ("{% feed prices %}", "not-yet-supported", "feed", ""),
    ("{{ url.permalink_link }}", "no-base-url", "url.permalink_link", SERVE),
]


@pytest.mark.parametrize(("template", "code", "under", "hint"), WRONG, ids=[template for template, *_ in WRONG])
def test_it_is_shown_with_a_caret_and_nothing_is_sent(
    shop: Any, template: str, code: str, under: str, hint: str
) -> None:
    shop.people(3)
    shop.campaign(text=f'text: "{template}"')

    ended = shop.run()

    assert (ended.code, ended.error.code) == (2, code)
    assert ended.error.place.startswith("campaigns/hello.yml:11:")
    assert template in ended.error.line
    assert ended.error.under.startswith(under)
    if under:
        assert ended.error.place == f"campaigns/hello.yml:11:{14 + template.index(under)}"
    assert ended.error.hint == hint
    shop.nothing_happened()


def test_a_template_in_a_file_of_its_own_is_shown_there(shop: Any) -> None:
    shop.people(3)
    shop.write("templates/mail.html", "<h1>\n  Dear {{ user.frist_name }}\n</h1>\n")
    shop.campaign(text="html: {file: mail.html}")

    ended = shop.run()

    assert (ended.code, ended.error.code, ended.error.place) == (2, "unknown-name", "templates/mail.html:2:11")
    assert ended.error.under.startswith("user.frist_name")
    shop.nothing_happened()


def test_a_template_that_is_not_there(shop: Any) -> None:
    shop.people(3)
    shop.write("templates/mail.html", "<h1>Dear</h1>")
    shop.campaign(text="html: {file: mial.html}")

    ended = shop.run()

    assert (ended.code, ended.error.code) == (2, "missing-file")
    assert ended.error.place == shop.place("mial.html")
    assert "mail.html" in ended.error.hint
    shop.nothing_happened()


def test_every_mistake_of_a_campaign_is_told_at_once(shop: Any) -> None:
    shop.people(3)
    shop.campaign(
        subject='subject: "{{ user.frist_name }}"', text='text: "{{ user.email_adress }} {{ user.phone_nmber }}"'
    )

    ended = shop.run()

    assert ended.code == 2
    assert [error.place for error in ended.errors] == [
        shop.place("user.frist_name"),
        shop.place("user.email_adress"),
        shop.place("user.phone_nmber"),
    ]
    assert "3 errors" in ended.err
    shop.nothing_happened()


@pytest.mark.parametrize(
    ("content", "field", "under"),
    [
        ({"from": "from: hello at shop.example"}, "from", "hello at shop"),
        ({"from": "from: a@shop.example, b@shop.example"}, "from", "a@shop"),
        ({"from": "from: hello@shop.example\n      cc: boss"}, "cc", "boss"),
        ({"from": "from: hello@shop.example\n      reply_to: Shop <>"}, "reply_to", "Shop <>"),
    ],
)
def test_an_address_that_is_written_out_wrongly_is_told_before_everybody_is_refused(
    shop: Any, content: dict[str, str], field: str, under: str
) -> None:
    shop.people(3)
    shop.campaign(**content)

    ended = shop.run()

    assert (ended.code, ended.error.code) == (2, "bad-address")
    assert f"`{field}`" in ended.error.message
    assert ended.error.place == shop.place(under)
    assert ended.error.hint == "write it as `Name <name@example.com>`"
    shop.nothing_happened()
