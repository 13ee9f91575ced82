"""The pages of unsubscribe links, as HTML that needs no script, no cookie and nothing from elsewhere.

No page quotes anything of a person, nor of the link. The look can be a template of the project's: it gets the page's
parts in `params`.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from markupsafe import Markup

from connect.liquid.library import Library
from connect.liquid.template import Template
from connect.liquid.trouble import Refusal, Skip
from connect.pipeline.look import template_of
from connect.project.project import Project
from connect.project.text import Text
from connect.project.unsubscribe import Unsubscribe
from connect.server.languages import negotiated
from connect.server.words import LANGUAGES, Words

_LOOK = Text(
    file="unsubscribe page",
    source="""<!doctype html>
<html lang="{{ params.language }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{ params.title }}</title>
<style nonce="{{ params.nonce }}">
:root { color-scheme: light dark; --text: #1d2330; --back: #f4f5f7; --card: #fff; --line: #767b86; --button: #1f4fd1 }
@media (prefers-color-scheme: dark) {
  :root { --text: #e9ebf0; --back: #14161b; --card: #1f222a; --line: #8d93a0; --button: #3d6bea }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--text); font: 1.0625rem/1.5 system-ui, sans-serif }
main { max-width: 34rem; margin: 0 auto; padding: 1.5rem; background: var(--card); overflow-wrap: anywhere }
@media (min-width: 36rem) { main { margin: 4rem auto; padding: 2rem 2.5rem; border-radius: .75rem } }
h1 { margin: 0 0 1rem; font-size: 1.4rem; line-height: 1.25 }
form { margin: 1.25rem 0 0 }
fieldset { margin: 0 0 1.25rem; padding: 0; border: 0 }
legend { padding: 0; margin-bottom: .5rem; font-weight: 600 }
label { display: flex; gap: .75rem; align-items: center; min-height: 2.75rem }
input { flex: none; width: 1.35rem; height: 1.35rem; margin: 0; accent-color: var(--button) }
button { display: block; width: 100%; min-height: 2.875rem; margin: 0 0 .75rem; padding: .5rem 1rem;
  border: 2px solid var(--button); border-radius: .5rem; background: var(--button); color: #fff; font: inherit;
  font-weight: 600; cursor: pointer }
button.other { background: none; color: inherit; border-color: var(--line) }
a { color: inherit }
:focus-visible { outline: 3px solid var(--button); outline-offset: 3px }
</style>
</head>
<body>
<main>
{{ params.content }}
</main>
</body>
</html>
""",
)


@dataclass(frozen=True, slots=True)
class Page:
    """What is sent: the HTML, and what it may load."""

    html: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Topic:
    """One that people choose from, and whether they receive it."""

    name: str
    on: bool = False


class Pages:
    """The pages of one version of the project."""

    def __init__(self, project: Project, *, plain: bool = False) -> None:
        """Raises UserError where the project's template does not compile; `plain` does without it."""
        self._settings = project.unsubscribe or Unsubscribe()
        own_look = None if plain else template_of(project)
        self._look, self._own = own_look or _plain(), own_look is not None
        offered = {**LANGUAGES, **{tag: LANGUAGES["en"] for tag in self._settings.words if tag not in LANGUAGES}}
        own = self._settings.words
        self._words = {tag: words.with_own(own[tag]) if tag in own else words for tag, words in offered.items()}

    @property
    def topics(self) -> Collection[str]:
        """Those that people choose from."""
        return self._settings.topics

    def to(self, accept_language: str) -> Speaker:
        """The pages in the language that somebody asks for."""
        otherwise = self._settings.language if self._settings.language in self._words else "en"
        tag = negotiated(accept_language, self._words, otherwise)
        own = self._settings.words.get(tag)
        labels = {**self._settings.topics, **(own.topics if own else {})}
        return Speaker(tag, self._words[tag], labels, self._look, own_look=self._own)


@cache
def _plain() -> Template:
    return Library({}).compile(_LOOK, escape=True)


@dataclass(frozen=True)
class Speaker:
    """Makes pages in one language."""

    language: str
    words: Words
    labels: Mapping[str, str]
    look: Template
    own_look: bool

    def asked(self, topic: str | None) -> Page:
        """One button; where the message was about a topic, another one for everything."""
        words = self.words
        question = self._named(words.question_topic, topic) if topic else words.question
        more = _button("all", words.unsubscribe_all, other=True) if topic else Markup()
        return self._page(words.title, _p(question), _form(_button("leave", words.unsubscribe), more))

    def choices(self, topics: Sequence[Topic], *, all_off: bool = False, said: str = "") -> Page:
        """A box for each topic, ticked where it is received."""
        words = self.words
        boxes = [_box("topic", topic.name, self._label(topic), topic.on, shown=True) for topic in topics]
        first = _status(said) if said else Markup()
        note = _p(words.all_off) if all_off else Markup()
        form = _form(_fieldset(words.choose, boxes), _button("save", words.save), self._all_button())
        return self._page(words.title, first, note, form)

    def untold(self, topics: Sequence[Topic]) -> Page:
        """What is received can not be told: boxes for what is not wanted any more."""
        words = self.words
        boxes = [_box("topic", topic.name, self._label(topic), False) for topic in topics]
        form = _form(_fieldset(words.leave_some, boxes), _button("some", words.unsubscribe), self._all_button())
        return self._page(words.title, _p(words.unknown), form)

    def held_back(self) -> Page:
        return self._page(self.words.title, _p(self.words.held_back), _form(self._all_button()))

    def left(self, topic: str | None) -> Page:
        """It is done, and can be taken back."""
        words = self.words
        said = self._named(words.left_topic, topic) if topic else words.left
        back = _form(_hidden("of", topic or ""), _button("back", words.resubscribe, other=True))
        return self._page(words.title, _status(said), _p(words.mistake), back, self._more())

    def back(self) -> Page:
        return self._page(self.words.title, _status(self.words.back), self._more())

    def done(self) -> Page:
        return self._page(self.words.title, _status(self.words.saved), self._more())

    def saved(self, topics: Sequence[Topic]) -> Page:
        return self.choices(topics, said=self.words.saved)

    def broken(self) -> Page:
        return self._page(self.words.broken_title, _p(self.words.broken))

    def later(self) -> Page:
        return self._page(self.words.later_title, _p(self.words.later))

    def _label(self, topic: Topic) -> str:
        return self.labels.get(topic.name, topic.name)

    def _named(self, said: str, topic: str) -> str:
        return said.replace("{topic}", self.labels.get(topic, topic))

    def _more(self) -> Markup:
        """To all topics, where there are some."""
        return Markup('<p><a href="?">{}</a></p>').format(self.words.choices) if self.labels else Markup()

    def _all_button(self) -> Markup:
        return _button("all", self.words.unsubscribe_all, other=True)

    def _page(self, title: str, *parts: Markup) -> Page:
        nonce = secrets.token_urlsafe(16)
        heading = Markup("<h1>{}</h1>").format(title)
        content = Markup("\n").join([heading, *(part for part in parts if part)])
        shown = {"language": self.language, "title": title, "content": content, "nonce": nonce}
        try:
            html = self.look.render({"params": shown})
        except (Refusal, Skip):  # the project's template stumbles: whoever wants to leave does not care how it looks
            html = _plain().render({"params": shown})
        return Page(html, self._headers(nonce))

    def _headers(self, nonce: str) -> dict[str, str]:
        images = "; img-src https: data:" if self.own_look else ""
        policy = f"default-src 'none'; style-src 'nonce-{nonce}'{images}; form-action 'self'"
        return {
            "Content-Security-Policy": f"{policy}; frame-ancestors 'none'; base-uri 'none'",
            "Content-Language": self.language,
            "Vary": "Accept-Language",
            "X-Robots-Tag": "noindex, nofollow",
        }


def _p(text: str) -> Markup:
    return Markup("<p>{}</p>").format(text)


def _status(text: str) -> Markup:
    """What was done, also for who hears the page instead of seeing it."""
    return Markup('<p role="status"><strong>{}</strong></p>').format(text)


def _form(*parts: Markup) -> Markup:
    return Markup('<form method="post">\n{}\n</form>').format(Markup("\n").join(part for part in parts if part))


def _button(value: str, text: str, *, other: bool = False) -> Markup:
    kind = Markup(' class="other"') if other else Markup()
    return Markup('<button name="do" value="{}"{}>{}</button>').format(value, kind, text)


def _hidden(name: str, value: str) -> Markup:
    return Markup('<input type="hidden" name="{}" value="{}">').format(name, value)


def _box(name: str, value: str, label: str, on: bool, *, shown: bool = False) -> Markup:
    ticked = Markup(" checked") if on else Markup()
    box = Markup('<label><input type="checkbox" name="{}" value="{}"{}><span>{}</span></label>')
    return box.format(name, value, ticked, label) + (_hidden("shown", value) if shown else Markup())


def _fieldset(legend: str, boxes: Sequence[Markup]) -> Markup:
    return Markup("<fieldset>\n<legend>{}</legend>\n{}\n</fieldset>").format(legend, Markup("\n").join(boxes))
