"""SPF, DKIM and DMARC, asked of a real name server on this machine."""

from __future__ import annotations

import pytest

from connect.errors import Severity
from connect.pipeline.domains import Lookups, Records, look_up
from connect.pipeline.senders import Signing
from tests.unit.pipeline.name_server import NameServer

KEY = "v=DKIM1; k=rsa; p=" + "MIGf" * 100
GOOD = {
    "acme.example": ["v=spf1 include:mail.example ~all", "google-site-verification=abc"],
    "s1._domainkey.acme.example": [KEY],
    "_dmarc.acme.example": ["v=DMARC1; p=quarantine; rua=mailto:d@acme.example"],
}
OURS = Signing("acme.example", "s1")


def looked_up(records, domain="acme.example", signings=(OURS,), elsewhere=()) -> Records:
    with NameServer(records) as server:
        return look_up(domain, signings, elsewhere, Lookups(server.resolver()))


def codes(found: Records) -> list[str]:
    assert all(problem.severity is Severity.warning and problem.hint for problem in found.problems)
    return [problem.code for problem in found.problems]


def test_a_domain_in_order():
    found = looked_up(GOOD)
    assert found.summary == "SPF ~all · DKIM s1 · DMARC p=quarantine"
    assert (found.problems, found.notes) == ((), ())


def test_a_domain_that_has_nothing():
    found = looked_up({})
    assert codes(found) == ["no-spf", "no-dkim", "no-dmarc"]
    assert found.summary == "no SPF · no DKIM · no DMARC"
    assert "s1._domainkey.acme.example" in found.problems[1].message
    assert "_dmarc.acme.example" in found.problems[2].hint


def test_a_name_without_such_records_is_as_one_that_is_not_there():
    assert codes(looked_up({name: [] for name in GOOD})) == ["no-spf", "no-dkim", "no-dmarc"]


@pytest.mark.parametrize(
    ("texts", "expected", "summary"),
    [
        (["v=spf1 -all"], [], "SPF -all"),
        (["V=SPF1 include:a.example ?all"], [], "SPF ?all"),
        (["v=spf1 redirect=_spf.acme.example"], [], "SPF redirect=_spf.acme.example"),
        (["v=spf1"], [], "SPF"),
        (["v=spf1 +all"], ["bad-spf"], "SPF +all"),
        (["v=spf1 a all"], ["bad-spf"], "SPF all"),
        (["v=spf1 -all", "v=spf1 ~all"], ["bad-spf"], "several SPF"),
        (["v=spf10 -all"], ["no-spf"], "no SPF"),
    ],
)
def test_spf(texts, expected, summary):
    found = looked_up({**GOOD, "acme.example": texts})
    assert codes(found) == expected
    assert found.summary.partition(" · ")[0] == summary


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["p=MIGf"], []),
        ([KEY, "other"], []),
        (["v=DKIM1; p="], ["bad-dkim"]),
        (["v=DKIM1; k=rsa"], ["bad-dkim"]),
        (["nonsense"], ["bad-dkim"]),
    ],
)
def test_dkim(texts, expected):
    assert codes(looked_up({**GOOD, "s1._domainkey.acme.example": texts})) == expected


def test_the_key_is_looked_for_where_the_account_signs():
    records = {**GOOD, "k2._domainkey.mail.acme.example": [KEY]}
    found = looked_up(records, signings=[OURS, Signing("mail.acme.example", "k2")])
    assert found.summary == "SPF ~all · DKIM s1 · DKIM k2 · DMARC p=quarantine"


def test_a_provider_that_signs_knows_its_selector_itself():
    found = looked_up(GOOD, signings=[], elsewhere={"spare", "mail"})
    assert found.problems == ()
    assert found.notes == ("DKIM of acme.example: `mail`, `spare` signs; the provider's own page has the selector",)


@pytest.mark.parametrize(
    ("texts", "expected", "summary"),
    [
        (["v=DMARC1; p=none"], [], "DMARC p=none"),
        (["v=DMARC1;p=Reject;sp=none"], [], "DMARC p=Reject"),
        (["v=DMARC1; rua=mailto:a@b.example"], ["bad-dmarc"], "bad DMARC"),
        (["v=DMARC1; p=all"], ["bad-dmarc"], "bad DMARC"),
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], ["bad-dmarc"], "several DMARC"),
        (["v=DMARC2; p=none"], ["no-dmarc"], "no DMARC"),
    ],
)
def test_dmarc(texts, expected, summary):
    found = looked_up({**GOOD, "_dmarc.acme.example": texts})
    assert codes(found) == expected
    assert found.summary.rpartition(" · ")[2] == summary


@pytest.mark.parametrize(("policy", "summary"), [("p=reject", "DMARC p=reject"), ("p=reject; sp=none", "DMARC p=none")])
def test_a_subdomain_has_the_policy_of_its_organisation(policy, summary):
    records = {"news.acme.example": ["v=spf1 -all"], "_dmarc.acme.example": [f"v=DMARC1; {policy}"]}
    found = looked_up(records, "news.acme.example", signings=())
    assert found.summary == f"SPF -all · {summary}"


def test_each_name_is_asked_once():
    with NameServer(GOOD) as server:
        lookups = Lookups(server.resolver())
        for _ in range(3):
            look_up("acme.example", [OURS], (), lookups)
        assert sorted(server.asked) == ["_dmarc.acme.example.", "acme.example.", "s1._domainkey.acme.example."]


def test_a_resolver_that_does_not_answer_is_a_note_and_asked_no_more():
    with NameServer({}, answers=False) as server:
        found = look_up("acme.example", [OURS], (), Lookups(server.resolver(lifetime=0.2)))
        assert set(server.asked) == {"acme.example."}
    assert found.problems == ()
    assert [note.partition(":")[0] for note in found.notes] == [
        "SPF of acme.example",
        "DKIM of acme.example",
        "DMARC of acme.example",
    ]


def test_so_is_one_that_fails():
    with NameServer({}, fails=True) as server:
        found = look_up("acme.example", [], (), Lookups(server.resolver(lifetime=0.2)))
    assert (found.problems, len(found.notes), found.summary) == ((), 2, "")


def test_and_a_machine_without_one():
    found = look_up("acme.example", [], (), Lookups(None))
    assert (found.problems, len(found.notes)) == ((), 2)


@pytest.mark.parametrize("domain", ["a" * 64 + ".example", "a..example", ".".join(["label"] * 60)])
def test_a_domain_that_no_name_server_could_be_asked_of(domain):
    found = looked_up(GOOD, domain, signings=())
    assert (found.problems, len(found.notes)) == ((), 2)
