"""Rendered messages as one page for a browser: what `connect preview --open` and `connect outbox --open` show.

The page stands alone: no script, no file beside it, nothing from the network. Pictures of the web are therefore not
shown: fetching them would tell somebody's server that a message was opened. The arrow keys walk through the messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources

from connect.reports.segments import segments_in_words
from connect.vocabulary import Channel


@dataclass(frozen=True)
class Shown:
    """One delivery as it is shown: a message, or only the notes that say why there is none."""

    channel: Channel
    to: str
    sender: str
    subject: str
    preheader: str
    html: str | None
    text: str | None
    label: str
    """Where it comes from: a row, a run."""
    notes: tuple[str, ...]
    """Such as `skipped: no_address`."""
    segments: int = 0
    """Of a text message, where it is known."""
    platform: str = ""
    """Of the device of a push message, whose title is the `subject`."""
    image: str = ""
    url: str = ""
    """What a tap on a push message opens."""
    data: tuple[tuple[str, str], ...] = ()
    """What a push message says to the app."""
    method: str = ""
    """Of a request: `to` is its URL, blank for the account's own endpoint."""
    headers: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    """Whatever else is set."""


def messages_page(title: str, subtitle: str, shown: Sequence[Shown]) -> str:
    """The whole page: messages in a list at the left, the chosen one at the right."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{_style()}</style>
</head>
<body>
{_VIEWS if any(one.html for one in shown) else ""}
<header>
<h1>{escape(title)}</h1>
<p>{escape(subtitle)}</p>
</header>
<main>
{_list(shown)}
</main>
</body>
</html>
"""


POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
"""Messages are strangers' HTML: nothing of it runs, nothing is fetched. A frame's `srcdoc` inherits it."""

_VIEWS = """<fieldset class="views"><legend>How e-mails are shown</legend>
<input type="radio" name="view" id="wide" checked><label for="wide">Desktop</label>
<input type="radio" name="view" id="phone"><label for="phone">Phone</label>
<input type="radio" name="view" id="plain"><label for="plain">Text</label>
</fieldset>"""


@cache
def _style() -> str:
    return resources.files("connect.reports").joinpath("pages.css").read_text(encoding="utf-8")


def _list(shown: Sequence[Shown]) -> str:
    if not shown:
        return '<p class="nothing">There is no message to show.</p>'
    items = "\n".join(_item(number, one) for number, one in enumerate(shown))
    return f'<ol class="list" aria-label="Messages">\n{items}\n</ol>'


def _item(number: int, one: Shown) -> str:
    chosen = " checked" if number == 0 else ""
    return f"""<li>
<input type="radio" name="message" id="m{number}"{chosen}>
<label for="m{number}">
<span class="line"><span class="channel {one.channel.value}">{one.channel.value}</span>
<span class="to">{_to(one)}</span>
<span class="from-where">{escape(one.label)}</span></span>
<span class="subject">{escape(_headline(one))}</span>
{_notes(one)}
</label>
<article aria-label="{escape(_headline(one) or one.channel.value)}">
{_head(one)}
{_body(one)}
</article>
</li>"""


def _to(one: Shown) -> str:
    return escape(one.to) or f'<span class="nobody">{_OWN if one.method else "nobody"}</span>'


_LONGEST_HEADLINE = 90


def _headline(one: Shown) -> str:
    """The subject; for a message without one, how it begins. Of a request, with its method."""
    line = one.subject or " ".join(f"{one.method} {one.text or ''}".split())
    return line if len(line) <= _LONGEST_HEADLINE else line[: _LONGEST_HEADLINE - 1] + "…"


def _notes(one: Shown) -> str:
    """Each note in the colour of its outcome, which is its first word. Longer ones stand beside the message."""
    notes = "".join(
        f'<span class="note {_outcome(note)}">{escape(note)}</span>' for note in one.notes if "\n" not in note
    )
    return f'<span class="notes">{notes}</span>' if notes else ""


def _explanations(one: Shown) -> str:
    """The notes of several lines, such as a problem with its place in a template."""
    return "".join(f'<pre class="why">{escape(note.strip())}</pre>' for note in one.notes if "\n" in note)


_OUTCOME = re.compile(r"(sent|skipped|refused|failed|unknown)\b")


def _outcome(note: str) -> str:
    found = _OUTCOME.match(note)
    return found[1] if found else "other"


