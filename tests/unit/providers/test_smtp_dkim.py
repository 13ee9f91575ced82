"""What is signed is what arrives, and whoever verifies it finds so: here that is dkimpy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from dkim.canonicalization import Relaxed
from hypothesis import example, given
from hypothesis import settings as how
from hypothesis import strategies as st
from pydantic import ValidationError

from connect.channels import mime
from connect.channels.message import Attachment, Email, Mailbox, Outgoing
from connect.errors import Disposition, RunTrouble
from connect.providers.interface import Account, Status
from connect.providers.smtp import Settings, Smtp
from connect.providers.smtp_dkim import Dkim, Signer, public_record, relaxed_body
from connect.providers.smtp_transaction import _stuffed
from connect.redact import Secret
from connect.testing import an_email
from connect.testing.messages import unusual_emails
from connect.testing.smtp import SmtpServer
from tests.unit.providers.dkim_keys import ED25519, ED25519_RECORD, RSA, TOO_SMALL, WEAK

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
OURS = {"domain": "acme.example", "selector": "k1", "private_key": RSA}
SECOND = {"domain": "acme.example", "selector": "k2", "private_key": ED25519}
BOTH = (Dkim.model_validate(OURS), Dkim.model_validate(SECOND))
SIGNER = Signer(BOTH)
RECORDS = {f"{each.place}.": public_record(each.private_key.reveal()) for each in BOTH}


def verified(message: bytes, records: dict[str, str] = RECORDS) -> list[bool]:
    """What dkimpy says of each signature, from the top."""
    count = len(re.findall(rb"^DKIM-Signature:", message.partition(b"\r\n\r\n")[0], re.MULTILINE))

    def published(name: bytes, timeout: int = 5) -> bytes:
        return records[name.decode()].encode()

    found = []
    for index in range(count):
        try:
            found.append(dkim.DKIM(message).verify(idx=index, dnsfunc=published))
        except dkim.DKIMException:
            found.append(False)
    return found


def arrived(content: bytes) -> bytes:
    """What a server makes of it: without the dots that SMTP adds, and with a line end where there was none."""
    wire = _stuffed(content)
    assert wire.endswith(b"\r\n.\r\n")
    received = wire[:-3].replace(b"\r\n..", b"\r\n.")
    return received[1:] if received.startswith(b"..") else received


def field(message: bytes, name: str = "DKIM-Signature") -> str:
    """The first field of this name, unfolded."""
    head = message.partition(b"\r\n\r\n")[0].decode()
    found = re.search(rf"^{name}: ([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", head, re.MULTILINE)
    assert found
    return re.sub(r"\r\n[ \t]", " ", found[1])


def tags(signature: str) -> dict[str, str]:
    pairs = (tag.split("=", 1) for tag in signature.split(";"))
    return {name.strip(): re.sub(r"\s", "", value) for name, value in pairs}


# Any e-mail

one_line = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=200).map(str.strip)
any_text = st.text(st.characters(exclude_categories=("Cs",)))
odd_lines = st.lists(
    st.sampled_from(
        ["", " ", "\t", " \t ", ".", "..", ".a", "a  b\t\tc \t", "é " * 700, "x" * 1200, "From x", "\r", "="]
    )
    | any_text,
    max_size=12,
).map("\n".join)
bodies = any_text | odd_lines | odd_lines.map(lambda text: text + "\n \n\t\n\n")
mailboxes = st.builds(Mailbox, st.sampled_from(["jo@mail.example", "zoë@mail.example"]), one_line)
emails = st.builds(
    Email,
    sender=one_line.map(lambda name: Mailbox("hello@acme.example", name)),
    to=st.lists(mailboxes, min_size=1, max_size=3).map(tuple),
    cc=st.lists(mailboxes, max_size=2).map(tuple),
    reply_to=st.lists(mailboxes, max_size=1).map(tuple),
    subject=one_line,
    message_id=st.just("c1.run.key@acme.example"),
    text=st.none() | bodies,
    html=st.none() | bodies,
    headers=one_line.map(lambda value: (("List-Unsubscribe", f"<https://acme.example/{value}>"), ("X-Any", value))),
    attachments=st.lists(
        st.builds(Attachment, one_line.filter(bool), st.sampled_from(["application/pdf", "text/csv"]), st.binary()),
        max_size=2,
    ).map(tuple),
)
PLAIN = an_email(1, html=None).message
assert isinstance(PLAIN, Email)


@how(max_examples=60, deadline=None)
@given(emails, st.booleans())
@example(replace(PLAIN, text=""), False)
@example(replace(PLAIN, text=None, html=None), True)
@example(replace(PLAIN, text=" "), True)
@example(replace(PLAIN, text="\n\n\n"), True)
@example(replace(PLAIN, text="a \n\t\n \n"), True)
@example(replace(PLAIN, text=".\n..\n.\n"), True)
@example(replace(PLAIN, text="Größe\n\n\n"), True)
@example(replace(PLAIN, text="no line end"), False)
@example(replace(PLAIN, subject="a  b   " + "c" * 900), True)
def test_any_email_verifies_with_both_keys(email: Email, eight_bit: bool) -> None:
    signed = SIGNER.sign(mime.encode(email, date=AT, eight_bit=eight_bit), AT)
    assert verified(arrived(signed)) == [True, True]


@pytest.mark.parametrize("outgoing", unusual_emails(), ids=lambda each: each.message.message_id)
@pytest.mark.parametrize("eight_bit", [True, False])
def test_unusual_emails_verify(outgoing: Outgoing, eight_bit: bool) -> None:
    assert isinstance(outgoing.message, Email)
    signed = SIGNER.sign(mime.encode(outgoing.message, date=AT, eight_bit=eight_bit), AT)
    assert verified(arrived(signed)) == [True, True]


spaced = st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b".", b"a", b"=", "é".encode()]), max_size=60).map(b"".join)


@how(max_examples=300, deadline=None)
@given(spaced)
@example(b"")
@example(b" " * 1000 + b"a" + b"\t" * 777)
def test_a_body_in_the_relaxed_form_is_dkimpys(body: bytes) -> None:
    assert relaxed_body(body) == Relaxed.canonicalize_body(body + b"\r\n")


# What is in a signature


def test_everything_that_is_read_or_acted_on_is_signed() -> None:
    headers = (
        ("List-Unsubscribe", "<https://acme.example/off>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("X-Connect-ID", "c1.run.key"),
        ("X-Campaign", "spring"),
    )
    email = replace(PLAIN, cc=(Mailbox("cc@mail.example"),), reply_to=(Mailbox("re@acme.example"),), headers=headers)
    signed = sorted(tags(field(SIGNER.encode(email, date=AT)))["h"].split(":"))
    assert signed == [
        "cc",
        "content-transfer-encoding",
        "content-type",
        "date",
        "from",
        "from",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "message-id",
        "mime-version",
        "reply-to",
        "subject",
        "to",
        "x-connect-id",
    ]


def test_the_time_is_the_messages_own() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=11)))
    for date in (AT, elsewhere, AT.replace(microsecond=999_999)):
        assert tags(field(SIGNER.encode(PLAIN, date=date)))["t"] == "1795339800"


def test_a_message_that_is_rendered_again_is_byte_for_byte_the_same() -> None:
    assert SIGNER.encode(PLAIN, date=AT) == Signer(BOTH).encode(replace(PLAIN), date=AT)


def test_bodies_travel_in_seven_bits_whatever_the_next_server_takes() -> None:
    greek = replace(PLAIN, text="Καλημέρα\n" * 9)
    signed = SIGNER.encode(greek, date=AT, eight_bit=True)
    assert signed.isascii()
    assert signed.endswith(mime.encode(greek, date=AT))


def test_lines_are_short_even_for_a_long_domain() -> None:
    domain = ".".join(["a" * 60] * 4) + ".example"
    long = Signer([Dkim.model_validate({**OURS, "domain": domain, "selector": "b" * 63})])
    signed = long.encode(PLAIN, date=AT)
    assert max(map(len, signed.split(b"\r\n"))) < 400
    assert max(map(len, SIGNER.encode(PLAIN, date=AT).split(b"\r\n"))) <= 78
    assert verified(signed, {f"{'b' * 63}._domainkey.{domain}.": public_record(RSA)}) == [True]


GOLDEN = """\
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=acme.example; s=k1; t=1795339800;
 h=content-transfer-encoding:content-type:mime-version:message-id:date:
 subject:to:from:from;
 bh=Ei9V7F6/tIPXDBsiQVxpNL9EMF9Ahn+xauKV5JcVZT0=;
 b=kWGOoMki2edOKhqS5UbEktfBymC8WaPKJmFp5Ey7ienBGqqVl1jm45tpWSUPZ+8PAb+2BLnNAc
 FjfjDVGOB2i7HfTSs0wTdXdHnd4MoqCa5nMPLUWdQB1cUczydy4QQYmXjlGgJnC0jWF1jOPlOb
 qL7qcXr5ytljaG2Qz5j6AWxHQtAMjudSgcAWbWq4pHDouGuzLiXWwTpr3CgxZvBK1oAJeeY+lF
 n2NMvhsEq/d5YvLHCLFV7+bcJFwSGmMsX4T4/jnlMyvstP1H06cUJcuoZ65YhQjWavoq8KS1B9
 gG2dBxmfQh2WgBIuqCSlkA35LQzvFCcHGT3DmiVd4srZ+g==
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=acme.example; s=k2; t=1795339800;
 h=content-transfer-encoding:content-type:mime-version:message-id:date:
 subject:to:from:from;
 bh=Ei9V7F6/tIPXDBsiQVxpNL9EMF9Ahn+xauKV5JcVZT0=;
 b=DlZfVzjrtpuKdL3fCJOFlq1SeP6KCCZJr1VEW+aX+axtzulVIN95Vcnst8cx5ZQVSCQpO07Qhf
 yNHe1ewslcAw==
