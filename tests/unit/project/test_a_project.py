"""connect.yml as one target sees it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connect.errors import UserError
from connect.project.files import templates
from connect.project.load import find_root
from connect.project.route import Route
from connect.project.types import Rate
from connect.vocabulary import Channel, Mode

HEAD = "name: shop\n"
BOXES = "providers: {a: {type: outbox}, b: {type: outbox}}\n"
FULL = """
name: shop
timezone: Australia/Sydney
mode: live
test_recipient: {email: me@example.com, phone_number: +61400000000}
state: sqlite:///.connect/state.db
secret: ["${CONNECT_SECRET}", "${file:old.key}"]
sources:
  shop: {url: "duckdb:///shop.duckdb", threads: 2}
providers:
  relay: {type: smtp, host: smtp.example, port: 2525, password: "${SMTP_PASSWORD}", verify: false, idle: 5m}
channels: {email: relay}
subscriptions:
  sql: select id from unsubscribes
  subscribed_values: [subscribed, 1]
unsubscribe:
  url: https://acme.example/bye?u={{ user.id }}
  mailto: bye@acme.example
defaults:
  message:
    topic: news
    email: {from: Acme <hello@acme.example>, headers: {X-Shop: acme}}
    sms: {from: Acme}
  policy: {reach: first}
serve: {base_url: "https://connect.acme.example/"}
"""


@pytest.fixture
def full(folder):
    folder.write("old.key", "an-old-key-that-is-long\n")
    folder.write("connect.yml", FULL)
    return folder.project()


def test_everything_that_may_be_written(full):
    assert (full.name, full.timezone, full.target, full.mode) == ("shop", "Australia/Sydney", "default", Mode.live)
    assert (full.test_recipient.email, full.test_recipient.phone_number) == ("me@example.com", "+61400000000")
    assert full.state == f"sqlite:///{full.root}/.connect/state.db"
    assert [secret.reveal() for secret in full.secret.secrets] == ["0123456789abcdef", "an-old-key-that-is-long"]
    assert full.channels == {Channel.email: Route(accounts=("relay",))}
    assert full.subscriptions.source == "shop"
    assert full.subscriptions.sql.source == "select id from unsubscribes"
    assert full.subscriptions.subscribed_values == ("subscribed", "1")
    assert full.unsubscribe.url.at(0).line == 16
    assert full.unsubscribe.mailto == "bye@acme.example"
    assert full.serve.base_url == "https://connect.acme.example"
    assert full.origins["providers.relay.host"] == "connect.yml:10"


def test_settings_are_read_with_the_adapters_model(full):
    relay = full.providers["relay"]
    assert (relay.type, relay.concurrency, relay.timeout) == ("smtp", None, timedelta(seconds=30))
    assert (relay.settings.port, relay.settings.verify, relay.settings.idle) == (2525, False, timedelta(minutes=5))
    assert relay.settings.password.reveal() == "hunter2-hunter2"
    assert full.sources["shop"].settings.url == "duckdb:///shop.duckdb"
    assert type(full.sources["shop"].settings.url) is str
    assert full.sources["shop"].settings.threads == 2
    assert full.default_source == "shop"


def test_the_rate_of_an_account(folder):
    text = "name: x\nproviders: {a: {type: outbox, rate: 10000/h}, b: {type: outbox, rate: ~}, c: {type: outbox}}\n"
    folder.write("connect.yml", text)
    rates = {name: entry.rate for name, entry in folder.project().providers.items()}
    assert rates == {"a": Rate(10_000, timedelta(hours=1)), "b": None, "c": None}
    assert str(rates["a"]) == "10000/h"


def test_nothing_prints_a_secret(full):
    assert "hunter2" not in repr(full) + repr(full.providers) + repr(full.sources)
    assert full.redactor.text("535 hunter2-hunter2 0123456789abcdef an-old-key-that-is-long") == "535 *** *** ***"


def test_what_is_absent_has_its_default(folder):
    folder.write("connect.yml", HEAD)
    project = folder.project()
    assert (project.timezone, project.mode, project.target) == ("UTC", Mode.test, "default")
    assert (project.sources, project.providers, project.channels, project.default_source) == ({}, {}, {}, "")
    assert (project.subscriptions, project.unsubscribe, project.serve.base_url) == (None, None, None)
    assert project.secret.secrets == ()


def test_campaigns_inherit_the_defaults(full, folder):
    from connect.project.campaigns import load_campaign
    from connect.project.show import effective

    folder.write(
        "campaigns/hello.yml",
        """
        trigger: {type: immediate}
        audience: {sql: select 1}
        message:
          topic: null
          content:
            - {channel: email, subject: Hi, text: Hi, headers: {X-Mine: "1"}}
        policy: {in_doubt: resend}
        """,
    )
    loaded = load_campaign(full, "hello")
    assert loaded.problems == ()
    email = loaded.campaign.message.content[0]
    assert email.sender.source == "Acme <hello@acme.example>"
    assert {name: text.source for name, text in email.headers.items()} == {"X-Shop": "acme", "X-Mine": "1"}
    assert loaded.campaign.message.topic is None
    shown = {path: (value, origin) for path, value, origin in effective(loaded)}
    assert shown["message.content.0.from"] == ("Acme <hello@acme.example>", "connect.yml:21")
    assert shown["policy.reach"] == ("first", "connect.yml:23")
    assert shown["policy.in_doubt"] == ("resend", "campaigns/hello.yml:7")
    assert shown["trigger.grace"] == ("6h", "default")
    assert shown["audience.source"] == ("shop", "connect.yml:8")


TARGETS = """
name: shop
default_target: dev
providers:
  relay: {type: smtp, host: localhost, username: me}
  box: {type: outbox}
