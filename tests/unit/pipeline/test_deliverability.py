"""What keeps a message from being seen is warned of, at its place."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from connect.errors import Severity
from connect.liquid.library import Library
from connect.pipeline import deliverability
from connect.pipeline.senders import Signing, are_aligned, is_free_mail, sender, signings
from connect.project.load import templates
from tests.unit.pipeline.a_project import CONNECT, campaign, project, warned

EMAIL = """\
    - channel: email
      from: {sender}
      subject: {subject}
      {body}
"""
GOOD = "text: Hello {{ url.unsubscribe_link }}"


def email(body=GOOD, sender="Acme <hello@acme.example>", subject="Hello"):
    return EMAIL.format(body=body, sender=sender, subject=subject)


def html(source):
    return "html: |\n" + "".join(f"        {line}\n" for line in source.split("\n"))


def found(root, content, **more):
    """[(code, what stands at its place)]"""
    problems = warned(root, content, **more)
    assert all(problem.severity is Severity.warning and problem.hint for problem in problems)
    return [(problem.code, problem.location.text[problem.location.column - 1 :]) for problem in problems]


def test_nothing_is_said_of_what_is_good(tmp_path):
    page = (
        '<p>Hello <img src="https://a.example/a.png" alt=""></p><a href="https://a.example">go</a>{{ url.unsubscribe }}'
    )
    assert (
        found(
            tmp_path,
            email(html(page)) + email(subject="Hi").replace("channel: email", "channel: email\n      locale: fr"),
        )
        == []
    )


# From


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("Acme <acme.shop@gmail.com>", "gmail.com>"),
        ("acme@Yahoo.co.uk", "Yahoo.co.uk"),
        ("'{{ user.shop }} <acme@web.de>'", "web.de>'"),
        ("acme@hotmail.com", "hotmail.com"),
    ],
)
def test_nobody_else_may_send_for_a_free_mail_domain(tmp_path, address, place):
    assert found(tmp_path, email(sender=address)) == [("free-mail-sender", place)]


@pytest.mark.parametrize(
    "address",
    ["hello@acme.example", "hello@gmail.com.acme.example", "hello@{{ user.brand }}.com", "'{{ user.sender }}'"],
)
def test_other_domains_may(tmp_path, address):
    assert found(tmp_path, email(sender=address)) == []


def test_free_mail_in_many_countries():
    free = ["gmail.com", "yahoo.com", "yahoo.co.uk", "yahoo.com.au", "gmx.de", "outlook.fr", "live.nl"]
    own = [
        "live.nation.example",
        "yahoo.acme.example",
        "gmx.mail.acme.com",
        "acme.com",
        "mygmail.com",
        "outlook.acme.com",
    ]
    assert [is_free_mail(domain) for domain in (*free, *own)] == [True] * len(free) + [False] * len(own)


@pytest.mark.parametrize(
    ("domain", "other", "aligned"),
    [
        ("acme.example", "acme.example", True),
        ("news.acme.example", "acme.example", True),
        ("news.acme.example", "mail.acme.example", True),
        ("acme.co.uk", "mail.acme.co.uk", True),
        ("acme.co.uk", "other.co.uk", False),
        ("acme.example", "acme.com", False),
        ("acme.example", "notacme.example", False),
        ("ACME.example.", "acme.example", True),
    ],
)
def test_which_domains_are_of_one_organisation(domain, other, aligned):
    assert are_aligned(domain, other) is aligned
    assert are_aligned(other, domain) is aligned


@dataclass(frozen=True)
class Dkim:
    domain: str
    selector: str = "s1"


def test_an_account_that_signs_for_another_domain(tmp_path):
    """Read from any account whose settings have `dkim` with a domain."""
    opened = project(tmp_path)
    made, _ = campaign(tmp_path, opened, email())

    def codes(*domains):
        keys = tuple(map(Dkim, domains))
        settings = type("Settings", (), {"dkim": keys if len(keys) > 1 else keys[0]})()
        object.__setattr__(opened.providers["mail"], "settings", settings)
        problems = deliverability.warnings(opened, made, Library(templates(tmp_path)), reaches_people=True)
        return [(problem.code, "`mail` signs for" in problem.message) for problem in problems]

    assert codes("other.example") == [("dkim-other-domain", True)]
    assert codes("Mail.Acme.Example") == []
    assert signings(opened, made.message.content[0])["mail"] == (Signing("mail.acme.example", "s1"),)
    assert codes("relay.example", "acme.example") == []
    assert codes("relay.example", "other.example") == [("dkim-other-domain", True)]


def test_how_an_account_signs_is_in_its_settings(tmp_path):
    key = "{{domain: {}, selector: {}, private_key: '${{KEY}}'}}"
    keys = f"[{key.format('ACME.example', 'a')}, {key.format('b.example', 'b')}]"
    opened = project(tmp_path, CONNECT.replace("{type: memory}", f"{{type: smtp, host: smtp.example, dkim: {keys}}}"))
    made, _ = campaign(tmp_path, opened, email())
    assert signings(opened, made.message.content[0]) == {
        "mail": (Signing("acme.example", "a"), Signing("b.example", "b"))
    }
    assert signings(project(tmp_path), made.message.content[0]) == {}


def test_the_domain_of_a_sender_in_ascii(tmp_path):
    opened = project(tmp_path)
    made, _ = campaign(tmp_path, opened, email(sender="Grün <hallo@grün.example>"))
    assert sender(made.message.content[0]).domain == "xn--grn-ioa.example"


# How to leave


def test_marketing_without_an_unsubscribe_link(tmp_path):
    assert found(tmp_path, email("text: Hello")) == [("no-unsubscribe-link", "Hello")]
    assert found(tmp_path, email(html("<p>Hello</p>"))) == [("no-unsubscribe-link", "<p>Hello</p>")]


def test_where_it_does_not_matter(tmp_path):
    assert found(tmp_path, email("text: Hello"), reaches_people=False) == []
    assert found(tmp_path, email("text: Hello"), message="  transactional: true\n") == []


@pytest.mark.parametrize(
    "body",
    [
        "text: Bye {{ url.unsubscribe_link }}",
        html("<p>Bye {{ url.unsubscribe }}</p>"),
        html('<p><a href="{{ url.unsubscribe_link }}">Bye</a></p>'),
        html('<p><a href="https://acme.example/bye?me">Bye</a></p>'),
        html("<p>Hello</p>") + "      text: Bye {{ url.unsubscribe_link }}",
        html("<p>Hello</p>{% render 'foot.html' %}"),
        html("{% if user.id %}<p>Hello {{ url.unsubscribe }}</p>{% endif %}"),
    ],
)
def test_every_way_of_linking_to_it(tmp_path, body):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/foot.html").write_text("<p>{{ url.unsubscribe }}</p>")
    assert found(tmp_path, email(body)) == []


def test_a_link_to_the_shop_is_not_one_to_the_page(tmp_path):
    connect = CONNECT.replace("https://acme.example/bye?t=", "https://acme.example/?t=")
    body = html('<p><a href="https://acme.example/">Shop</a></p>')
    assert [code for code, _ in found(tmp_path, email(body), connect=connect)] == ["no-unsubscribe-link"]


def test_one_click_needs_https(tmp_path):
    connect = CONNECT.replace("https://acme", "http://acme")
    (problem,) = warned(tmp_path, email(), connect=connect)
    assert (problem.code, "`unsubscribe.url`" in problem.message) == ("no-one-click", True)
    assert (problem.location.file, problem.location.line) == ("connect.yml", 5)
    own = CONNECT.partition("unsubscribe:")[0] + "serve: {base_url: http://acme.example}\n"
    (problem,) = warned(tmp_path, email(), connect=own)
    assert (problem.code, "`serve.base_url`" in problem.message, problem.location.line) == ("no-one-click", True, 5)
    assert warned(tmp_path, email(), connect=connect, reaches_people=False) == []
    assert warned(tmp_path, "    - {channel: sms, body: Hi}\n", connect=connect) == []


# What it says


@pytest.mark.parametrize(("length", "codes"), [(150, []), (151, ["long-subject"])])
def test_a_long_subject(tmp_path, length, codes):
    subject = "x" * length
    assert [code for code, _ in found(tmp_path, email(subject=f'"{subject}{{{{ user.id }}}}"'))] == codes


def test_of_a_subject_in_branches_the_longest_counts(tmp_path):
    subject = f'"{{% if user.id %}}{"x" * 100}{{% else %}}{"y" * 90}{{% endif %}}"'
    assert found(tmp_path, email(subject=subject)) == []


def test_html_that_gmail_clips(tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/foot.html").write_text("<p>" + "ö" * 30_000 + "</p>")
    (tmp_path / "templates/page.html").write_text(
        "<p>" + "x" * 43_000 + "{{ url.unsubscribe }}</p>{% render 'foot.html' %}"
    )
    (problem,) = warned(tmp_path, email("html: {file: page.html}"))
    assert (problem.code, problem.location.file) == ("html-clipped", "templates/page.html")
    assert "103,014 bytes" in problem.message
    (tmp_path / "templates/foot.html").write_text("<p>" + "ö" * 29_000 + "</p>")
    assert warned(tmp_path, email("html: {file: page.html}")) == []


IMAGE = '<img src="https://a.example/a.png">'


def test_images_without_a_description(tmp_path):
    page = f"<p>Hi {{{{ url.unsubscribe }}}}\n{IMAGE} <img\nsrc=x alt=''> <IMG data-alt='alt' title=\"alt\"></p>"
    assert found(tmp_path, email(html(page))) == [
        ("image-without-alt", f"{IMAGE} <img"),
        ("image-without-alt", "<IMG data-alt='alt' title=\"alt\"></p>"),
    ]


@pytest.mark.parametrize(
    "image",
    [
        '<img alt="">',
        "<img alt>",
        "<img src='a>b' alt='c'>",
        "<img {{ user.attributes }}>",
        '<img {% if user.id %}alt="a"{% endif %}>',
        "<!-- <img> -->",
        "{% comment %}<img>{% endcomment %}",
        "<imgx>",
    ],
)
def test_images_that_have_one(tmp_path, image):
    assert found(tmp_path, email(html(f"<p>Hi {{{{ url.unsubscribe }}}} {image}</p>"))) == []


def test_an_image_in_a_template_is_told_once_at_its_place(tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/logo.html").write_text("<p>\n  <img src='a'></p>{{ url.unsubscribe }}")
    twice = email(html("{% render 'logo.html' %}")) + email(html("{% render 'logo.html' %}")).replace(
        "channel: email", "channel: email\n      locale: fr"
    )
    (problem,) = warned(tmp_path, twice)
    assert (problem.code, str(problem.location)) == ("image-without-alt", "templates/logo.html:2:3")


def test_links_without_https(tmp_path):
    page = "<a href=http://a.example>{{ url.unsubscribe }}</a><p style='background: url(http://b.example/b.png)'>http://said</p>"
    assert found(tmp_path, email(html(page))) == [
        (
            "insecure-link",
            "http://a.example>{{ url.unsubscribe }}</a><p style='background: url(http://b.example/b.png)'>http://said</p>",
        ),
        ("insecure-link", "http://b.example/b.png)'>http://said</p>"),
    ]
    text = 'text: "Go to http://{{ user.shop }} {{ url.unsubscribe_link }}"'
    assert found(tmp_path, email(text)) == [("insecure-link", 'http://{{ user.shop }} {{ url.unsubscribe_link }}"')]


def test_an_e_mail_of_images_alone(tmp_path):
    (problem,) = warned(tmp_path, email(html('<a href="https://acme.example/bye"><img src="a.png" alt=""></a>')))
    assert problem.code == "no-text-part"
    assert warned(tmp_path, email(html('<a href="https://acme.example/bye"><img src="a.png" alt="Sale"></a>'))) == []
    assert warned(tmp_path, email(html('<p>{{ user.words }}</p><a href="https://acme.example/bye"></a>'))) == []
    own = html('<a href="https://acme.example/bye"><img src="a.png" alt=""></a>') + "      text: Sale"
    assert warned(tmp_path, email(own)) == []


# Text messages


def sms(body):
    return f"    - channel: sms\n      body: {body}\n"


def test_one_character_that_doubles_the_price(tmp_path):
    body = f'"{{{{ user.id }}}} {"x" * 70} don’t"'
    (problem,) = warned(tmp_path, sms(body))
    assert (problem.code, problem.hint) == ("costly-character", "write `'`")
    assert "U+2019" in problem.message
    assert "2 parts instead of 1" in problem.message
    assert problem.location.text[problem.location.column - 1] == "’"


@pytest.mark.parametrize(
    "body",
    [
        "don’t",  # one part in any alphabet
        "x" * 200,
        "Здравствуйте, " * 10,
        "'{{ user.id }}" + "é" * 100 + "'",
        f'"{{% comment %}}’{{% endcomment %}}{"x" * 100}"',
        f"\"{{{{ user.name | append: '’' }}}}{'x' * 100}\"",
    ],
)
def test_text_messages_that_cost_what_they_must(tmp_path, body):
    assert warned(tmp_path, sms(body)) == []


def test_other_channels_have_no_rules(tmp_path):
    assert warned(tmp_path, "    - {channel: push, title: a, body: b}\n    - {channel: http, body: 'http://a'}\n") == []
