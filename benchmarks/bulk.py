"""Whole e-mail runs through providers that take many rendered messages in a call, against the straightforward script.

As in `end_to_end`: everything that the process costs is counted; the provider is the sink on another core.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import project
from benchmarks.end_to_end import Ways, connect, script
from benchmarks.rows import Row
from benchmarks.sizes import Size

# A secret in connect.yml is a reference; the sink asks for none.
_KEY = '"${CONNECT_SECRET}"'
ACCOUNTS = {
    "postmark": f"postmark, server_token: {_KEY}",
    "resend": f"resend, api_key: {_KEY}",
    "mailjet": f"mailjet, api_key: {_KEY}, secret_key: {_KEY}",
    "ses": f"ses, region: eu-west-1, access_key_id: {_KEY}, secret_access_key: {_KEY}",
}
"""Provider → its settings but for the endpoint."""

_SCRIPT = Ways("smtp", ("email", "english"), project.smtp, project.letter("english"))


def rows(size: Size) -> Iterator[Row]:
    """The English letter, 5 KB of text and HTML, one rate for each provider."""
    base = size.script / script(_SCRIPT, size.script).cpu
    yield Row("bulk_script", base, "msg/s of CPU")
    for name, settings in ACCOUNTS.items():
        cost = connect(Ways("http", (), _account(settings), project.letter("english")), size.people)
        rate = size.people / cost.cpu
        yield Row(f"bulk_{name}", rate, "msg/s of CPU", "bulk_script", rate / base)


def _account(settings: str) -> project.Account:
    return lambda port: f'{settings}, endpoint_url: "http://127.0.0.1:{port}"'
