"""What is written out in contents for devices and endpoints, and that nothing could be sent with."""

from __future__ import annotations

import pytest

from connect.liquid.library import Library
from connect.pipeline import lint
from tests.unit.pipeline.a_project import campaign, project

PUSH = "    - {channel: push, title: a, body: b, %s}\n"
HTTP = "    - {channel: http, body: a, %s}\n"


def found(root, content):
    """[(code, what stands at its place)]"""
    made, _ = campaign(root, project(root), content)
    problems = lint.campaign_problems(made, Library({}), ["id", "email", "hook", "other"])
    return [(problem.code, problem.location.text[problem.location.column - 1 :]) for problem in problems]


@pytest.mark.parametrize(
    ("content", "code", "where"),
    [
        (PUSH % "image: acme.example/a.png", "bad-url", "acme.example/a.png"),
        (PUSH % "image: acme://a", "bad-url", "acme://a"),
        (PUSH % "url: somewhere", "bad-url", "somewhere"),
        (PUSH % "url: 'javascript:alert(1)'", "bad-url", "javascript:"),
        (PUSH % "badge: many", "bad-value", "many"),
        (PUSH % "badge: -1", "bad-value", "-1"),
        (HTTP % "url: 'https://acme.example:99999/'", "bad-url", "https://"),
        (HTTP % "url: 'https://127.1/'", "bad-url", "https://"),
        (HTTP % "headers: {Host: a}", "bad-header", "a}"),
        (HTTP % "headers: {webhook-id: a}", "bad-header", "a}"),
        (HTTP % "headers: {'X A': a}", "bad-header", "a}"),
        (HTTP % "headers: {Content-Length: '${CONNECT_SECRET}'}", "bad-header", ""),
    ],
)
def test_one_mistake(tmp_path, content, code, where):
    ((told, place),) = found(tmp_path, content)
    assert (told, place.startswith(where)) == (code, True)


@pytest.mark.parametrize(
    "content",
    [
        PUSH % "image: 'https://acme.example/a.png', url: acme://orders/7, badge: 3",
        PUSH % "image: '{{ user.id }}', url: '{{ user.id }}', badge: '{{ user.id }}'",
        PUSH % "url: https://acme.example",
        HTTP % "url: 'https://acme.example:8080/a?b=c'",
        HTTP % "headers: {Content-Type: text/plain, X-A: b, Authorization: '${CONNECT_SECRET}'}",
        HTTP % "url: '{{ user.hook }}'" + HTTP.replace("http,", "http, locale: fr,") % "url: '{{ user.other }}'",
    ],
)
def test_what_is_fine(tmp_path, content):
    assert found(tmp_path, content) == []


def test_names_that_the_audience_does_not_have_are_found_in_trees_and_headers(tmp_path):
    content = (
        HTTP % "headers: {X-A: '{{ user.a }}'}" + PUSH % "ios: {aps: {b: '{{ user.b }}'}}, data: {c: '{{ user.c }}'}"
    )
    places = [place.partition(" ")[0] for _, place in found(tmp_path, content)]
    assert sorted(places) == ["user.a", "user.b", "user.c"]
