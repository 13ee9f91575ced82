"""Contents for devices and endpoints: what may be written, what they inherit, and how they are stored."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from connect.project.campaign import Campaign
from connect.project.campaigns import load_message
from connect.project.route import Route
from connect.project.secret_text import SecretText
from connect.project.text import Text
from connect.vocabulary import Channel, Platform

HEAD = "trigger: {type: immediate}\naudience: {sql: select 1}\nmessage:\n  content:\n"
PUSH = """
    - channel: push
      provider: {ios: [box, relay], android: relay, default: box}
      title: "Hi {{ user.name }}"
      body: {file: push.txt}
      data: {order: "{{ user.order }}", kind: 7}
      image: https://acme.example/{{ user.id }}.png
      badge: "{{ user.unread }}"
      sound: default
      url: acme://orders
      ttl: 1h
      collapse_key: order
      ios: {aps: {interruption-level: passive, count: 2}, more: [1, "{{ user.id }}"]}
      android: {priority: HIGH}
"""
HTTP = """
    - channel: http
      provider: [box, relay]
      url: https://acme.example/hook?u={{ user.id }}
      method: PUT
      headers: {Authorization: "Bearer ${SMTP_PASSWORD}", X-Id: "{{ user.id }}"}
      body:
        text: "Hi {{ user.name }}"
        plain: word
        "on": true
        number: 12
        price: 1.50
        quoted: "12"
        code: 0123
        nothing: null
        list: [1, {a: "{{ user.id }}"}]
      signing_secret: whsec_${CONNECT_SECRET}
      allow_private: true
