"""The letter with ten links, from a row to bytes for the wire: with openings and clicks, and without."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import guests
from benchmarks.rows import Row
from benchmarks.sizes import Size
from benchmarks.stopwatch import rates
from connect import wiring
from connect.channels import mime
from connect.channels.message import Email, Outgoing
from connect.identity import KeyRing
from connect.liquid.library import Library
from connect.pipeline.compose import Composer
from connect.pipeline.deliveries import RunFacts
from connect.pipeline.links import UnsubscribeLinks
from connect.pipeline.tracking import Tracking
from connect.project.campaigns import load_campaign
from connect.project.files import templates
from connect.redact import Secret
from connect.vocabulary import Mode

_SECRET = "a secret that is long enough"
_BASE = "https://connect.meridian.example"
_LETTERS = Path(__file__).parent / "letters"
_PEOPLE = 200
_CONNECT = f"""
name: meridian
secret: ${{CONNECT_SECRET}}
serve: {{base_url: "{_BASE}"}}
providers: {{mail: {{type: memory}}}}
channels: {{email: mail}}
"""
_CAMPAIGN = """
trigger: {type: immediate}
audience: {people: [{id: 1, email: a@mail.example}]}
message:
  content:
    - channel: email
      from: Café Meridian <letters@meridian.example>
      subject: "{{ user.first_name }}, your letter"
      track: TRACK
      html: {file: english.html}
      text: {file: english.txt}
"""
_PLAIN = '<p><a href="https://meridian.example/menu/{}?from=letter&amp;of=may">Dish {}</a></p>\n'
_PERSONAL = '<p><a href="https://meridian.example/menu/{}/{{{{ user.id }}}}?from=letter&amp;of=may">Dish {}</a></p>\n'


def rows(size: Size) -> Iterator[Row]:
    """Nine of the links are tracked; the tenth is the one to unsubscribe."""
    with tempfile.TemporaryDirectory() as folder:
        found = rates(
            {
                "without": _everybody(composer(Path(folder) / "without", "{}")),
                "with": _everybody(composer(Path(folder) / "with", "{opens: true, clicks: true}")),
            },
            size,
        )
    yield Row("track_without", found["without"], "messages/s of CPU")
    yield Row("track_with", found["with"], "messages/s of CPU", "track_without", found["with"] / found["without"])


def composer(root: Path, track: str) -> Composer:
    """Of a run whose only campaign is the letter."""
    (root / "campaigns").mkdir(parents=True)
    (root / "templates").mkdir()
    page = (_LETTERS / "english.html").read_text("utf-8")
    missing = 10 - page.count("<a ")
    links = "".join((_PERSONAL if number % 2 else _PLAIN).format(number, number) for number in range(missing))
    (root / "templates/english.html").write_text(page.replace("</body>", links + "</body>"), "utf-8")
    (root / "templates/english.txt").write_text((_LETTERS / "english.txt").read_text("utf-8"), "utf-8")
    (root / "connect.yml").write_text(_CONNECT)
    (root / "campaigns/letter.yml").write_text(_CAMPAIGN.replace("TRACK", track))
    project = wiring.open_project(root, None, None, {"CONNECT_SECRET": _SECRET})
    campaign = load_campaign(project, "letter").campaign
    assert campaign is not None
    ring = KeyRing((Secret(_SECRET),))
    facts = RunFacts("run0000000000001", "letter", "bench", Mode.live, datetime(2026, 11, 22, tzinfo=UTC), b"secret")
    return Composer(
        campaign,
        Library(templates(root)),
        facts,
        UnsubscribeLinks(ring, _BASE, None, None, None),
        test_recipient={},
        copied=set(),
        tracking=Tracking(project.name, campaign.name, ring, _BASE),
    )


def encoded(composer: Composer) -> Iterator[bytes]:
    """Everybody's letter."""
    people = guests.some(_PEOPLE)
    composing = composer.over([f"{len(str(one['id']))}:{one['id']}" for one in people], guests.columns(people), {})
    for row in range(_PEOPLE):
        (delivery,) = composing.deliveries(row)
        assert isinstance(delivery.result, Outgoing)
        assert isinstance(delivery.result.message, Email)
        yield mime.encode(delivery.result.message, eight_bit=True)


def _everybody(composer: Composer) -> Callable[[], int]:
    return lambda: sum(1 for _ in encoded(composer))