"""


def test_the_golden_signatures() -> None:
    signed = SIGNER.encode(PLAIN, date=AT).decode()
    assert signed[: signed.index("From:")].replace("\r\n", "\n") == GOLDEN


# Whoever changes something


def changed(message: bytes, before: bytes, after: bytes) -> bytes:
    assert message.count(before) == 1
    return message.replace(before, after)


SIGNED = SIGNER.encode(
    replace(PLAIN, headers=(("List-Unsubscribe", "<https://acme.example/off>"), ("X-Mailer", "x"))), date=AT
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"there is news", b"there is no news"),
        (b"Dear person", b"Dearperson"),
        (b"Subject: Offer", b"Subject: 0ffer"),
        (b"To: Person", b"To: Persons"),
        (b"From: Acme", b"From: Evil <evil@evil.example>\r\nFrom: Acme"),
        (b"From: Acme", b"From: Acne"),
        (b"List-Unsubscribe: <https://acme.example/off>\r\n", b""),
        (b"Content-Transfer-Encoding: 7bit", b"Content-Transfer-Encoding: 8bit"),
        (b"Content-Type: text/plain", b"Content-Type: text/html"),
        (b"09:30:00", b"09:30:01"),
        (b" t=1795339800", b" t=1795339801"),
        (b"MIME-Version: 1.0\r\n", b""),
    ],
)
def test_a_change_is_noticed(before: bytes, after: bytes) -> None:
    assert verified(SIGNED) == [True, True]
    message = SIGNED.replace(before, after)
    assert message != SIGNED
    assert verified(message) == [False, False]


def test_a_from_on_top_is_noticed() -> None:
    """It is what a mailbox would show, and the signed one below it what a signature covers."""
    assert verified(b"From: Acme <hello@evil.example>\r\n" + SIGNED) == [False, False]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"X-Mailer: x\r\n", b""),
        (b"Subject: Offer number 1\r\n", b"subject:   Offer\r\n\tnumber   1 \r\n"),
        (b"there is news.\r\n", b"there   is\tnews. \t\r\n\r\n \r\n"),
    ],
)
def test_what_servers_do_on_the_way_is_not_a_change(before: bytes, after: bytes) -> None:
    assert verified(b"Received: from a by b\r\n" + changed(SIGNED, before, after)) == [True, True]


# Keys


def test_the_record_of_the_rfcs_key_is_the_rfcs() -> None:
    assert public_record(ED25519) == ED25519_RECORD


def test_a_key_on_one_line_is_read() -> None:
    assert public_record(RSA.replace("\n", "\\n")) == public_record(RSA)
    assert public_record(f"\n  {RSA}") == public_record(RSA)


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, password: bytes = b"") -> str:
    how = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode()


KEYS = {
    "encrypted": (pem(ed25519.Ed25519PrivateKey.generate(), b"password"), "it is encrypted"),
    "another kind": (pem(ec.generate_private_key(ec.SECP256R1())), "neither RSA nor Ed25519"),
    "too small": (TOO_SMALL, "it has 512 bits"),
    "public": ("-----BEGIN PUBLIC KEY-----\nMFww\n-----END PUBLIC KEY-----", "it is the public half"),
    "cut": (RSA[: len(RSA) // 2], "no private key in PEM"),
    "a word": ("hunter2", "no private key in PEM"),
}


@pytest.mark.parametrize("name", KEYS)
async def test_a_key_that_can_not_sign_is_found_before_anything_is_sent(name: str) -> None:
    key, reason = KEYS[name]
    for verb in ("open", "check"):
        provider = account(Settings.model_validate({"host": "localhost", "dkim": {**OURS, "private_key": key}}))
        with pytest.raises(RunTrouble) as caught:
            await getattr(provider, verb)()
        (problem,) = caught.value.problems
        assert (caught.value.disposition, problem.code) == (Disposition.pause, "smtp-dkim-key")
        assert reason in problem.message
        assert "k1._domainkey.acme.example" in problem.message
        assert "openssl genpkey" in problem.hint
        assert not any(line in str(caught.value) for line in key.split("\n") if line)


def test_nothing_shows_a_key() -> None:
    settings = Settings.model_validate({"host": "localhost", "dkim": [OURS, SECOND]})
    shown = f"{settings!r} {settings.model_dump_json()} {SIGNER} {vars(SIGNER)}"
    assert "***" in shown
    assert not any(line in shown for key in (RSA, ED25519) for line in key.split("\n")[1:-2])


# Settings


def test_one_signature_or_a_list() -> None:
    one = Settings.model_validate({"host": "h", "dkim": {**OURS, "domain": "Bücher.Example"}})
    assert [each.place for each in one.dkim] == ["k1._domainkey.xn--bcher-kva.example"]
    assert Settings.model_validate({"host": "h", "dkim": [OURS, SECOND]}).dkim == BOTH
    assert Settings(host="h").dkim == ()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([OURS, {**SECOND, "selector": "K1"}], "a `selector` of its own"),
        ({**OURS, "selector": "k1._domainkey"}, "without `._domainkey`"),
        ({**OURS, "selector": "k1; d=evil.example"}, "a name is wanted"),
        ({**OURS, "selector": "k1\n"}, "a name is wanted"),
        ({**OURS, "selector": ""}, "a name is wanted"),
        ({**OURS, "domain": "acme"}, "a domain is wanted"),
        ({**OURS, "domain": "me@acme.example"}, "a domain is wanted"),
        ({**OURS, "domain": "acme.example; s=x"}, "a domain is wanted"),
        ({"domain": "acme.example", "selector": "k1"}, "private_key"),
        ({**OURS, "expires": "1d"}, "expires"),
    ],
)
def test_settings_that_can_not_be(given: object, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Settings.model_validate({"host": "h", "dkim": given})


# Over the wire


def account(settings: Settings) -> Smtp:
    return Smtp(Account("mail", settings, Path("/"), 2, timedelta(seconds=5)))


@asynccontextmanager
async def opened(server: SmtpServer, signatures: Sequence[dict[str, str]]) -> AsyncIterator[Smtp]:
    provider = account(
        Settings.model_validate(
            {
                "host": server.host,
                "port": server.port,
                "username": server.username,
                "password": Secret(server.password),
                "ca_file": str(server.ca_file),
                "local_hostname": "sender.example",
                "dkim": list(signatures),
            }
        )
    )
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


ARRIVING = [
    *unusual_emails(),
    an_email(20, text="Καλημέρα\n" * 30, html=None),
    an_email(21, text="a\r\n.\r\n..\n\n\n", html="<p>.</p>\n.\n"),
    an_email(22, to=(Mailbox("zoë@mail.example", "Zoë"),), text="Größe\n"),
    an_email(23, attachments=(Attachment("large.bin", "application/octet-stream", bytes(range(256)) * 2000),)),
    an_email(24, text="", html=None),
    an_email(25, bcc=(Mailbox("bcc@mail.example"),), cc=(Mailbox("cc@mail.example"),)),
]


@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelining", "one-by-one"])
async def test_what_arrives_verifies(pipelining: bool) -> None:
    with SmtpServer(pipelining=pipelining) as server:
        async with opened(server, [OURS, SECOND]) as provider:
            receipts = await provider.send(ARRIVING)
    assert {receipt.status for receipt in receipts} == {Status.accepted}
    assert len(server.messages) == len(ARRIVING)
    assert [verified(message.content) for message in server.messages] == [[True, True]] * len(ARRIVING)
    encodings = {
        each.decode()
        for each in re.findall(
            rb"Content-Transfer-Encoding: (\S+)", b"".join(message.content for message in server.messages)
        )
    }
    assert encodings == {"7bit", "quoted-printable", "base64"}
    (abroad,) = (message for message in server.messages if message.recipients == ("zoë@mail.example",))
    assert not abroad.content.isascii(), "headers with an address outside ASCII are 8bit, and signed as such"


async def test_check_tells_the_record_to_publish() -> None:
    with SmtpServer() as server:
        async with opened(server, [OURS, SECOND]) as provider:
            found = await provider.check()
        async with opened(server, [{**OURS, "private_key": WEAK}]) as provider:
            weak = await provider.check()
    assert (
        f"signed in; signs for acme.example with RSA, 2048 bits: k1._domainkey.acme.example TXT {public_record(RSA)}; "
        in found
    )
    assert found.endswith(f"with Ed25519: k2._domainkey.acme.example TXT {ED25519_RECORD}")
    assert "weak" not in found
    assert "with RSA, 1024 bits (weak: make one with 2048): k1." in weak
    assert "\n" not in found


async def test_nothing_is_signed_without_the_setting() -> None:
    with SmtpServer() as server:
        async with opened(server, []) as provider:
            await provider.send([an_email(1)])
            assert "signs for" not in await provider.check()
    assert b"DKIM-Signature" not in server.messages[0].content