"""


@pytest.fixture
def both(folder):
    folder.write("templates/push.txt", "Your order {{ user.order }} is on its way\n")
    loaded = folder.campaign(HEAD + PUSH + HTTP)
    assert loaded.problems == ()
    return loaded.campaign


def test_a_push_content(both):
    push = both.message.content[0]
    assert push.provider.platforms == {Platform.ios: ("box", "relay"), Platform.android: ("relay",)}
    assert (push.provider.to(Platform.ios), push.provider.to(Platform.web)) == (("box", "relay"), ("box",))
    assert (push.provider.to(), push.provider.names) == (("box",), ("box", "relay"))
    assert (push.title.source, push.body.file) == ("Hi {{ user.name }}", "templates/push.txt")
    assert {name: text.source for name, text in push.data.items()} == {"order": "{{ user.order }}", "kind": "7"}
    assert (push.image.source, push.badge.source) == ("https://acme.example/{{ user.id }}.png", "{{ user.unread }}")
    assert (push.sound.source, push.url.source, push.collapse_key.source) == ("default", "acme://orders", "order")
    assert push.ttl == timedelta(hours=1)
    assert push.ios.filled(lambda text: text.source) == {
        "aps": {"interruption-level": "passive", "count": 2},
        "more": [1, "{{ user.id }}"],
    }
    assert push.android.filled(lambda text: text.source.lower()) == {"priority": "high"}
    assert push.addressed is None


def test_an_http_content(both):
    http = both.message.content[1]
    assert (http.provider.to(), http.method, http.allow_private) == (("box", "relay"), "PUT", True)
    assert http.addressed is http.url
    assert http.headers["Authorization"] == SecretText(references="Bearer ${SMTP_PASSWORD}")
    assert http.headers["X-Id"].source == "{{ user.id }}"
    assert http.signing_secret == SecretText(references="whsec_${CONNECT_SECRET}")
    assert http.body.filled(lambda text: [text.source]) == {
        "text": ["Hi {{ user.name }}"],
        "plain": ["word"],
        "on": True,
        "number": 12,
        "price": 1.5,
        "quoted": ["12"],
        "code": ["0123"],
        "nothing": None,
        "list": [1, {"a": ["{{ user.id }}"]}],
    }


def test_every_text_has_its_place_and_is_handed_out_to_be_checked(folder, both):
    text = (HEAD + PUSH + HTTP).split("\n")
    body = both.message.content[1].body.texts[0]
    place = body.at(body.source.index("{{"))
    assert text[place.line - 1][place.column - 1 :] == '{{ user.name }}"'
    loaded = folder.campaign(HEAD + PUSH + HTTP)
    templates = {found for content in both.message.content for found, _ in content.liquid()}
    assert {found for _, found in loaded.texts} >= templates
    assert {found.source for found in templates} >= {
        "Hi {{ user.name }}",
        "word",
        "acme://orders",
        "HIGH",
        "{{ user.id }}",
    }
    assert not any("SMTP_PASSWORD" in found.source for found in templates)


def test_a_body_may_be_one_template_a_file_or_a_list(folder):
    folder.write("templates/hook.json", '{"id": {{ user.id }} }')
    made = HEAD + "    - {channel: http, provider: box, body: %s}\n"

    def body(text):
        loaded = folder.campaign(made % text)
        assert loaded.problems == ()
        return loaded.campaign.message.content[0].body

    assert body("'{\"id\": {{ user.id }} }'").source == '{"id": {{ user.id }} }'
    assert body("{file: hook.json}").file == "templates/hook.json"
    assert body("[1, a]").filled(lambda text: text.source) == [1, "a"]
    assert body("{file: hook.json, b: c}").filled(lambda text: text.source) == {"file": "hook.json", "b": "c"}
    assert body("{}").filled(lambda text: text.source) == {}
    assert isinstance(body("plain"), Text)


def test_they_are_stored_and_load_again(both):
    assert Campaign.model_validate_json(both.model_dump_json()) == both


def test_campaigns_of_earlier_versions_load(folder, campaign_text):
    """They name one account, and know nothing of later fields."""
    content = campaign_text(body="      text: x\n    - {channel: sms, body: a}")
    now = folder.campaign(content).campaign
    stored = json.loads(now.model_dump_json())
    for one in stored["message"]["content"]:
        one["provider"] = "box"
        one.pop("max_segments", None)
    assert Campaign.model_validate_json(json.dumps(stored)) == now
    assert now.message.content[0].provider == Route(accounts=("box",))


# Inheriting


def project(folder, more, channels="{email: box, push: {ios: relay, default: box}, http: box}"):
    text = (folder.root / "connect.yml").read_text()
    folder.write("connect.yml", text.replace("channels:\n  email: box\n  sms: box\n", f"channels: {channels}\n") + more)


def contents(folder, text):
    loaded = folder.campaign(HEAD + text)
    assert loaded.problems == ()
    return loaded.campaign.message.content


@pytest.mark.parametrize(
    ("channel", "own", "made"),
    [
        ("box", "~", "box"),
        ("[box, relay]", "~", ["box", "relay"]),
        ("[box, relay]", "relay", "relay"),
        ("box", "[relay, box]", ["relay", "box"]),
        ("{ios: relay, default: box}", "~", {"ios": "relay", "default": "box"}),
        ("{ios: relay, default: box}", "{android: relay}", {"ios": "relay", "android": "relay", "default": "box"}),
        ("{ios: relay, default: box}", "{ios: [box, relay]}", {"ios": ["box", "relay"], "default": "box"}),
        ("{ios: relay, default: box}", "{ios: ~}", "box"),
        ("{ios: relay, default: box}", "[relay]", "relay"),
        ("[box, relay]", "{ios: box}", {"ios": "box"}),
    ],
)
def test_a_mapping_by_platform_merges_and_everything_else_replaces(folder, channel, own, made):
    project(folder, "", f"{{push: {channel}}}")
    (push,) = contents(folder, f"    - {{channel: push, title: a, body: b, provider: {own}}}\n")
    assert push.provider.written == made


def test_targets_merge_the_accounts_of_push(folder):
    project(folder, "targets: {prod: {channels: {push: {ios: box, web: relay}}}, dev: {channels: {push: relay}}}\n")
    route = folder.project(target="prod").channels[Channel.push]
    assert route.written == {"ios": "box", "web": "relay", "default": "box"}
    assert folder.project(target="dev").channels[Channel.push].written == "relay"


DEFAULTS = """
defaults:
  message:
    push:
      sound: chime
      data: {source: acme}
      provider: {web: relay}
      ios: {aps: {interruption-level: passive, badge: 1}}
    http:
      url: https://acme.example/hook
      headers: {Authorization: "Bearer ${SMTP_PASSWORD}", X-Team: growth}
      signing_secret: ${CONNECT_SECRET}
      body: {text: Hello}
"""


def test_defaults_of_push_and_http(folder):
    project(folder, DEFAULTS)
    push, http = contents(
        folder,
        """
    - channel: push
      title: Hi
      body: You
      data: {order: "1"}
      ios: {aps: {badge: ~, sound: loud}}
    - {channel: http, headers: {X-Team: ~, X-Mine: a}}
