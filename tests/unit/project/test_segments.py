"""Segments in an audience, and the project's `everyone` and `profile`: how they are read, kept and told apart."""

from __future__ import annotations

from connect.pipeline.bundle import Bundle
from connect.project.text import TextKind
from tests.unit.project.conftest import CONNECT

AUDIENCE = "audience: {segments: {any: lapsed, none: [staff]}}"
SQL = "audience: {sql: select id from people, segments: {all: [lapsed]}}"


def made(folder):
    folder.write("segments/lapsed.sql", "select id\nfrom visits\n")
    folder.write("segments/staff.sql", "select id from staff")
    folder.write("connect.yml", CONNECT + "everyone:\n  source: events\n  sql: select id from guests\n")


def test_alone_they_are_of_everyone_and_ask_where_everyone_is(folder, campaign_text):
    made(folder)
    loaded = folder.campaign(campaign_text(audience=AUDIENCE))

    audience = loaded.campaign.audience
    assert (audience.source, audience.sql.source, audience.sql.file) == (
        "events",
        "select id from guests",
        "connect.yml",
    )
    assert [segment.name for segment in audience.segments.each] == ["lapsed", "staff"]
    assert audience.segments.words == "any of lapsed; none of staff"
    assert [text.file for kind, text in loaded.texts if kind is TextKind.segment] == [
        "segments/lapsed.sql",
        "segments/staff.sql",
    ]


def test_beside_a_query_nothing_else_is_inherited(folder, campaign_text):
    made(folder)
    audience = folder.campaign(campaign_text(audience=SQL)).campaign.audience
    assert (audience.source, audience.sql.source) == ("shop", "select id from people")


def test_everyone_may_be_text_a_file_or_another_target_s(folder, campaign_text):
    made(folder)
    folder.write("audiences/all.sql", "select 1 as id")
    folder.write("connect.yml", CONNECT + "everyone: {sql_file: all.sql}\ntargets:\n  b: {everyone: select 2 as id}\n")
    project = folder.project("b")
    assert (project.everyone.source, project.everyone.sql.source) == ("shop", "select 2 as id")
    folder.write("connect.yml", CONNECT + "everyone: {sql_file: all.sql}\n")
    assert folder.campaign(campaign_text(audience=AUDIENCE)).campaign.audience.sql.file == "audiences/all.sql"


def test_what_a_segment_says_is_part_of_the_campaign_and_where_it_stands_is_not(folder, campaign_text):
    made(folder)
    before = folder.campaign(campaign_text(audience=AUDIENCE)).campaign
    stored = Bundle(campaign=before, templates={}).stored()

    folder.write("segments/lapsed.sql", "select id from people\n")
    after = folder.campaign(campaign_text(audience=AUDIENCE)).campaign

    assert after.digest != before.digest
    assert Bundle.restore(stored, None).campaign == before


def test_what_is_no_name_of_a_segment(folder, campaign_text):
    made(folder)
    problem = folder.problem(campaign_text(audience="audience: {sql: select 1, segments: {all: [lapsd]}}"))
    assert (problem.code, problem.hint) == ("unknown-segment", "did you mean `lapsed`?")
    problem = folder.problem(campaign_text(audience="audience: {sql: select 1, segments: {all: [[lapsed]]}}"))
    assert problem.code == "wrong-type"
    problem = folder.problem(campaign_text(audience="audience: {sql: select 1, segments: lapsed}"))
    assert problem.message == "`audience.segments` must be a mapping of keys"
    problem = folder.problem(campaign_text(audience="audience: {sql: select 1, segments: {all: ../lapsed}}"))
    assert problem.code == "unknown-segment"