def _head(one: Shown) -> str:
    rows = _rows([(name, value) for name, value in _fields(one) if value])
    title = f"{one.method} {one.to or _OWN}" if one.method else "" if one.channel is Channel.push else one.subject
    heading = f"<h2>{escape(title)}</h2>" if title else ""
    return f'<div class="head">{heading}{rows}</div>' if rows or heading else ""


_OWN = "the account’s endpoint"


def _fields(one: Shown) -> Iterator[tuple[str, str]]:
    yield "From", one.sender
    yield "To", "" if one.method else one.to
    yield "Platform", one.platform
    yield "Preheader", one.preheader
    if one.html and _WEB_PICTURE.search(one.html):
        yield "Pictures", "those from the web are not loaded here"


def _rows(fields: Sequence[tuple[str, str]], kind: str = "fields") -> str:
    """A list of names and values; empty where there are none."""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in fields)
    return f'<dl class="{kind}">{rows}</dl>' if rows else ""


_WEB_PICTURE = re.compile(r"<img\b[^>]*\bsrc\s*=\s*[\"']?\s*(?:https?:)?//", re.IGNORECASE)


def _body(one: Shown) -> str:
    if one.html is None and one.text is None:
        return f'<div class="empty"><p>Nothing goes out here.</p>{_notes(one)}{_explanations(one)}</div>'
    if one.channel is not Channel.email:
        return _OTHERS[one.channel](one)
    text = f'<pre class="text" tabindex="0">{escape(one.text or "There is no text part.")}</pre>'
    if one.html is None:
        return f'<div class="sheet only-text">{text}</div>'
    frame = f'<iframe sandbox loading="lazy" title="The e-mail’s HTML" srcdoc="{escape(_quiet(one.html))}"></iframe>'
    return f"""<div class="sheet">
<div class="device">{frame}</div>
{text}
</div>"""


def _phone(content: str) -> str:
    return f"""<div class="sheet talk">
<div class="device"><div class="screen">{content}</div></div>
</div>"""


def _bubble(one: Shown) -> str:
    text = one.text or ""
    count = _counted(len(text), "character")
    if one.segments:
        count += f", {escape(segments_in_words(text, one.segments))}"
    return _phone(f'<p class="bubble">{escape(text)}</p><p class="count">{count}</p>')


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _notification(one: Shown) -> str:
    """As a phone shows it, with the picture by its URL; below it what is not shown."""
    lines = (("app", one.platform or "push"), ("title", one.subject), ("words", one.text or ""), ("picture", one.image))
    card = "".join(f'<p class="{kind}">{escape(text)}</p>' for kind, text in lines if text)
    below = [("opens", one.url)] if one.url else []
    return _phone(
        f'<div class="card">{card}</div>'
        + _rows([*below, *one.options], "facts")
        + (f'<p class="count">for the app</p>{_rows(one.data, "facts")}' if one.data else "")
    )


_KEY = re.compile(r'^( *)("(?:[^"\\]|\\.)*")(?=: )', re.MULTILINE)


def _request(one: Shown) -> str:
    headers = _rows([*one.headers, *one.options], "headers")
    return f"""<div class="sheet request">{headers}
<pre class="json" tabindex="0">{_marked(one.text or "")}</pre>
</div>"""


def _marked(text: str) -> str:
    """Escaped, with the keys of JSON that is spread over lines marked."""
    pieces = _KEY.split(text)  # text, indent, key, text, indent, key, …, text
    keys = (
        f'{indent}<span class="key">{escape(key)}</span>'
        for indent, key in zip(pieces[1::3], pieces[2::3], strict=True)
    )
    between = map(escape, pieces[::3])
    return next(between) + "".join(key + after for key, after in zip(keys, between, strict=True))


_OTHERS: dict[Channel, Callable[[Shown], str]] = {
    Channel.sms: _bubble,
    Channel.push: _notification,
    Channel.http: _request,
}


_HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
_DOCTYPE = re.compile(r"\s*<!doctype\b[^>]*>", re.IGNORECASE)
_BASE = '<base target="_blank">'


def _quiet(html: str) -> str:
    """The HTML with links that lead out of the frame, where its sandbox stops them."""
    for place in (_HEAD.search(html), _DOCTYPE.match(html)):
        if place:
            return html[: place.end()] + _BASE + html[place.end() :]
    return _BASE + html
