"""Bodies that were rendered as octets: the same bytes on the wire as if they had been text."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connect.channels.form import EmailForm
from connect.channels.message import Attachment, Email, Mailbox
from connect.channels.mime import encode
from connect.channels.parts import Bad, EmailParts, UnsubscribeHeaders
from connect.liquid import Library, Template
from connect.liquid.wire import WireText
from connect.project.text import Text
from connect.vocabulary import Reason
from tests.examples import some

steady = settings(max_examples=some(70), deadline=None)
BOUNDARY = re.compile(rb'boundary="([^"]+)"')
USUAL = BOUNDARY.search(encode(Email(Mailbox("a@b.example"), (Mailbox("c@d.example"),), "", "x@y.example", "", "")))
assert USUAL
USUAL_BOUNDARY = USUAL[1].decode()

pieces = st.sampled_from(
    [
        "",
        "a",
        "é",
        "’",
        "日本語",
        "👋",
        ".",
        "\n.",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "=_",
        "=",
        "_",
        "\t",
        " ",
        "\x00",
        "\x0c",
        "\ud800",
        "\udc00",
        "x" * 497,
        "y" * 499,
        "z" * 997,
        "é" * 499,
        "<&>",
        "=20",
        USUAL_BOUNDARY[:9],
        USUAL_BOUNDARY[9:],
    ]
) | st.text(max_size=12)
values = st.lists(pieces, max_size=4).map("".join)
literals = st.lists(pieces, max_size=4).map("".join).map(lambda text: text.replace("{", "("))
printed = st.sampled_from(["a", "b", "c | upcase", "a | append: 'é'", "list | join: ','", "number"]).map(
    "{{{{ user.{} }}}}".format
)


def _within(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, max_size=3).map("".join)
    return st.one_of(
        body.map("{{% for x in user.list %}}{}{{{{ x }}}}{{% endfor %}}".format),
        st.tuples(body, body).map(lambda two: f"{{% if user.b %}}{two[0]}{{% else %}}{two[1]}{{% endif %}}"),
        body.map("{{% capture x %}}{}{{% endcapture %}}{{{{ x }}}}{{{{ x | upcase }}}}".format),
        body.map("{{% if user.a == user.b %}}{}{{% endif %}}".format),
        body.map("{{% case user.number %}}{{% when 1 %}}{}{{% endcase %}}".format),
    )


templates = st.lists(st.recursive(literals | printed, _within, max_leaves=6), max_size=6).map("".join)
people = st.fixed_dictionaries(
    {"a": values, "b": values, "c": values, "list": st.lists(values, max_size=4), "number": st.integers(0, 3)}
)


def compiled(source: str, *, escape: bool = False) -> Template:
    return Library({}).compile(Text(source=source, file="letter"), escape=escape)


def bodies(source: str, user: dict[str, object], *, escape: bool = False) -> tuple[str, str | WireText]:
    """The same, as text and as octets where it can be."""
    template = compiled(source, escape=escape)
    columns = {name: [value] for name, value in user.items()}
    return template.over(columns, {})(0, b"", {}), template.wire(columns, {})(0, b"", {})


def octets(source: str, user: dict[str, object]) -> WireText:
    found = bodies(source, user)[1]
    assert isinstance(found, WireText)
    return found


def filled(**fields: object) -> Email | Bad:
    parts = EmailParts(**{"sender": "a@b.example", "to": Mailbox("c@d.example"), "subject": "Hi"} | fields)  # type: ignore[arg-type]
    form = EmailForm(EmailParts("a@b.example", "", "Hi"), frozenset({"to", *fields}))
    return form.build(
        parts, message_key=b"", correlation_id="an-id", unsubscribe=UnsubscribeHeaders("https://a.example/u", None)
    )


def email(**fields: object) -> Email:
    found = filled(**fields)
    assert isinstance(found, Email)
    return found


@steady
@given(templates, templates, people, st.booleans(), st.sampled_from(["", "Look inside"]))
@example("a\n{{ user.a }}", ".x", {"a": ".b\n.c"}, False, "")
@example("a\r{{ user.a }}b", "{{ user.b }}\nx", {"a": "\nb", "b": "y\r"}, False, "")
@example(
    "x{{ user.a }}=_{{ user.a }}",
    "{{ user.a }}{{ user.b }}",
    {"a": USUAL_BOUNDARY[:1], "b": USUAL_BOUNDARY[1:]},
    True,
    "",
)
@example("x" * 500 + "{{ user.a }}", "x" * 501 + "{{ user.a }}", {"a": "é" * 249}, False, "")
@example("{% for x in user.list %}" + "x" * 300 + "{% endfor %}", "é", {"list": ["a", "b", "c", "d"]}, True, "")
@example("", "\x00=_JKJLJCN", {"a": ""}, False, "")
@example("ä" * 40 + "=" * 40, "ä{{ user.a }}", {"a": "日" * 30 + "\x00"}, True, "")
def test_the_bytes_are_those_of_the_text(
    html: str, text: str, user: dict[str, object], escape: bool, preheader: str
) -> None:
    html_text, html_octets = bodies(html, user, escape=escape)
    plain_text, plain_octets = bodies(text, user)

    wanted = email(html=html_text, text=plain_text, preheader=preheader)
    found = email(html=html_octets, text=plain_octets, preheader=preheader)

    for eight_bit in (False, True):
        assert encode(found, eight_bit=eight_bit) == encode(wanted, eight_bit=eight_bit)
    assert wanted.prepared is not None
    assert found.prepared is not None
    assert (found.prepared.text, found.prepared.html) == (wanted.prepared.text, wanted.prepared.html)
    copies = (pickle.loads(pickle.dumps(found)), replace(found))
    assert found == wanted
    for copy in copies:
        assert copy == wanted
        assert (hash(copy), repr(copy)) == (hash(wanted), repr(wanted))
        assert encode(copy, eight_bit=True) == encode(wanted, eight_bit=True)


@pytest.mark.parametrize("before", range(990, 1003))
@pytest.mark.parametrize("eight_bit", [False, True])
def test_a_line_is_as_long_as_its_literals_and_values(before: int, eight_bit: bool) -> None:
    source, user = "first\n" + "x" * (before - 4) + "{{ user.a }}z\nlast", {"a": "yyy"}

    found = email(text=octets(source, user))

    encoding = b"7bit" if before <= 998 else b"quoted-printable"
    assert b"Content-Transfer-Encoding: " + encoding in encode(found, eight_bit=eight_bit)
    assert encode(found, eight_bit=eight_bit) == encode(replace(found), eight_bit=eight_bit)


def test_what_is_sent_is_not_decoded() -> None:
    found = email(html=octets("<p>é {{ user.a }}", {"a": "x"}), text=octets("é {{ user.a }}", {"a": "x"}))

    encode(found, eight_bit=True)

    slots = (Email.text, Email.html)  # type: ignore[attr-defined]
    for slot in slots:
        with pytest.raises(AttributeError):
            slot.__get__(found, Email)
    assert (found.text, found.html) == ("é x", "<p>é x")


def test_text_is_made_of_a_page_that_was_rendered_as_octets() -> None:
    page = octets("<p>Hé {{ user.a }}</p>\n<p>there", {"a": "Zoë"})

    assert email(html=page) == email(html=str(page))
    assert email(html=page).text == "Hé Zoë\n\nthere\n"


def test_a_page_that_is_too_large_is_refused_in_either_form() -> None:
    file = Attachment("a.bin", "application/octet-stream", bytes(7_300_000))
    page = octets("é\n" * 1000 + "{{ user.a }}", {"a": "x" * 40_000})

    assert filled(html=page, attachments=(file,)) == Bad(Reason.content_too_large, "attachments")
    assert filled(html=str(page), attachments=(file,)) == Bad(Reason.content_too_large, "attachments")


def test_octets_do_not_show_themselves() -> None:
    assert "Zoë" not in repr(octets("{{ user.a }}", {"a": "Zoë"}))


def test_much_is_left_to_the_text() -> None:
    source, user = "{% for x in user.list %}{{ x }}{% endfor %}", {"list": ["y" * 70] * 9000}

    text, wire = bodies(source, user)

    assert wire == text == "y" * 630_000
