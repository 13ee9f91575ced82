"""A request for each person: its body as it was written, its secrets put in, and kept out of everything else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from connect.providers.signatures import standard_signature
from connect.redact import Secret
from connect.testing.api import Answer, ApiServer, Call
from connect.testing.canaries import Canaries
from connect.testing.smtp import SmtpServer

KEY, SIGNING = "key-of-the-hook-5f2c91", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def http(**changed: object) -> dict[str, object]:
    return {"channel": "http", "url": "https://hook.example/in", "body": {"name": "{{ user.first_name }}"}, **changed}


@pytest.fixture
def hook(house: Any) -> Any:
    """Two people with cells of every type."""
    house.shop.table(
        "people",
        "id text, first_name text, points integer, gold boolean, spent decimal(9, 2), tags text[], nothing text",
        [
            ("id-00001", "Annabel", 7, True, "12.50", ["a", "b"], None),
            ("id-00002", 'Bert "B" Ö', 0, False, "0", [], None),
        ],
    )
    return house


def bodies(hook: Any) -> list[Any]:
    return [json.loads(request.body) for request in sorted(hook.requests(), key=lambda one: one.body)]


def test_a_mapping_keeps_the_types_of_what_stands_alone_in_its_strings(hook: Any) -> None:
    body = {
        "name": "{{ user.first_name }}",
        "points": "{{ user.points }}",
        "gold": "{{ user.gold }}",
        "tags": "{{ user.tags }}",
        "nothing": "{{ user.nothing }}",
        "said": "{{ user.first_name }} has {{ user.points }}",
        "fixed": [1, 2.5, True, None, "x"],
    }
    hook.campaign(http(body=body))

    assert hook.report().counts == {("http", "sent", ""): 2}
    found = {one["name"]: one for one in bodies(hook)}
    assert found["Annabel"] == {
        "name": "Annabel",
        "points": 7,
        "gold": True,
        "tags": ["a", "b"],
        "nothing": None,
        "said": "Annabel has 7",
        "fixed": [1, 2.5, True, None, "x"],
    }
    bert = found['Bert "B" Ö']
    assert (bert["points"], bert["gold"], bert["tags"]) == (0, False, [])
    assert bert["said"] == 'Bert "B" Ö has 0'
    assert {request.content_type for request in hook.requests()} == {"application/json"}


def test_one_template_that_begins_as_json_has_to_be_it(hook: Any) -> None:
    """Nobody quotes what stands in it: the second person's name breaks it, and nobody else's."""
    hook.campaign(http(body='{"name": "{{ user.first_name }}", "points": {{ user.points }}}'))

    ended = hook.report()

    assert ended.counts == {("http", "sent", ""): 1, ("http", "refused", "not_json"): 1}
    assert bodies(hook) == [{"name": "Annabel", "points": 7}]
    (problem,) = ended.json["problems"]
    assert "campaigns/hello.yml" in problem["problem"]
    assert "Bert" not in ended.out + ended.err


def test_plain_text_is_plain_text(hook: Any) -> None:
    hook.campaign(http(body="name={{ user.first_name }}", method="PUT", headers={"X-Points": "{{ user.points }}"}))

    assert hook.report().counts == {("http", "sent", ""): 2}
    one = next(request for request in hook.requests() if b"Annabel" in request.body)
    assert (one.method, one.body, one.content_type) == ("PUT", b"name=Annabel", "text/plain; charset=utf-8")
    assert one.headers == (("X-Points", "7"),)


def test_a_content_may_say_its_type_itself(hook: Any) -> None:
    hook.campaign(http(body="<name>{{ user.first_name | escape }}</name>", headers={"content-type": "text/xml"}))

    hook.run()

    assert {request.content_type for request in hook.requests()} == {"text/xml"}
    assert all(request.headers == () for request in hook.requests())


def test_the_url_may_be_the_persons_own(hook: Any) -> None:
    hook.campaign(http(url="https://hook.example/of/{{ user.first_name | url_encode }}"))
    assert hook.report().counts == {("http", "sent", ""): 2}
    assert sorted(request.to for request in hook.requests()) == [
        "https://hook.example/of/Annabel",
        "https://hook.example/of/Bert+%22B%22+%C3%96",
    ]


def test_a_url_that_is_none_is_that_persons_trouble(hook: Any) -> None:
    hook.campaign(http(url="https://hook.example/of/{{ user.first_name }}"))

    assert hook.report().counts == {("http", "sent", ""): 1, ("http", "refused", "invalid_url"): 1}


class Endpoint:
    """Of the user's, on this machine."""

    says: Callable[[Call], Answer] = staticmethod(lambda call: Answer(204))

    def __init__(self) -> None:
        self.server = ApiServer(lambda call: self.says(call))


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    with made.server:
        yield made