channels: {email: box}
targets:
  dev:
  prod:
    mode: live
    channels: {email: relay}
    providers:
      relay: {host: smtp.example, username: null, password: "${PROD_PASSWORD}"}
"""


def test_a_target_is_put_over_the_rest(folder):
    folder.write("connect.yml", TARGETS)
    dev = folder.project()
    assert (dev.target, dev.mode, dev.channels[Channel.email].to()) == ("dev", Mode.test, ("box",))
    prod = folder.project(target="prod", environment={"PROD_PASSWORD": "secret"})
    assert (prod.target, prod.mode, prod.channels[Channel.email].to()) == ("prod", Mode.live, ("relay",))
    settings = prod.providers["relay"].settings
    assert (settings.host, settings.username, settings.password.reveal()) == ("smtp.example", None, "secret")


def test_who_chooses_the_target(folder):
    folder.write("connect.yml", TARGETS)
    environment = {"CONNECT_TARGET": "prod", "PROD_PASSWORD": "secret"}
    assert folder.project(environment=environment).target == "prod"
    assert folder.project(target="dev", environment=environment).target == "dev"
    folder.write("connect.yml", HEAD + "targets: {only: {mode: offline}}\n")
    assert (folder.project().target, folder.project().mode) == ("only", Mode.offline)


@pytest.mark.parametrize(
    ("text", "target", "code", "hint"),
    [
        (TARGETS, "prd", "unknown-target", "prod"),
        (TARGETS.replace("default_target: dev\n", ""), None, "no-target", "dev, prod"),
        (TARGETS.replace("default_target: dev", "default_target: def"), None, "unknown-target", "dev"),
        (HEAD, "prod", "unknown-target", "no `targets`"),
        (HEAD + "targets: {a b: {}}\n", None, "bad-name", ""),
        (HEAD + "targets: {dev: {moed: live}, prod: {}}\ndefault_target: prod\n", None, "unknown-key", "mode"),
    ],
)
def test_a_target_that_is_wrong(folder, text, target, code, hint):
    found = folder.project_problems(text, target=target)
    assert (found[0].code, hint in found[0].hint) == (code, True)


def test_a_secret_is_only_needed_by_the_target_that_uses_it(folder):
    found = folder.project_problems(TARGETS, target="prod", environment={})
    assert [(problem.code, problem.location.line) for problem in found] == [("missing-secret", 13)]


@pytest.mark.parametrize("asked", [Mode.live, Mode.test])
def test_a_mode_can_only_be_made_safer(folder, asked):
    folder.write("connect.yml", HEAD + "mode: offline\n")
    with pytest.raises(UserError, match=r"connect.yml:2:7: error\[mode-not-in-file\]"):
        folder.project(mode=asked)
    folder.write("connect.yml", HEAD + "mode: live\n")
    assert folder.project(mode=asked).mode == asked


@pytest.mark.parametrize(
    ("text", "code", "line", "hint"),
    [
        ("nmae: x\n", "unknown-key", 2, "name"),
        ("timezone: +10:00\n", "bad-zone", 2, "daylight"),
        ("mode: lvie\n", "bad-value", 2, "live"),
        ("feeds: {}\n", "not-yet-supported", 2, ""),
        ("providers: {connect: {type: outbox}}\n", "bad-name", 2, "another name"),
        ("serve: {listen: x}\n", "bad-value", 2, "127.0.0.1:8080"),
        ("serve: {trusted_proxies: [x]}\n", "bad-value", 2, "10.0.0.0/8"),
        ("serve: {keys: {ci: {hash: key}}}\n", "bad-value", 2, "connect keys new"),
        ("serve: {base_url: acme.example}\n", "bad-value", 2, "https"),
        ("test_recipient: {http: acme.example}\n", "bad-url", 2, "https://"),
        ("test_recipient: {http: 'https://me:pw@acme.example'}\n", "literal-secret", 2, ""),
        ("test_recipient: {platform: symbian}\n", "bad-value", 2, "`android`"),
        (
            BOXES + "test_recipient: {device_token: t}\nchannels: {push: {ios: a}}\n",
            "missing-key",
            3,
            "ios, android or web",
        ),
        (BOXES + "channels: {email: []}\n", "bad-value", 3, "failover order"),
        (BOXES + "channels: {email: [a, c]}\n", "unknown-provider", 3, "`a`"),
        (BOXES + "channels: {email: [a, b, a]}\n", "bad-value", 3, "once"),
        (BOXES + "channels: {email: {ios: a}}\n", "wrong-type", 3, "only `push`"),
        (BOXES + "channels: {push: {ios: a, window: b}}\n", "unknown-key", 3, "`default`"),
        (BOXES + "channels: {push: {ios: {a: b}}}\n", "wrong-type", 3, ""),
        (BOXES + "channels: {push: {ios: ~}}\n", "bad-value", 3, "name one"),
        (BOXES + "channels: {push: {ios: [a, ~]}}\n", "wrong-type", 3, ""),
        ("channels: {email: relya}\nproviders: {relay: {type: outbox}}\n", "unknown-provider", 2, "relay"),
        ("providers: {x: {type: smpt}}\n", "unknown-type", 2, "smtp"),
        ("providers: {x: {}}\n", "missing-key", 2, "outbox"),
        ("providers: {x: outbox}\n", "wrong-type", 2, ""),
        ("providers: {x: {type: outbox, rate: 5}}\n", "bad-rate", 2, "50/s"),
        ("providers: {x: {type: outbox, rate: [5/s]}}\n", "wrong-type", 2, ""),
        ("providers: {x: {type: outbox, concurrency: [2]}}\n", "wrong-type", 2, ""),
        ("providers: {x: {type: outbox, timeout: [5s]}}\n", "wrong-type", 2, ""),
        ("providers: {x: {type: outbox, paht: y}}\n", "unknown-key", 2, "path"),
        ("providers: {x: {type: outbox, concurrency: 0}}\n", "wrong-type", 2, ""),
        ("providers: {x: {type: outbox, timeout: 5}}\n", "bad-duration", 2, "30s"),
        ("providers: {x: {type: smtp}}\n", "missing-key", 2, ""),
        ("providers: {x: {type: smtp, host: h, port: many}}\n", "wrong-type", 2, ""),
        ("providers: {x: {type: smtp, host: h, verify: yes}}\n", "wrong-type", 2, ""),
        ("providers: {x: {type: smtp, host: h, security: startls}}\n", "bad-value", 2, "starttls"),
        ("providers: {x: {type: smtp, host: h, idle: 5}}\n", "bad-duration", 2, "30s"),
        ("sources: {x: {url: 'duckbd:///x'}}\n", "unknown-type", 2, "duckdb"),
        ("sources: {x: {path: x}}\n", "missing-key", 2, ""),
        ("sources: {x: {url: 'duckdb:///x', threds: 2}}\n", "unknown-key", 2, "threads"),
        ("subscriptions: {write: x; y}\nsources: {a: {type: duckdb}}\n", "bad-name", 2, "connect_opt_outs"),
        ("subscriptions: {write: x, subscribed_values: bounced}\nsources: {a: {type: duckdb}}\n", "bad-value", 2, ""),
        ("subscriptions: {write: x, subscribed_values: []}\nsources: {a: {type: duckdb}}\n", "bad-value", 2, ""),
        ("subscriptions: {sql: select 1, source: b}\nsources: {a: {type: duckdb}}\n", "unknown-source", 2, "a"),
        ("subscriptions: {}\nsources: {a: {type: duckdb}}\n", "missing-key", 2, ""),
        ("defaults: {message: {transactional: true}}\n", "default-transactional", 2, "opt-outs"),
        ("defaults: {message: {content: []}}\n", "unknown-key", 2, "defaults.message.email"),
        ("defaults: {message: {push: {tilte: x}}}\n", "unknown-key", 2, "title"),
        ("defaults: {message: {push: {channel: push}}}\n", "unknown-key", 2, ""),
        ("defaults: {message: {push: {body: 'Hi ${NAME}'}}}\n", "reference-in-content", 2, ""),
        ("defaults: {message: {http: {body: 'Hi ${NAME}'}}}\n", "reference-in-content", 2, ""),
        ("defaults: {message: {http: {signing_secret: literal}}}\n", "literal-secret", 2, "${NAME}"),
        ("defaults: {message: {http: {headers: {X-A: '${A-B}'}}}}\n", "bad-reference", 2, "${NAME}"),
        ("defaults: {message: {http: {url: acme.example}}}\n", "bad-url", 2, "https://"),
        ("defaults: {message: {email: {form: x}}}\n", "unknown-key", 2, "from"),
        ("defaults: {message: {email: {html: plain}}}\n", "html-without-tag", 2, ""),
        ("defaults: {message: {email: {from: '${FROM}'}}}\n", "reference-in-content", 2, "target"),
        ("defaults: {policy: {approval: plan}}\n", "not-yet-supported", 2, ""),
        ("defaults: {audience: {}}\n", "unknown-key", 2, "message"),
        ("secret: '${CONNECT-SECRET}'\n", "bad-reference", 2, "${NAME}"),
        ("secret: ${NO_SUCH}\n", "missing-secret", 2, ".env"),
        ("secret: ${file:gone}\n", "missing-secret", 2, "gone"),
        ("secret: ${SHORT}\n", "short-secret", 2, "connect init"),
    ],
)
def test_one_mistake(folder, text, code, line, hint):
    found = folder.project_problems(HEAD + text, environment={"SHORT": "short"})
    assert [problem.code for problem in found] == [code]
    assert (found[0].location.line, hint in found[0].hint) == (line, True)


def test_all_mistakes_at_once(folder):
    found = folder.project_problems("timezone: X\nmode: y\nproviders: {a: {type: b}}\nsources: 1\nstrange: 1\n")
    assert [problem.code for problem in found] == [
        "missing-key",
        "bad-zone",
        "bad-value",
        "unknown-type",
        "wrong-type",
        "unknown-key",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "secret: hunter2-hunter2-hunter2\n",
        "secret: ['hunter2-hunter2-hunter2']\n",
        "providers: {x: {type: smtp, host: h, password: hunter2}}\n",
        "sources: {x: {url: 'duckdb://me:hunter2@host/db'}}\n",
        "state: postgresql://me:hunter2@host/db\n",
        "state: postgresql://me:hunter2${SALT}@host/db\n",
        "targets: {a: {state: 'postgresql://me:hunter2@host/db'}}\n",
        "providers: {x: {type: outbox, headers: {Authorization: Bearer hunter2}}}\n",
    ],
)
def test_a_literal_secret_is_an_error_that_does_not_show_it(folder, text):
    found = folder.project_problems(HEAD + text, environment={"SALT": "salt"})
    literal = [problem for problem in found if problem.code == "literal-secret"]
    assert len(literal) == 1
    assert literal[0].location.line == 2
    assert "hunter2" not in "".join(map(str, found))


def test_a_reference_is_quoted_inside_a_url_and_not_where_it_is_the_whole(folder):
    environment = {"PASSWORD": "p@ss/word", "URL": "postgresql://me:p%40ss@host/db"}
    folder.write("connect.yml", HEAD + "state: postgresql://me:${PASSWORD}@host/db\n")
    project = folder.project(environment=environment)
    assert project.state == "postgresql://me:p%40ss%2Fword@host/db"
    assert "word" not in project.redactor.text(project.state + " p@ss/word")
    folder.write("connect.yml", HEAD + "state: ${URL}\n")
    assert folder.project(environment=environment).state == environment["URL"]


def test_a_bad_value_behind_a_reference_is_not_shown(folder):
    text = HEAD + "timezone: ${ZONE}\nproviders: {x: {type: smtp, host: h, port: '${ZONE}'}}\n"
    found = folder.project_problems(text, environment={"ZONE": "hunter2-hunter2"})
    assert [problem.code for problem in found] == ["bad-zone", "wrong-type"]
    assert "hunter2" not in "".join(map(str, found))


def test_dotenv_is_read_beneath_the_environment(folder):
    lines = ["# ours", "export CONNECT_SECRET='from the dotenv file'", 'SMTP_PASSWORD="pass word" # why', ""]
    folder.write(".env", "\n".join(lines))
    assert folder.project(environment={}).secret.secrets[0].reveal() == "from the dotenv file"
    assert folder.project(environment={}).providers["relay"].settings.password.reveal() == "pass word"
    environment = {"CONNECT_SECRET": "from the environment"}
    assert folder.project(environment=environment).secret.secrets[0].reveal() == "from the environment"


def test_a_bad_line_of_dotenv_is_not_shown(folder):
    folder.write(".env", "hunter2\n")
    with pytest.raises(UserError) as caught:
        folder.project()
    assert [problem.code for problem in caught.value.problems] == ["env-syntax"]
    assert "hunter2" not in str(caught.value)


def test_the_keyring(folder, monkeypatch):
    import keyring
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1

        def get_password(self, service, username):
            return {("connect", "shop"): "from-the-keyring"}.get((service, username))

        def set_password(self, service, username, password): ...

    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    try:
        folder.write("connect.yml", HEAD + "secret: ${keyring:connect/shop}\n")
        assert folder.project().secret.secrets[0].reveal() == "from-the-keyring"
        found = folder.project_problems(HEAD + "secret: ${keyring:connect/other}\n")
        assert (found[0].code, found[0].hint) == ("missing-secret", "store it: keyring set connect other")
    finally:
        keyring.set_keyring(before)


@pytest.mark.parametrize(
    ("state", "absolute"),
    [
        ("sqlite:///a/b.db", "sqlite:///{root}/a/b.db"),
        ("sqlite:////var/b.db", "sqlite:////var/b.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite:///b.db?timeout=5", "sqlite:///{root}/b.db?timeout=5"),
        ("postgresql://host/db", "postgresql://host/db"),
    ],
)
def test_a_relative_ledger_lies_in_the_project(folder, state, absolute):
    folder.write("connect.yml", HEAD + f"state: '{state}'\n")
    assert folder.project().state == absolute.format(root=folder.root.resolve())


def test_the_root_is_found_upwards(folder, tmp_path):
    inner = folder.write("campaigns/a.yml", "").parent
    assert find_root(inner) == folder.root.resolve()
    (folder.root / "connect.yml").unlink()
    with pytest.raises(UserError, match="connect init"):
        find_root(inner)


def test_templates_by_their_relative_names(folder):
    folder.write("templates/layouts/main.html", "<p>\r\n</p>")
    (folder.root / "templates/logo.png").write_bytes(b"\xff\xd8")
    found = templates(folder.root)
    assert list(found) == ["layouts/main.html"]
    assert found["layouts/main.html"].file == "templates/layouts/main.html"


def test_a_syntax_error_comes_with_place_and_caret(folder):
    found = folder.project_problems("name: shop\nsources: [a\n")
    assert found[0].code == "yaml-syntax"
    assert "^" in str(found[0])
