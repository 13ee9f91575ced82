"""`destination` in connect.yml, `once` and `frequency_cap` in a policy: what they mean, and what is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connect.project.policy import FrequencyCap
from connect.vocabulary import Across

POLICY = "trigger: {{type: immediate}}\npolicy: {}"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("true", True), ("false", False), ("[email]", ("email",)), ("[id, invoice_id]", ("id", "invoice_id"))],
)
def test_once(folder, campaign_text, written, meant):
    loaded = folder.campaign(campaign_text(trigger=POLICY.format(f"{{once: {written}}}")))
    assert loaded.problems == ()
    assert loaded.campaign.policy.once == meant
    assert type(loaded.campaign).model_validate_json(loaded.campaign.model_dump_json()).policy.once == meant


def test_a_cap(folder, campaign_text):
    text = campaign_text(trigger=POLICY.format("{frequency_cap: {max: 3, per: 7d, across: all}}"))
    policy = folder.campaign(text).campaign.policy
    assert policy.frequency_cap == FrequencyCap(max=3, per=timedelta(days=7), across=Across.all)


@pytest.mark.parametrize(
    ("policy", "code", "said"),
    [
        ("{once: maybe}", "wrong-type", "neither `true` nor a list"),
        ("{once: []}", "bad-value", "empty"),
        ("{once: {a: b}}", "wrong-type", "list of columns"),
        ("{once: [a, [b]]}", "wrong-type", "name of a column"),
        ("{frequency_cap: {max: 0, per: 7d}}", "bad-value", "at least 1"),
        ("{frequency_cap: {max: 1}}", "missing-key", "per"),
        ("{frequency_cap: {max: 1, per: 5s}}", "bad-value", "too short"),
        ("{frequency_cap: {max: 1, per: 7d, across: everything}}", "bad-value", "everything"),
        ("{frequency_cap: {max: 1, per: 7d, acros: all}}", "unknown-key", "acros"),
    ],
)
def test_what_is_refused(folder, campaign_text, policy, code, said):
    found = folder.problem(campaign_text(trigger=POLICY.format(policy)))
    assert found.code == code
    assert said in found.message
    assert found.location.line