@pytest.fixture
def secret(hook: Any, endpoint: Endpoint) -> Any:
    """A content with a secret in two headers and one to sign with, to a real endpoint."""
    hook.shop.write(".env", f"CONNECT_SECRET=a-secret-of-the-shop-0123456789\nKEY={KEY}\nSIGNING={SIGNING}\n")
    hook.configure(providers={"hook": {"type": "http", "allow_private": True}})
    headers = {"Authorization": "Bearer ${KEY}", "X-Shop": "shop ${KEY}"}
    hook.campaign(http(url=f"{endpoint.server.url}/in", headers=headers, signing_secret="${SIGNING}"))
    return hook


def test_secrets_are_put_in_for_the_request_alone(secret: Any, endpoint: Endpoint) -> None:
    assert secret.report().counts == {("http", "sent", ""): 2}

    assert len(endpoint.server.calls) == 2
    for call in endpoint.server.calls:
        headers = call.headers
        assert (headers["authorization"], headers["x-shop"]) == (f"Bearer {KEY}", f"shop {KEY}")
        at = int(headers["webhook-timestamp"])
        assert headers["webhook-signature"] == standard_signature(Secret(SIGNING), headers["webhook-id"], at, call.body)


def test_secrets_are_in_no_output_file_or_ledger(secret: Any) -> None:
    """Whatever shows campaigns, runs and what is wrong."""
    (first, again) = secret.run("--debug"), secret.run("--again", "--json", "--debug")
    (run, _) = secret.shop.connect("runs", "list", "--json").json
    commands = (
        *(("show", "hello"), ("show", "hello", "--json"), ("validate",), ("doctor",)),
        *(("report", "hello", "--json"), ("runs", "show", run["id"], "--json")),
    )
    said = [first, again, *(secret.shop.connect(*command) for command in commands)]

    assert [ended.code for ended in said] == [0] * len(said)
    _nowhere(secret, said)


def test_nor_where_the_endpoint_says_no_and_quotes_them(secret: Any, endpoint: Endpoint) -> None:
    endpoint.says = lambda call: Answer(403, {"error": f"{call.headers['authorization']} may not"})

    stopped = secret.run("--debug")

    assert (stopped.code, stopped.error.code) == (3, "provider-config")
    (run,) = secret.shop.connect("runs", "list", "--json").json
    assert run["state"] == "paused"
    _nowhere(secret, [stopped, secret.shop.connect("runs", "show", run["id"])])


@pytest.mark.parametrize("mail", ["outbox", "smtp"])
def test_nor_in_an_outbox_which_writes_requests_down(secret: Any, server: SmtpServer, contents: Any, mail: str) -> None:
    """Also of a campaign whose e-mails are sent for real."""
    smtp = {"type": "smtp", "host": server.host, "port": server.port, "local_hostname": "sender.example"}
    smtp |= {"username": server.username, "password": "${SMTP_PASSWORD}", "ca_file": str(server.ca_file)}
    env = secret.shop.root / ".env"
    env.write_text(env.read_text() + f"SMTP_PASSWORD={server.password}\n")
    secret.configure(providers={"hook": {"type": "outbox"}, "mail": smtp if mail == "smtp" else {"type": "outbox"}})
    secret.crowd(2)
    headers = {"Authorization": "Bearer ${KEY}", "X-Shop": "shop ${KEY}"}
    secret.campaign(contents["email"], http(headers=headers, signing_secret="${SIGNING}"))

    ended = secret.report()

    assert ended.counts == {("email", "sent", ""): 2, ("http", "sent", ""): 2}
    secret.shop.cells.clear()  # the outbox is there to show them
    shown = [secret.shop.connect("outbox", "--json"), secret.shop.connect("outbox")]
    assert "shop ${KEY}" in shown[0].out
    _nowhere(secret, [ended, *shown])