""",
    )
    assert push.sound.source == "chime"
    assert {name: text.source for name, text in push.data.items()} == {"source": "acme", "order": "1"}
    assert push.provider.written == {"ios": "relay", "web": "relay", "default": "box"}
    assert push.ios.filled(lambda text: text.source) == {"aps": {"interruption-level": "passive", "sound": "loud"}}
    assert http.url.source == "https://acme.example/hook"
    assert list(http.headers) == ["Authorization", "X-Mine"]
    assert http.signing_secret.references == "${CONNECT_SECRET}"
    assert http.body.filled(lambda text: text.source) == {"text": "Hello"}


def test_a_body_replaces_the_one_that_it_would_inherit(folder):
    """JSON in two languages would be neither, and its nulls mean themselves."""
    project(folder, DEFAULTS)
    fallback, french, german = contents(
        folder,
        """
    - {channel: http, body: {text: Hi, blocks: [a], more: {b: c}}}
    - {channel: http, locale: fr, body: {text: Salut, more: ~}}
    - {channel: http, locale: de, method: PUT}
""",
    )
    assert fallback.body.filled(lambda text: text.source) == {"text": "Hi", "blocks": ["a"], "more": {"b": "c"}}
    assert french.body.filled(lambda text: text.source) == {"text": "Salut", "more": None}
    assert (german.body, german.method) == (fallback.body, "PUT")


def test_a_locale_of_push_inherits_what_it_leaves_out(folder):
    project(folder, "")
    english, french = contents(
        folder,
        """
    - {channel: push, title: Acme, body: Hello, data: {a: b}}
    - {channel: push, locale: fr, body: Salut, data: {c: d}}