def _nowhere(house: Any, said: Sequence[Any]) -> None:
    """None of the secrets is in what was printed, or in any file."""
    canaries, root = Canaries(), house.shop.root
    for name, value in (("key", KEY), ("signing secret", SIGNING)):
        canaries.add(name, value)
        assert not [one for one in said if value in one.out + one.err]
    assert (root / ".connect/state.db").stat().st_size
    assert canaries.search_files([root], without=[root / ".env"]) == set()


def test_a_secret_that_is_not_there_stops_it_before_anything(hook: Any) -> None:
    hook.campaign(http(headers={"Authorization": "Bearer ${NOWHERE}"}))

    ended = hook.run()

    assert (ended.code, ended.error.code) == (2, "missing-secret")
    hook.nothing_happened()


def test_a_test_is_signed_and_tells_no_other_secret(secret: Any, endpoint: Endpoint) -> None:
    """The endpoint of the test recipient is not the one that the content's headers are for."""
    recipient = f'test_recipient: {{http: "{endpoint.server.url}/tester"}}\n'
    secret.configure(mode="test", providers={"hook": {"type": "http", "allow_private": "true"}}, more=recipient)
    secret.campaign(http(headers={"X-Key": "key ${KEY}"}, signing_secret="${SIGNING}"))

    assert secret.report().counts == {("http", "sent", ""): 1, ("http", "skipped", "mode"): 1}
    (call,) = endpoint.server.calls
    assert (call.path, call.headers["x-key"]) == ("/tester", "key ${KEY}")
    signature = standard_signature(
        Secret(SIGNING), call.headers["webhook-id"], int(call.headers["webhook-timestamp"]), call.body
    )
    assert call.headers["webhook-signature"] == signature


def test_an_accounts_headers_stay_at_home_in_a_test(secret: Any, endpoint: Endpoint) -> None:
    url = endpoint.server.url
    account = {"type": "http", "allow_private": "true", "headers": {"X-Account": "${KEY}"}}
    for mode, path in (("test", "/tester"), ("live", "/real")):
        recipient = f'test_recipient: {{http: "{url}/tester"}}\n'
        secret.configure(mode=mode, providers={"hook": account}, more=recipient)
        secret.campaign(http(url=f"{url}/real"))
        secret.run()
        call = endpoint.server.calls[-1]
        assert (call.path, "x-account" in call.headers) == (path, mode == "live")


@pytest.mark.parametrize("shared", ["by one content that fails over", "by two contents"])
def test_a_secret_is_not_put_in_where_it_could_be_written_down(secret: Any, shared: str) -> None:
    secret.configure(providers={"hook": {"type": "http"}, "kept": {"type": "outbox"}})
    one = http(headers={"Authorization": "Bearer ${KEY}"}, provider=["hook", "kept"])
    two = (
        http(headers={"Authorization": "Bearer ${KEY}"}),
        http(headers={"Authorization": "Bearer ${KEY}"}, provider="kept", locale="fr"),
    )
    secret.campaign(*((one,) if shared == "by one content that fails over" else two))

    ended = secret.run()

    assert (ended.code, ended.error.code) == (2, "secret-on-disk")
    assert "`kept` writes requests to disk" in ended.error.message
    _nowhere(secret, [ended, secret.shop.connect("validate")])