""",
    )
    assert (french.title, french.body.source) == (english.title, "Salut")
    assert french.title.source == "Acme"
    assert sorted(french.data) == ["a", "c"]


def test_a_message_of_its_own_file_has_them_too(folder):
    project(folder, DEFAULTS)
    folder.write("messages/hook.yml", "content:\n  - {channel: http, body: {text: Hi}}\n")
    message = load_message(folder.project(), "hook").message
    assert message.content[0].url.source == "https://acme.example/hook"
    assert message.content[0].provider.to() == ("box",)


# What is refused


@pytest.mark.parametrize(
    ("content", "code", "where", "hint"),
    [
        ("{channel: push, body: b}", "missing-key", "{channel", ""),
        ("{channel: push, title: a}", "missing-key", "{channel", ""),
        ("{channel: push, title: a, body: b, provider: bx}", "unknown-provider", "bx", "`box`"),
        ("{channel: push, title: a, body: b, provider: {ios: bx}}", "unknown-provider", "bx", "`box`"),
        ("{channel: push, title: a, body: b, provider: {iso: box}}", "unknown-key", "iso", "`ios`"),
        ("{channel: push, title: a, body: b, provider: {ios: {a: box}}}", "wrong-type", "ios", ""),
        ("{channel: push, title: a, body: b, ttl: 29d}", "bad-value", "29d", "at most 28d"),
        ("{channel: push, title: a, body: b, ios: [a]}", "wrong-type", "ios", ""),
        ("{channel: push, title: a, body: b, ios: {$text: a}}", "bad-value", "$text", ""),
        ("{channel: push, title: a, body: b, data: x}", "wrong-type", "x}", ""),
        ("{channel: push, title: a, body: b, data: {a: [1]}}", "wrong-type", "a: [1]", ""),
        ("{channel: push, title: a, body: b, to: x}", "unknown-key", "to", ""),
        ("{channel: http}", "missing-key", "{channel", ""),
        ("{channel: http, body: a, url: acme.example/hook}", "bad-url", "acme", "https://"),
        ("{channel: http, body: a, url: 'ftp://{{ user.id }}'}", "bad-url", "'ftp", "https://"),
        ("{channel: http, body: a, url: 'https:///hook'}", "bad-url", "'https", "https://"),
        ("{channel: http, body: a, url: 'https://a b'}", "bad-url", "'https", "https://"),
        ("{channel: http, body: a, url: 'https://me:pw@acme.example'}", "literal-secret", "'https", "Authorization"),
        ("{channel: http, body: a, url: 'https://key@{{ user.host }}'}", "literal-secret", "'https", "Authorization"),
        ("{channel: http, body: a, url: 'https://acme.example/${SMTP_PASSWORD}'}", "reference-in-content", "'http", ""),
        ("{channel: http, body: a, method: post}", "bad-value", "post", "`POST`"),
        ("{channel: http, body: a, headers: {X-A: [1]}}", "wrong-type", "X-A", ""),
        ("{channel: http, body: a, headers: {X-A: b, x-a: c}}", "bad-header", "x-a", "case"),
        ("{channel: http, body: a, headers: {Authorization: Bearer x}}", "literal-secret", "Bearer", "${NAME}"),
        ("{channel: http, body: a, headers: {x-api-key: abc}}", "literal-secret", "abc", "${NAME}"),
        (
            "{channel: http, body: a, headers: {X-A: '${SMTP_PASSWORD}{{ user.id }}'}}",
            "secret-in-template",
            "'$",
            "two",
        ),
        ("{channel: http, body: a, headers: {X-A: '${NOT-A}'}}", "bad-reference", "'$", "${NAME}"),
        ("{channel: http, body: a, signing_secret: whsec_abc}", "literal-secret", "whsec", "${NAME}"),
        ("{channel: http, body: a, signing_secret: [a]}", "wrong-type", "signing", "${NAME}"),
        ("{channel: http, body: a, signing_secret: '${NO_SUCH}'}", "missing-secret", "'$", ".env"),
        ("{channel: http, body: a, headers: {X-A: '${file:gone.key}'}}", "missing-secret", "'$", "gone.key"),
        ("{channel: http, body: a, allow_private: yes}", "wrong-type", "yes", "booleans"),
        ("{channel: http, body: {a: {$text: 1}}}", "bad-value", "$text", ""),
        ("{channel: http, body: a, provider: {ios: box}}", "wrong-type", "provider", "only `push`"),
        ("{channel: http, body: a, to: x}", "unknown-key", "to", ""),
    ],
)
def test_one_mistake(folder, content, code, where, hint):
    project(folder, "")
    text = HEAD + f"    - {content}\n"
    found = folder.problem(text)
    assert (found.code, hint in found.hint) == (code, True), found
    line = text.split("\n")[found.location.line - 1]
    assert line[found.location.column - 1 :].startswith(where)


@pytest.mark.parametrize(
    "content",
    [
        "{channel: push, title: a, body: b, provider: {ios: box}}",
        "{channel: push, title: a, body: b, ttl: 0s}",
        "{channel: push, title: a, body: 'You owe ${{ user.total }} or ${NAME}'}",
        "{channel: http, body: a}",
        "{channel: http, body: 'You owe ${{ user.total }} or ${NAME}', url: '{{ user.hook }}'}",
        "{channel: http, body: a, url: 'HTTPS://acme.example'}",
        "{channel: http, body: a, url: 'https://acme.example/a@b'}",
        "{channel: http, body: a, headers: {Authorization: 'Bearer {{ user.token }}'}}",
        "{channel: http, body: a, headers: {X-Price: '${{ user.total }}'}}",
        "{channel: http, body: {a: ~}}",
    ],
)
def test_what_is_fine(folder, content):
    project(folder, "")
    contents(folder, f"    - {content}\n")


def test_a_comment_in_a_body_is_not_lost(folder):
    project(folder, "")
    text = HEAD + "    - channel: http\n      body:\n        number: 1 # one\n        text: Order 1 #2\n"
    found = folder.problem(text)
    assert (found.code, found.location.line, found.location.column) == ("unquoted-comment", 8, 15)


def test_a_written_out_secret_is_never_shown(folder):
    project(folder, "")
    content = (
        "{channel: http, bdy: a, headers: {Authorization: Bearer canary, X-A: '{{ user.id'}, signing_secret: canary}"
    )
    loaded = folder.campaign(HEAD + f"    - {content}\n")
    codes = [problem.code for problem in loaded.problems]
    assert sorted(codes) == ["literal-secret", "literal-secret", "missing-key", "unknown-key"]
    assert "canary" not in "".join(map(str, loaded.problems))
    texts = [text for _, text in loaded.texts if "user.id" in text.source]
    assert len(texts) == 1
    assert "canary" not in texts[0].at(0).text


DEVICE = "test_recipient: {device_token: t%s}\n"


def test_a_test_device_says_what_it_is_where_accounts_differ_by_platform(folder):
    own = "    - channel: push\n      title: a\n      body: b\n      provider: {ios: relay}\n"
    project(folder, DEVICE % "", "{push: box}")
    contents(folder, "    - {channel: push, title: a, body: b}\n")
    found = folder.problem(HEAD + own)
    assert (found.code, "test_recipient.platform" in found.message) == ("missing-key", True)
    assert (found.location.file, found.location.line) == ("campaigns/hello.yml", 8)
    folder.write("messages/own.yml", "content:\n" + own.replace("    ", "  "))
    problems = load_message(folder.project(), "own").problems
    assert [(problem.code, problem.location.file) for problem in problems] == [("missing-key", "messages/own.yml")]


def test_a_test_device_of_a_known_platform_is_fine(folder):
    project(folder, DEVICE % ", platform: android")
    contents(folder, "    - {channel: push, title: a, body: b, provider: {ios: relay}}\n")
    assert folder.project().test_recipient.platform is Platform.android
